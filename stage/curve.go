package stage

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Curve is the training loss of a run, step by step.
type Curve struct {
	Steps   []int     // 1-based, ascending
	Tokens  []int64   // seen by the end of the step, ascending
	Loss    []float64 // mean over the step's targets, nats
	Growths []int     // indices of the steps right after which the model grew
}

// ReadCurve reads a run's metrics.jsonl; path is the file or the run's folder.
// It is an error if a line cannot be understood or there is no step.
func ReadCurve(path string) (Curve, error) {
	var c Curve
	if i, err := os.Stat(path); err != nil {
		return c, err
	} else if i.IsDir() {
		path = filepath.Join(path, metricsFile)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s holds no run: there is no %s", filepath.Dir(path), metricsFile)
	}
	if err != nil {
		return c, err
	}
	defer f.Close()
	for in, n := bufio.NewReader(f), 1; ; n++ {
		line, err := in.ReadBytes('\n')
		switch {
		case err == nil:
			err = c.add(line)
		case errors.Is(err, io.EOF) && len(line) > 0:
			err = errors.New("the line is cut off")
		case errors.Is(err, io.EOF) && len(c.Steps) == 0:
			return c, fmt.Errorf("%s has no step yet", path)
		case errors.Is(err, io.EOF):
			return c, nil
		}
		if err != nil {
			return c, fmt.Errorf("%s, line %d: %w", path, n, err)
		}
	}
}

// add takes in one line of metrics, a step's or an event's.
func (c *Curve) add(line []byte) error {
	var l struct {
		Event  *string
		Step   *int
		Tokens *int64
		Loss   *float64
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return fmt.Errorf("not a line of metrics: %w", err)
	}
	last := len(c.Steps) - 1
	switch {
	case l.Event != nil:
		if *l.Event == "growth" && last >= 0 {
			c.Growths = append(c.Growths, last)
		}
		return nil
	case l.Step == nil || l.Tokens == nil || l.Loss == nil:
		return errors.New("neither an event nor a step with its tokens and loss")
	case last >= 0 && (*l.Step <= c.Steps[last] || *l.Tokens <= c.Tokens[last]):
		return fmt.Errorf("step %d (%d tokens) follows step %d (%d tokens)", *l.Step, *l.Tokens, c.Steps[last], c.Tokens[last])
	}
	c.Steps, c.Tokens, c.Loss = append(c.Steps, *l.Step), append(c.Tokens, *l.Tokens), append(c.Loss, *l.Loss)
	return nil
}
