package session

import (
	"context"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/stage/outer"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
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
