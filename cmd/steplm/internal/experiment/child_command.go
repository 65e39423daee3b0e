package experiment

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/stage"
	"steplm/stage/experiment"
	"steplm/stage/record"
	"steplm/stage/results"
	"steplm/stage/session"
)

// RunCmd is one run of an experiment, in the process that trains it. It reads what is asked for from standard input,
// whose end stops it, and tells on standard output what happens.
type RunCmd struct {
	flags.DeviceFlag
	devices.TuneFlags
}

// asked is what a run's process is asked for.
type asked struct {
	Spec session.Spec `json:"spec"`
	// Evaluate, unless nil, is what the trained model is asked then.
	Evaluate *experiment.Evaluate `json:"evaluate,omitempty"`
}

// told is a line of what a run's process tells, besides the run's own metrics.
type told struct {
	Doing  string `json:"doing,omitempty"`
	Scored int64  `json:"scored,omitempty"` // tokens, of all sets of one evaluation
	// Asked is the share of the model's evaluation that is done.
	Asked    float64 `json:"asked,omitempty"`
	Warning  string  `json:"warning,omitempty"`
	Ended    bool    `json:"ended,omitempty"`
	Stopped  bool    `json:"stopped,omitempty"`
	Error    string  `json:"error,omitempty"`
	Diverged bool    `json:"diverged,omitempty"`
}

// Run is the command. What ends the run is told, and so no error of the process.
func (c *RunCmd) Run(ctx context.Context) error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("a run of an experiment is begun by the experiment: %w", err)
	}
	var ask asked
	if err := json.Unmarshal(line, &ask); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // Who listened may be gone: then the run saves.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		io.Copy(io.Discard, in)
		stop()
	}()
	t := &teller{out: json.NewEncoder(os.Stdout)}
	if err = c.take(ctx, ask.Spec, t); err == nil && ask.Evaluate != nil {
		err = c.evaluate(ctx, ask, t)
	}
	end := told{Ended: true}
	switch {
	case errors.Is(err, stage.ErrStopped), err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled):
		end.Stopped = true
	case err != nil:
		end.Error = flags.Explain(flags.AsUsage(err))
		end.Diverged = stage.Diverged(err)
	}
	return t.tell(end)
}

// teller writes lines, of several goroutines too.
type teller struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (t *teller) tell(line any) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Encode(line)
}

func (t *teller) doing(what string) { t.tell(told{Doing: what}) }

// scoredEvery is how often it is told how many tokens an evaluation has scored.
const scoredEvery = 500 * time.Millisecond

// evaluating tells of evaluations, whose sets follow one another.
func (t *teller) evaluating() func(set string, tokens, total int64) {
	var of string
	var before, last int64 // tokens of the sets before, and of this one
	var then time.Time
	return func(set string, tokens, _ int64) {
		if set != of {
			of, before, then = set, before+last, time.Time{}
		}
		if last = tokens; time.Since(then) >= scoredEvery {
			then = time.Now()
			t.tell(told{Doing: "evaluate " + set, Scored: before + tokens})
		}
	}
}

// quiet is the progress of what is told by its name alone.
type quiet struct{}

func (quiet) Set(int64) {}
func (quiet) Done()     {}

// How long a run waits for the process that holds its folder: that of an experiment which was killed saves and leaves.
const (
	heldAtMost = 5 * time.Minute
	heldAgain  = 200 * time.Millisecond
)

// take begins a run or goes on with it, once no other process holds its folder.
func (c *RunCmd) take(ctx context.Context, spec session.Spec, t *teller) error {
	dir := spec.Output.Out
	if results.Of(dir).Status == results.Done { // Something is left to ask its model.
		return nil
	}
	return unheld(ctx, time.Now().Add(heldAtMost), t, func() error {
		f, err := record.Lock(dir)
		if err == nil {
			f.Close()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return c.train(ctx, spec, record.HoldsRun(dir), t)
	})
}

// noLimit is for who waits for as long as it takes.
var noLimit time.Time

// hold takes hold of a folder, once no other process has it.
func hold(ctx context.Context, dir string, until time.Time, t *teller) (f *record.Folder, err error) {
	err = unheld(ctx, until, t, func() error {
		f, err = record.Lock(dir)
		return err
	})
	return f, err
}

// unheld does something with a folder, again and again as long as another process has it, but not for longer than until
// some time.
func unheld(ctx context.Context, until time.Time, t *teller, do func() error) error {
	for {
		err := do()
		late := until != noLimit && time.Now().After(until)
		if late || !errors.Is(err, record.ErrHeld) && !errors.Is(err, record.ErrBegun) {
			return err
		}
		t.doing("wait for another process to leave it")
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w before it could begin", stage.ErrStopped)
		case <-time.After(heldAgain):
		}
	}
}

// train runs a Spec to its end, or goes on with it.
func (c *RunCmd) train(ctx context.Context, spec session.Spec, resume bool, t *teller) error {
	dev, err := c.Open()
	if err != nil {
		return err
	}
	defer dev.Close()
	ui := session.UI{
		Progress: func(what string, _ int64, _ string) session.Progress {
			t.doing(what)
			return quiet{}
		},
		Warn: func(text string) { t.tell(told{Warning: text}) },
	}
	open := session.Open
	if resume {
		own, err := session.Saved(spec.Output.Out)
		if err != nil {
			return err
		}
		if spec, err = own.Merge(spec, session.Places); err != nil {
			return err
		}
		open = session.Resume
	}
	s, err := open(ctx, dev, spec, ui)
	if err != nil {
		return err
	}
	defer s.Close()
	t.doing("tune the device")
	if _, err := c.TuneFlags.TuneRun(ctx, dev, s.Recipe, true); err != nil {
		return err
	}
	evaluating := t.evaluating()
	report := stage.Report{
		Step: func(m record.Metrics) {
			t.tell(m)
			evaluating = t.evaluating()
		},
		Evaluating: func(set string, tokens, total int64) { evaluating(set, tokens, total) },
		Compiling: func(i, n int, _ string) {
			if i == 0 {
				t.doing("compile")
			}
		},
		Warn: ui.Warn,
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w before the first step", stage.ErrStopped)
	}
	return s.Run(ctx, report, nil)
}
