package trainer

import (
	"context"
	"errors"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/trainer/trainertest"
)

// failing fails once, at one of its batches.
type failing struct {
	*trainertest.Listed
	at  int
	err error
}

func (f *failing) Next(ctx context.Context) (data.Batch, error) {
	if f.Listed.At == f.at && f.err != nil {
		err := f.err
		f.err = nil
		return data.Batch{}, err
	}
	return f.Listed.Next(ctx)
}

// A step leaves the next one's batches fetched, once, and the first of them loaded, the last step
// none; the cursor does not know of it.
func TestPrefetchRunsOneStepAhead(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum = 2
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		from := trainertest.Random(8, o.Batch, o.Model.Vocab, 3)
		tr := newTrainer(t, d, recipetest.Must(t, "vanilla", o), from)
		for step := 1; step <= o.Steps; step++ {
			takeSteps(t, tr, 1)
			ahead, loaded := 2, 1
			if step == o.Steps {
				ahead, loaded = 0, 0
			}
			if from.At != 2*step+ahead {
				t.Errorf("after step %d of %d: %d batches were fetched, want %d", step, o.Steps, from.At, 2*step+ahead)
			}
			if c := tr.batches.Cursor().Windows; c != int64(2*step) {
				t.Errorf("after step %d the cursor is at batch %d, want %d", step, c, 2*step)
			}
			if n := tr.acts.Loads(); n != 2*step+loaded {
				t.Errorf("after step %d: %d loads, want %d", step, n, 2*step+loaded)
			}
		}
	})
}

// What fails ahead of its step is that step's error: the one before is whole. Then
// the batches go on where they were.
func TestPrefetchTellsErrorsLater(t *testing.T) {
	for _, c := range []struct{ accum, at int }{{1, 2}, {2, 4}, {2, 5}} {
		o := recipetest.Tiny()
		o.GradAccum = c.accum
		r := recipetest.Must(t, "vanilla", o)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			batches := func() *trainertest.Listed { return trainertest.Random(8, o.Batch, o.Model.Vocab, 3) }
			want := takeSteps(t, newTrainer(t, d, r, batches()), 3)
			damage := errors.New("shard 7 is damaged")
			tr := newTrainer(t, d, r, &failing{batches(), c.at, damage})
			got := takeSteps(t, tr, 2)
			if _, err := tr.Step(context.Background()); !errors.Is(err, damage) {
				t.Errorf("step 3: %v, want %v", err, damage)
			}
			if at := tr.batches.Cursor().Windows; at != int64(2*c.accum) || tr.step != 2 ||
				numbers(tr) != `{"updates":2}` {
				t.Errorf("after the error the cursor is at batch %d, %d steps and %s are done, want %d and 2", at,
					tr.step, numbers(tr), 2*c.accum)
			}
			for i, m := range append(got, takeSteps(t, tr, 1)...) {
				if m.Loss != want[i].Loss || m.GradNorm != want[i].GradNorm {
					t.Errorf("step %d: loss %g, without the error %g", i+1, m.Loss, want[i].Loss)
				}
			}
		})
	}
}

// A batch that an evaluation drove off the device, or that waited for a growth, is
// loaded again; Seek forgets one.
func TestPrefetchSurvivesBorrowing(t *testing.T) {
	o := recipetest.Tiny()
	r := recipetest.Must(t, "step", o)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		run := func(between func(*Trainer)) (all []record.Metrics) {
			tr := newTrainer(t, d, r, trainertest.Random(8, o.Batch, o.Model.Vocab, 3))
			defer tr.Free()
			for range o.Steps {
				if tr.Due() {
					advance(t, tr)
				}
				all = append(all, takeSteps(t, tr, 1)...)
				between(tr)
			}
			return all
		}
		want := run(func(*Trainer) {})
		for name, between := range map[string]func(*Trainer){
			"evaluation": func(tr *Trainer) {
				heldLoss(t, tr, trainertest.Random(1, o.Batch, o.Model.Vocab, 9).Batches[0])
			},
			"seek": func(tr *Trainer) {
				if err := tr.batches.Seek(tr.batches.Cursor()); err != nil {
					t.Fatal(err)
				}
			},
		} {
			for i, m := range run(between) {
				if m.Loss != want[i].Loss || m.GradNorm != want[i].GradNorm {
					t.Errorf("%s between steps: loss of step %d is %g, else %g", name, i+1, m.Loss, want[i].Loss)
				}
			}
		}
	})
}
