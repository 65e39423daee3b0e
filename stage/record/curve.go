package record

import (
	"fmt"
	"maps"
)

// Curve is the training loss of a run, step by step, and what happened meanwhile.
type Curve struct {
	Steps  []int     // 1-based, ascending
	Tokens []int64   // seen by the end of the step, ascending
	Loss   []float64 // mean over the step's targets, nats
	FLOPs  []float64 // of the step alone; 0: those of the recipe, see Metrics
	// Seconds of work until the end of the step: of steps, and of evaluations, samples, saves and transitions before
	// it. What a killed process did after its last save is not in it, and neither is the time between two processes.
	Seconds []float64
	// Bytes that were live on the device, by class: one entry for each change of them.
	Bytes []Held
	// Events are those after a step, in order, except saves.
	Events []After
}

// Held are the bytes of each class from a step on, which its index says.
type Held struct {
	Index int
	Bytes map[string]int64
}

// After is an event, and after which of the steps it was, by index.
type After struct {
	Index int
	Event
}

// ReadCurve reads a run's metrics, see Read. It is an error if a line cannot be understood or there is no step; the
// curve has what came before it.
func ReadCurve(path string) (Curve, error) {
	var c Curve
	n, file, beside := 0, fileAt(path), 0.0
	for e, err := range Read(path) {
		if n++; err == nil {
			err = c.add(e, &beside)
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

// add takes in an event. beside are the seconds since the last step that were spent on something else.
func (c *Curve) add(e Event, beside *float64) error {
	last := len(c.Steps) - 1
	switch e := e.(type) {
	case Metrics:
		return c.step(e, beside)
	case Checkpoint:
		*beside += e.Seconds
		return nil
	case Growth:
		*beside += e.Seconds
	case Transition:
		*beside += e.Seconds
	case Evaluation:
		*beside += e.Seconds
	case Samples:
		*beside += e.Seconds
	}
	if last >= 0 {
		c.Events = append(c.Events, After{last, e})
	}
	return nil
}

func (c *Curve) step(e Metrics, beside *float64) error {
	tokens, seconds := e.Tokens, *beside
	if last := len(c.Steps) - 1; last >= 0 {
		if e.Step <= c.Steps[last] || e.Tokens <= c.Tokens[last] {
			return fmt.Errorf("step %d (%d tokens) follows step %d (%d tokens)", e.Step, e.Tokens, c.Steps[last],
				c.Tokens[last])
		}
		tokens -= c.Tokens[last]
		seconds += c.Seconds[last]
	}
	if e.TokensPerSecond > 0 {
		seconds += float64(tokens) / e.TokensPerSecond
	}
	*beside = 0
	if n := len(c.Bytes); len(e.Bytes) > 0 && (n == 0 || !maps.Equal(c.Bytes[n-1].Bytes, e.Bytes)) {
		c.Bytes = append(c.Bytes, Held{len(c.Steps), e.Bytes})
	}
	c.Steps, c.Tokens, c.Loss = append(c.Steps, e.Step), append(c.Tokens, e.Tokens), append(c.Loss, e.Loss)
	c.FLOPs, c.Seconds = append(c.FLOPs, e.FLOPs), append(c.Seconds, seconds)
	return nil
}
