package experiment

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// located is a file with data that need not be there.
func located(t *testing.T, f File) File {
	t.Helper()
	f, err := f.WithBase(json.RawMessage(`{"data": {"train": ["/data/train"], "tokenizer": "/data/tokenizer.json"},
		"evaluation": {"validation": "/data/validation", "wikitext": "/data/wiki.test.raw"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// mustMake makes out a built-in experiment at a scale.
func mustMake(t *testing.T, name, scale string) *Experiment {
	t.Helper()
	f, err := Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = f.AtScale(scale); err != nil {
		t.Fatal(err)
	}
	e, err := Make(located(t, f), f.Vocab)
	if err != nil {
		t.Fatalf("%s at %s: %v", name, scale, err)
	}
	return e
}

// listing is every run of an experiment, a line each, with the operations that it takes; those whose learning rate
// would be chosen with the first of the values.
func listing(t *testing.T, e *Experiment) string {
	t.Helper()
	var b strings.Builder
	line := func(r Run) {
		recipe, err := e.Recipe(r)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		flops, err := recipe.FLOPs()
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := e.bytes(r.Spec)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s: %s, %s, %d layers, %d steps of %d tokens, lr %g, seed %d, %.4g operations, %.0f bytes\n",
			r.Name, recipe.Method, recipe.Optimizer.Settings.Name(), recipe.Model.Layers, recipe.Steps(),
			recipe.TokensPerStep(), recipe.Stages[0].LR, recipe.Seed, flops, bytes)
	}
	for i, v := range e.Variants {
		for _, r := range e.TrialsOf(i) {
			line(r)
		}
		for _, seed := range e.File.Seeds {
			lr := 0.0
			if v.Chose >= 0 {
				lr = cmp.Or(e.File.LearningRate.Begin, e.File.LearningRate.Values[0])
			}
			line(e.Final(i, seed, lr))
		}
	}
	return b.String()
}

// anew are the names of the built-in experiments whose runs begin with no other experiment's models.
func anew(t *testing.T) (names []string) {
	t.Helper()
	for _, name := range Names() {
		f, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if !f.Begins() {
			names = append(names, name)
		}
	}
	return names
}

// The runs of every built-in experiment, and what they are called: a name that changed would not find the run that an
// experiment has half done.
func TestBuiltinsAreWhatTheyWere(t *testing.T) {
	for _, name := range anew(t) {
		t.Run(name, func(t *testing.T) {
			got := listing(t, mustMake(t, name, "small"))
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s: got\n%swant\n%s", path, got, want)
			}
		})
	}
}

// Every experiment can be run at every scale.
func TestEveryBuiltinIsMadeAtEveryScale(t *testing.T) {
	for _, name := range anew(t) {
		for _, scale := range Scales() {
			if e := mustMake(t, name, scale); len(e.Variants) < 4 {
				t.Errorf("%s at %s compares %d variants", name, scale, len(e.Variants))
			}
		}
	}
}

// What an ablation compares with is a run that paper-table has, by its name: in one folder it is trained once.
func TestAblationsShareRunsWithThePaperTable(t *testing.T) {
	known := map[string]bool{}
	table := mustMake(t, "paper-table", "small")
	for i := range table.Variants {
		for _, seed := range table.File.Seeds {
			known[table.Final(i, seed, 0.003).Name] = true
		}
	}
	for name, want := range map[string]int{"ablation-position": 3, "ablation-operator": 3, "ablation-growth-point": 3,
		"ablation-adapters": 6, "ablation-embedding": 9} {
		e, shared := mustMake(t, name, "small"), 0
		for i := range e.Variants {
			for _, seed := range e.File.Seeds {
				if known[e.Final(i, seed, 0.003).Name] {
					shared++
				}
			}
		}
		if shared != want {
			t.Errorf("%s shares %d runs with paper-table, want %d", name, shared, want)
		}
	}
}
