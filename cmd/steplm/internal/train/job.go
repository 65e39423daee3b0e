package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/speak"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model/advice"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/session"
)

// Job is a run that a command asks for, and how it is shown.
type Job struct {
	Spec   session.Spec
	Resume bool // it goes on in its folder
	JSON   bool // the lines of metrics.jsonl are printed in place of progress
	Device flags.DeviceFlag
	Tune   devices.TuneFlags
	Trace  TraceFlags
	Among  *reduce.MPI // the processes that train together; nil: this one is alone
	Unused string      // names flags that were given and are not heeded, and says why; "": there are none
	// Opened, unless nil, prepares the run that was opened, and returns what is told of its end.
	Opened func(s *session.Session) (ended func(error), err error)
}

// Run opens the device, trains to the end and tells what happened.
func (c Job) Run(ctx context.Context) error {
	dev, tracer, err := c.Trace.open(c.Device)
	if err != nil {
		return err
	}
	defer dev.Close()
	ctx = whileHeard(ctx)
	start, out := time.Now(), c.Spec.Output.Out
	res, err := c.train(ctx, dev, tracer)
	if errors.Is(err, stage.ErrStopped) {
		err = fmt.Errorf("%w: go on with --resume %s", err, out)
	}
	if err == nil {
		took := time.Since(start)
		var spoken []speak.Sample
		if !c.Spec.Tuning.On() { // which answered its examples
			spoken = speak.Samples(ctx, dev, out)
		}
		if c.JSON {
			err = speak.WriteSamples(os.Stdout, spoken)
		} else {
			err = summarize(os.Stdout, ending{res: res, dev: dev, out: out, took: took, device: c.Device.Device,
				samples: spoken, tuned: c.Spec.Tuning.On()})
		}
	}
	return tracer.finish(c.JSON, os.Stdout, dev, err)
}

// whileHeard is a context that ends too when nobody reads the output any more, as after Ctrl-C, which ends all programs
// of a pipe: then the run saves and ends, as at a signal, and what it prints besides is lost.
func whileHeard(ctx context.Context) context.Context {
	ctx, stop := context.WithCancel(ctx)
	gone := make(chan os.Signal, 1)
	signal.Notify(gone, syscall.SIGPIPE)
	go func() {
		defer stop()
		select {
		case <-gone:
		case <-ctx.Done():
		}
	}()
	return ctx
}

// Unheeded are the flags of options that are given and that a method does not heed.
func Unheeded(method string, given []advice.Option) (list []string, err error) {
	m, err := recipe.FindMethod(method)
	if err != nil {
		return nil, err
	}
	for _, o := range given {
		if !m.Heeds(o) && o != advice.Stages { // One stage is true of every method; others are refused.
			list = append(list, flags.Of(o))
		}
	}
	return list, nil
}

// result is what a run leaves for a summary.
type result struct {
	recipe recipe.Recipe
	peak   float64 // operations per second of the device's products at their best; 0: not measured
	events []record.Event
	memory map[int]stageMemory // by stage, from 1 on
	// Of each stage:
	steps   []int
	tokens  []float64 // no padding
	seconds []float64 // spent in steps
	flops   []float64 // computed in them
	seen    int64     // tokens of the run after the last step
	counted float64   // operations of all stages' steps that count in a budget
	depends bool      // they depend on the data
	usual   []float64 // of a step of each stage that does not say its own
}

// train runs what the Spec asks for on an open device. A run that fails before its first step leaves no folder.
func (c Job) train(ctx context.Context, dev gpu.Device, tracer *tracer) (_ *result, err error) {
	preparing := view.NewProgress(view.ProgressOutput(c.JSON), "read and check what the run needs", 0, "")
	s, err := c.open(ctx, dev, flags.SessionUI(c.JSON))
	preparing.Done()
	if err != nil {
		return nil, flags.AsUsage(err)
	}
	defer s.Close()
	if c.Opened != nil {
		ended, failed := c.Opened(s)
		if failed != nil {
			return nil, failed
		}
		defer func() { ended(err) }()
	}
	peak, err := c.Tune.TuneRun(ctx, dev, s.Recipe, c.JSON)
	if err != nil {
		return nil, err
	}
	usual, err := s.Recipe.StepFLOPs()
	if err != nil {
		return nil, err
	}
	res := &result{recipe: s.Recipe, peak: peak, usual: usual}
	v := newRunView(c.JSON, c.Spec.Output.Out, s.Recipe, res)
	defer v.close()
	err = s.Run(ctx, tracer.watch(s.Recipe, v.report()), func() {
		if !c.JSON {
			describeRun(os.Stdout, s)
			c.describeProcesses(os.Stdout, s)
		}
		if c.Unused != "" {
			fmt.Fprintf(os.Stderr, "steplm: warning: %s\n", c.Unused)
		}
		if !s.Resumed {
			v.begin(0)
		}
	})
	if err != nil {
		return nil, flags.AsUsage(err)
	}
	for _, line := range describeRead(s) {
		v.print("%s", line)
	}
	return res, nil
}
