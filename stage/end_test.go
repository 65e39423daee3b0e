package stage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// The trained model is written before it is measured: a stop in that evaluation loses nothing, and the run goes on to
// the same end.
func TestStopInFinalEvaluation(t *testing.T) {
	s := newStory(t)
	want, _ := straight(t, s, gpu.NewHost())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Hook = func(p string) {
		if p == "export" {
			cancel()
		}
	}
	err := s.run(ctx, gpu.NewHost())
	final := filepath.Join(s.Dir, record.FinalDir)
	if !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), final) {
		t.Fatalf("error %v, want that it stopped and that the model is in %s", err, final)
	}
	if _, err := os.Stat(filepath.Join(final, "exported.json")); err != nil {
		t.Fatal(err)
	}
	s.Hook = nil
	if err := s.run(t.Context(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
	checkTold(t, s, want)
}

// An evaluation says of how many tokens it scores, as far as that is known.
func TestWholeOfAnEvaluation(t *testing.T) {
	for _, c := range []struct {
		n     int64
		share float64
		most  int64
		want  int64
	}{{0, 0, 0, 0}, {0, 0, 500, 500}, {100, 0.5, 0, 200}, {100, 0.5, 150, 150}, {100, 1, 500, 100},
		{100, 0.9, 100, 100}} {
		if got := tokensIn(c.n, c.share, c.most); got != c.want {
			t.Errorf("%d tokens, a share of %g, at most %d: %d, want %d", c.n, c.share, c.most, got, c.want)
		}
	}
}

// A run that diverges, or that a spike stops, says so in its metrics, once, however often it is gone on with; one that
// is told to stop says nothing.
func TestFailuresAreWrittenDown(t *testing.T) {
	for _, c := range []struct {
		name  string
		run   func() guarded
		is    error
		steps int
	}{
		{"diverged", func() guarded {
			g := newGuarded(t, "")
			g.Recipe.Stages[0].LR, g.Recipe.Stages[0].LoRALR = 1e38, 1e38
			return g
		}, ErrDiverged, 0},
		{"spike", func() guarded { return newGuarded(t, recipe.StopOnSpike, 6) }, nil, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := c.run()
			for range 2 { // begun, and gone on with
				err := g.run(context.Background(), gpu.NewHost())
				if err == nil || c.is != nil && !errors.Is(err, c.is) {
					t.Fatalf("it ends in %v", err)
				}
				steps, failures := 0, []record.Failure{}
				for e, readErr := range record.Read(g.dir) {
					if readErr != nil {
						t.Fatal(readErr)
					}
					switch e := e.(type) {
					case record.Metrics:
						steps = e.Step
					case record.Failure:
						failures = append(failures, e)
					}
				}
				if len(failures) != 1 || !failures[0].Diverged || failures[0].Error != err.Error() ||
					failures[0].Step != steps || steps < 1 || c.steps > 0 && steps != c.steps {
					t.Errorf("%d steps and %+v, of an end in %v", steps, failures, err)
				}
			}
		})
	}
	g := newGuarded(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	g.event = func(e record.Event) {
		if _, ok := e.(record.Checkpoint); ok {
			cancel()
		}
	}
	if err := g.run(ctx, gpu.NewHost()); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	for e := range record.Read(g.dir) {
		if _, ok := e.(record.Failure); ok {
			t.Errorf("a run that was told to stop has %+v", e)
		}
	}
}
