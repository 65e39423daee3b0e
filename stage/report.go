package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"steplm/stage/eval"
	"steplm/stage/guard"
	"steplm/stage/record"
	"steplm/stage/trainer"
)

// Report hears what happens; nil functions are not called.
type Report struct {
	Step  func(record.Metrics)
	Event func(record.Event) // that is no step
	// Evaluating hears how many tokens of a task are scored, of how many about; 0: that is not known.
	Evaluating func(task string, tokens, total int64)
	Sampling   func() // hears that samples are drawn next
	// Waiting hears what a run with others waits for next, and "" once that is there.
	Waiting func(what string)
	// Compiling hears which of a stage's kernels is compiled next; it is done when i is n.
	Compiling func(i, n int, kernel string)
	// Exported hears where the trained model was written, before it is measured.
	Exported func(dir string)
	// Warn hears, once, of what the system refused or what is not as it should be, and the run goes on without.
	Warn func(text string)
}

// warn tells of what the system refused or what is not as it should be, unless it was told already; "" is nothing.
func (r *Run) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text == "" {
		return
	}
	if r.Report.Warn != nil && !slices.Contains(r.warned, text) {
		r.Report.Warn(text)
	}
	r.warned = append(r.warned, text)
}

// event writes one down and tells of it, if this process leads.
func (r *Run) event(e record.Event) error {
	if !r.Reducer.Leads() {
		return nil
	}
	if err := r.Folder.Metrics.Write(e); err != nil {
		return err
	}
	if r.Report.Event != nil {
		r.Report.Event(e)
	}
	return nil
}

// Diverged reports whether an error is that of a run whose numbers are none, or that spiked.
func Diverged(err error) bool {
	var diverged *trainer.Diverged
	var spike *guard.Spike
	return errors.As(err, &diverged) || errors.Is(err, eval.ErrNotFinite) || errors.As(err, &spike)
}

// failed writes down that the run ended in an error after its first step, unless it was told to stop.
func (r *Run) failed(err error) error {
	if err == nil || r.Folder.Metrics == nil || errors.Is(err, ErrStopped) || errors.Is(err, context.Canceled) {
		return err
	}
	at := r.trainer.At()
	if spike := (*guard.Spike)(nil); errors.As(err, &spike) {
		at.Step = spike.Step - 1 // What it did is thrown away.
	}
	if at.Step > 0 { // What cannot be written is told anyway.
		r.event(record.Failure{At: at, Error: err.Error(), Diverged: Diverged(err)})
	}
	return err
}
