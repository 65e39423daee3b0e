package experiment

import (
	"fmt"

	"steplm/gpu"
	"steplm/stage/session"
)

// maxFactor bounds how many times the layers or windows of the file a variant gets to fill the bytes.
const maxFactor = 64

// equal gives every variant as much of what the file says as one of them has.
func (e *Experiment) equal() error {
	q := e.File.Equal
	if q == nil {
		return nil
	}
	of := e.find(q.Of)
	if of < 0 {
		return fmt.Errorf("equal.of: %w", session.Unknown("", q.Of, e.labels()))
	}
	measure, give := e.FLOPs, giveFLOPs
	if q.What == EqualBytes {
		measure, give = e.bytes, e.fill
	} else if err := e.endAnywhere(); err != nil {
		return err
	}
	limit, err := measure(e.Variants[of].Spec)
	if err != nil {
		return fmt.Errorf("variant %s: %w", q.Of, err)
	}
	for i := range e.Variants {
		if i == of {
			continue
		}
		if err := give(&e.Variants[i].Spec, limit); err != nil {
			return fmt.Errorf("variant %s: %w", e.Variants[i].Label, err)
		}
	}
	return nil
}

// endAnywhere refuses runs that cannot end where operations do.
func (e *Experiment) endAnywhere() error {
	for _, v := range e.Variants {
		if n := v.Spec.Schedule.Epochs; n > 0 {
			return fmt.Errorf("equal.what %s: the runs of variant %s have %d epochs, which are whole, and cannot end "+
				"where operations do: say their length in steps or tokens", EqualFLOPs, v.Label, n)
		}
	}
	return nil
}

// giveFLOPs gives a run as many steps as so many operations make.
func giveFLOPs(s *session.Spec, limit float64) error {
	s.Schedule.Steps, s.Schedule.Tokens, s.Schedule.FLOPs = 0, 0, limit
	return nil
}

// bytes is what the largest stage of a run takes on the device.
func (e *Experiment) bytes(s session.Spec) (float64, error) {
	r, err := e.recipe(s)
	if err != nil {
		return 0, err
	}
	layouts, err := r.Layouts()
	if err != nil {
		return 0, err
	}
	most := int64(0)
	for _, l := range layouts {
		most = max(most, gpu.Plan(gpu.OwnSpecs(), r.Specs(l)).Total())
	}
	return float64(most), nil
}

// fill gives a run the most layers, or windows, with which it takes no more than limit bytes.
func (e *Experiment) fill(s *session.Spec, limit float64) error {
	r, err := e.recipe(*s)
	if err != nil {
		return err
	}
	by, now := e.File.Equal.By, r.Model.Layers
	if by == ByBatch {
		now = r.Batch.Batch
	}
	with := func(n int) session.Spec {
		c := *s
		if by == ByBatch {
			c.Schedule.BatchSize = n
		} else {
			c.Model.Layers = &n
		}
		return c
	}
	best := 0
	for n := 1; n <= now*maxFactor; n++ {
		bytes, err := e.bytes(with(n))
		if err != nil && n < now { // A method may need more layers than so few.
			continue
		}
		if err != nil {
			return err
		}
		if bytes > limit {
			break
		}
		best = n
	}
	if best == 0 {
		return fmt.Errorf("with no %s it takes as little as %.0f bytes on the device", by, limit)
	}
	*s = with(best)
	return nil
}
