package experiment

import (
	"encoding/json"
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
