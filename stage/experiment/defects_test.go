package experiment

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/stage/recipe/recipetest"
	"steplm/stage/session"
)

// Of two parts that each say a length the upper one's counts, in epochs too.
func TestMergedLengths(t *testing.T) {
	for _, c := range []struct{ under, over string }{
		{`{"schedule": {"tokens": 100}}`, `{"schedule": {"epochs": 2}}`},
		{`{"schedule": {"epochs": 2}}`, `{"schedule": {"steps": 9}}`},
	} {
		text, err := merged(json.RawMessage(c.under), json.RawMessage(c.over))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.Default().With(text); err != nil {
			t.Errorf("%s over %s: %v", c.over, c.under, err)
		}
	}
}

// What ends a run early decides what it comes to, and so its name.
func TestPatienceIsInTheName(t *testing.T) {
	a, b := session.TuningDefault(), session.TuningDefault()
	b.Tuning.Patience = 2
	if hash(a) == hash(b) {
		t.Error("a run that may end early has the name of one that may not")
	}
	b.Tuning.Patience, b.Tuning.Samples = 0, 9
	if hash(a) != hash(b) {
		t.Error("answers that are only shown change the name")
	}
}

// Operations cannot be made equal where a length is in epochs.
func TestEqualFLOPsOfEpochs(t *testing.T) {
	f, err := Read([]byte(compared))
	if err != nil {
		t.Fatal(err)
	}
	f.Base, err = merged(f.Base, json.RawMessage(`{"schedule": {"epochs": 3}}`))
	if err != nil {
		t.Fatal(err)
	}
	f.Equal, f.LearningRate = &Equal{What: EqualFLOPs, Of: "a"}, nil
	_, err = Make(f, 0)
	recipetest.WantError(t, err, "equal.what flops", "variant a", "3 epochs", "steps or tokens")
}

// Two variants that a grid calls alike are refused: choices and tables go by their labels.
func TestLabelsOfAGridDiffer(t *testing.T) {
	f, err := Read([]byte(compared))
	if err != nil {
		t.Fatal(err)
	}
	f.Grid = []Axis{{Option: "language", Values: []json.RawMessage{json.RawMessage(`["en", "de"]`),
		json.RawMessage(`["en,de"]`)}}}
	_, err = Make(f, 0)
	recipetest.WantError(t, err, "a-language-en+de", "two variants")
}

// Before a rate is chosen no run is taken for one that is done and was not asked.
func TestNothingIsUnaskedBeforeTheChoice(t *testing.T) {
	text := strings.NewReplacer(`"share": 0.5, "seed": 5, "eval_tokens": 8`, `"share": 1, "seed": 1`,
		`"learning_rate"`, `"evaluate": {"tasks": {"names": ["piqa"]}}, "learning_rate"`).Replace(compared)
	f := folderOf(t, text)
	f.finish(t, f.TrialsOf(0)[0], 9)
	if list := f.Unevaluated(); len(list) > 0 {
		t.Errorf("%s is to be asked, and no rate is chosen", list[0].Name)
	}
}

// An experiment that began with another's models has their tokenizer, and so has a third that begins with its own.
func TestTokenizerOfAChain(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{first: compared, second: `{"name": "b", "seeds": [1], "from": ` +
		string(must(json.Marshal(first))) + `, "variants": [{"label": "b", "from": "a"}]}`} {
		if err := os.WriteFile(filepath.Join(dir, DeclaredFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := ReadFile(filepath.Join(second, DeclaredFile))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.tokenizerIn(second); err != nil || got != filepath.Join(first, TokenizerFile) {
		t.Errorf("its tokenizer is %s (%v), that of the models is in %s", got, err, first)
	}
}

// An experiment that begins with its own models, over another's or not, is refused, and not looked for without end.
func TestBeginningWithItself(t *testing.T) {
	itself, one, other, apart := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	for dir, from := range map[string]string{itself: itself, one: other, other: one, apart: itself} {
		text := `{"name": "b", "seeds": [1], "from": ` + string(must(json.Marshal(from))) +
			`, "variants": [{"label": "b", "from": "a"}]}`
		if err := os.WriteFile(filepath.Join(dir, DeclaredFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for dir, own := range map[string]string{itself: itself, one: one, other: other, apart: itself} {
		_, err := ReadBase(dir)
		recipetest.WantError(t, err, "from ", "the experiment in "+own+" would begin with its own models")
	}
	if err := NotOwn(filepath.Join(apart, "..", filepath.Base(apart)), apart); err == nil {
		t.Error("a folder by another path is another one")
	}
	if err := NotOwn(apart, one); err == nil {
		t.Error("what begins with what begins with itself is taken")
	}
	first := t.TempDir()
	if err := os.WriteFile(filepath.Join(first, DeclaredFile), []byte(compared), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := NotOwn(apart, first); err != nil {
		t.Error(err)
	}
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}
