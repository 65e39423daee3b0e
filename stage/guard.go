package stage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"steplm/model/advice"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// watched is what a guard remembers. It is in every checkpoint, so that a resumed run sees the same spikes.
type watched struct {
	Losses    []float64 `json:"losses,omitempty"` // of the last steps of the stage
	Norms     []float64 `json:"norms,omitempty"`
	Skipped   []int     `json:"skipped,omitempty"` // 0-based steps before which a step's batches are left out
	Rollbacks int       `json:"rollbacks,omitempty"`
}

// Spike is a step that a guard does not let pass.
type Spike struct {
	Step                   int // 1-based
	Loss, Norm             float64
	MedianLoss, MedianNorm float64 // of the steps before
	ways                   []advice.Way
}

func (s *Spike) Error() string {
	return fmt.Sprintf("step %d is a spike: its loss is %.4g and its gradient norm %.4g, where the medians of the "+
		"steps before are %.4g and %.4g; what it did is thrown away, and the last checkpoint is whole", s.Step, s.Loss,
		s.Norm,
		s.MedianLoss, s.MedianNorm)
}

// Unwrap is what would help.
func (s *Spike) Unwrap() error { return advice.With(errors.New("a spike"), s.ways...) }

// watch takes note of a step's loss and norm, or says that they are a spike. Ones that are not finite always are.
func (t *Trainer) watch(loss, norm float64, finite bool) error {
	g := t.Recipe.Guard
	if g == nil {
		return nil
	}
	w := &t.watched
	spike := &Spike{Step: t.step + 1, Loss: loss, Norm: norm, MedianLoss: median(w.Losses), MedianNorm: median(w.Norms)}
	above := loss > g.Loss*spike.MedianLoss || norm > g.Norm*spike.MedianNorm
	if !finite || above && len(w.Losses) >= g.Least() {
		return spike
	}
	last := func(list []float64, x float64) []float64 {
		list = append(list, x)
		return slices.Clone(list[max(0, len(list)-g.Window):])
	}
	w.Losses, w.Norms = last(w.Losses, loss), last(w.Norms, norm)
	return nil
}

// median is that of any number of values, 0 of none.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// skip leaves out the batches of steps that rolled back.
func (t *Trainer) skip(ctx context.Context) error {
	for _, step := range t.watched.Skipped {
		if step == t.step {
			if _, err := t.batches.step(ctx, t.acts); err != nil {
				return err
			}
		}
	}
	return nil
}

// rollback goes back to before a spike: to the last checkpoint, or the run's beginning, as a resume would, but that
// the spike's batches will be left out. It frees the trainer that was there.
func (r *Run) rollback(t *Trainer, s *Spike) (*Trainer, error) {
	g := t.Recipe.Guard
	lower := advice.Way{{How: advice.Lower, Option: advice.LR}}
	if g.OnSpike != recipe.RollbackOnSpike {
		s.ways = []advice.Way{{{How: advice.Use, Option: advice.OnSpike, Value: recipe.RollbackOnSpike + " from the " +
			"start"}},
			lower}
		return nil, s
	}
	w := t.watched
	if w.Rollbacks >= g.Most {
		s.ways = []advice.Way{{{How: advice.Raise, Option: advice.MaxRollbacks}}, lower}
		return nil, fmt.Errorf("after %d rollbacks, the most that are allowed: %w", w.Rollbacks, s)
	}
	t.Free()
	name, note, err := r.lastCheckpoint()
	metrics, fresh := int64(0), name == ""
	if err != nil {
		return nil, fmt.Errorf("step %d spiked, and the run cannot go back: %w", s.Step, err)
	}
	r.warn("%s", note)
	if fresh {
		if err = r.Batches.Seek(r.began); err == nil {
			t, err = r.begin()
		}
	} else {
		t, metrics, err = loadTrainer(r.Device, r.Recipe, r.Folder.hash, r.Batches,
			filepath.Join(r.Folder.Checkpoints(), name))
	}
	if err != nil {
		return nil, fmt.Errorf("step %d spiked, and the run cannot go back: %w", s.Step, err)
	}
	t.hash = r.Folder.hash
	if err := t.Join(r.Reducer); err != nil {
		return t, err
	}
	t.watched.Skipped = slices.Clone(append(w.Skipped, s.Step-1))
	t.watched.Rollbacks = w.Rollbacks + 1
	if err := r.openMetrics(metrics); err != nil || !r.Reducer.Leads() {
		return t, err
	}
	e := record.Rollback{At: t.at(), Checkpoint: name, Spike: s.Step, Loss: s.Loss, GradNorm: s.Norm,
		MedianLoss: s.MedianLoss, MedianNorm: s.MedianNorm, Rollbacks: t.watched.Rollbacks}
	if sum := s.Loss + s.Norm; math.IsNaN(sum) || math.IsInf(sum, 0) {
		e.Loss, e.GradNorm, e.NotFinite = 0, 0, true
	}
	r.rolledBack = append(r.rolledBack, e)
	for i, e := range r.rolledBack { // Those since the checkpoint were cut off with what followed it.
		if i < len(r.rolledBack)-1 {
			err = r.Folder.Metrics.Write(e)
		} else {
			err = r.event(e)
		}
		if err != nil {
			return t, err
		}
	}
	return t, r.Folder.Metrics.Keep()
}
