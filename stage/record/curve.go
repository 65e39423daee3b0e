package record

import "fmt"

// Curve is the training loss of a run, step by step, and what it was measured at meanwhile.
type Curve struct {
	Steps   []int     // 1-based, ascending
	Tokens  []int64   // seen by the end of the step, ascending
	Loss    []float64 // mean over the step's targets, nats
	Growths []int     // indices of the steps right after which the model grew
	// Evaluations are those after a step, in order; At says after which of the steps, by index.
	Evaluations []Evaluation
	At          []int
}

// ReadCurve reads a run's metrics, see Read. It is an error if a line cannot be understood or there is
// no step.
func ReadCurve(path string) (Curve, error) {
	var c Curve
	n, file := 0, fileAt(path)
	for e, err := range Read(path) {
		if n++; err == nil {
			err = c.add(e)
			if err != nil {
				err = fmt.Errorf("%s, line %d: %w", file, n, err)
			}
		}
		if err != nil {
			return c, err
		}
	}
	if len(c.Steps) == 0 {
		return c, fmt.Errorf("%s has no step yet", file)
	}
	return c, nil
}

// add takes in an event.
func (c *Curve) add(e Event) error {
	last := len(c.Steps) - 1
	switch e := e.(type) {
	case Growth:
		if last >= 0 {
			c.Growths = append(c.Growths, last)
		}
	case Evaluation:
		if last >= 0 {
			c.Evaluations, c.At = append(c.Evaluations, e), append(c.At, last)
		}
	case Metrics:
		if last >= 0 && (e.Step <= c.Steps[last] || e.Tokens <= c.Tokens[last]) {
			return fmt.Errorf("step %d (%d tokens) follows step %d (%d tokens)", e.Step, e.Tokens, c.Steps[last],
				c.Tokens[last])
		}
		c.Steps, c.Tokens, c.Loss = append(c.Steps, e.Step), append(c.Tokens, e.Tokens), append(c.Loss, e.Loss)
	}
	return nil
}
