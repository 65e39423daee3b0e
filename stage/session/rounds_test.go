package session

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/model/advice"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/reduce/reducetest"
	"steplm/stage/rounds"
)

// A run that is opened to others again gives who is new no number that one had before: it may come back, and its number
// is its order of the data.
func TestNumbersAreNotGivenAgain(t *testing.T) {
	o := recipetest.Tiny()
	o.Outer = &outer.Config{Every: 2, LR: 0.7, Momentum: 0.9}
	key, err := rounds.NewKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	for resumed, want := range map[bool]int{false: 1, true: 4} {
		s := &Session{Spec: Default(), Recipe: recipetest.Must(t, "step", o), Device: gpu.NewHost(), Resumed: resumed}
		s.Spec.Output.Out = t.TempDir()
		w, _, err := record.Append(s.Spec.Output.Out, 0)
		if err != nil {
			t.Fatal(err)
		}
		made := record.Round{Shares: []record.Share{{}, {Process: 2}}, Missing: []record.Share{{Process: 3}}}
		if err := w.Write(made); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := s.Host("127.0.0.1:0", key, rounds.Run{Name: "test", Quorum: 1, Log: t.Logf})
		if err != nil {
			t.Fatal(err)
		}
		joined, err := rounds.Dial(context.Background(), rounds.At(c.Addr().String()), key, "test", "a worker")
		if err != nil {
			t.Fatal(err)
		}
		if n := joined.Welcome.Process; n != want {
			t.Errorf("resumed: %t: who is new has the number %d, want %d", resumed, n, want)
		}
		joined.Close("the test is over")
		c.Close("the test is over", false)
	}
}

// Processes that make rounds end together: what one of them would do alone is refused, whatever brings them together.
func TestNobodyOfSeveralActsAlone(t *testing.T) {
	o := recipetest.Tiny()
	o.Outer = &outer.Config{Every: 2, LR: 0.7, Momentum: 0.9}
	for option, set := range map[advice.Option]func(*Spec){
		"patience":     func(s *Spec) { s.Tuning.Patience = 3 },
		advice.OnSpike: func(s *Spec) { s.Guard.OnSpike = recipe.RollbackOnSpike },
	} {
		s := &Session{Spec: TuningDefault(), Recipe: recipetest.Must(t, "step", o)}
		set(&s.Spec)
		_, hosted := s.Host("127.0.0.1:0", rounds.Key{}, rounds.Run{Name: "test", Quorum: 1, Log: t.Logf})
		_, among := OpenRounds(t.Context(), nil, s.Spec, false, UI{}, reducetest.Group(2)[1])
		for _, err := range []error{hosted, among} {
			var bad *OptionError
			if !errors.As(err, &bad) || bad.Option != option {
				t.Errorf("%s: %v", option, err)
			}
		}
	}
}

// A run whose model is a file is joined with a copy of it, wherever that lies; a preset is the run's own.
func TestAJoinedRunsModelIsFoundHere(t *testing.T) {
	here := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(here, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "config.json")
	for _, c := range []struct{ runs, asked, want string }{
		{elsewhere, here, here}, {here, "", here}, {"tiny", "", "tiny"}, {"tiny", "tiny", "tiny"},
		{elsewhere, "", ""}, {"models", "", ""}, {"tiny", here, ""}, // these are refused
	} {
		spec, asked := Default(), Default()
		spec.Model.Name, asked.Model.Name = c.runs, c.asked
		text, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		var given []advice.Option
		if c.asked != "" {
			given = append(given, "model")
		}
		got, err := Join(rounds.Welcome{Spec: text}, asked, given)
		var bad *OptionError
		var other *Disagreement
		switch {
		case c.want != "" && (err != nil || got.Model.Name != c.want):
			t.Errorf("of %s, asked for %q: %q, %v, want %q", c.runs, c.asked, got.Model.Name, err, c.want)
		case c.want == "" && !(errors.As(err, &bad) && bad.Option == "model" ||
			errors.As(err, &other) && other.Option == "model"):
			t.Errorf("of %s, asked for %q: %v", c.runs, c.asked, err)
		}
	}
}
