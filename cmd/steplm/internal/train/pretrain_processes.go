package train

import (
	"context"
	"errors"
	"slices"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/processes"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model/advice"
	"steplm/stage"
	"steplm/stage/session"
)

// share has every process take a micro-batch of each step, where nobody said how many there are. In a run of rounds
// each makes steps of its own.
func (c *PretrainCmd) share(spec *session.Spec, given []advice.Option) {
	unsaid := spec.Schedule.GradAccum == 1 && !slices.Contains(given, advice.GradAccum)
	if c.Resume == "" && spec.Outer.Every == 0 && unsaid {
		spec.Schedule.GradAccum = c.among.Size()
	}
}

// rounds reports whether several processes meet after rounds of steps that each makes alone.
func (c Job) rounds() bool { return c.Among != nil && c.Spec.Outer.Every > 0 }

// open opens the session of this process.
func (c Job) open(ctx context.Context, dev gpu.Device, ui session.UI) (*session.Session, error) {
	switch {
	case c.rounds():
		return session.OpenRounds(ctx, dev, c.Spec, c.Resume, ui, c.Among)
	case c.Among != nil:
		return session.OpenAmong(ctx, dev, c.Spec, c.Resume, ui, c.Among)
	case c.Resume:
		return session.Resume(ctx, dev, c.Spec, ui)
	}
	return session.Open(ctx, dev, c.Spec, ui)
}

// trainAmong trains as one of several processes, and leaves the others once all have come to the end, or were told to
// stop; after another error all end at once. It leaves last of all, since a launcher may end processes that go on after
// others.
func (c *PretrainCmd) trainAmong(ctx context.Context, spec session.Spec, given []advice.Option) error {
	c.share(&spec, given)
	job := c.job(spec)
	train := job.Run
	if c.among.Rank() > 0 {
		train = job.follow
	}
	err := train(ctx)
	if err != nil && !errors.Is(err, stage.ErrStopped) {
		return processes.Among(c.among, err)
	}
	if err := c.among.Close(); err != nil {
		return processes.Among(c.among, err)
	}
	if c.among.Rank() > 0 {
		return nil // The process that leads says that the run was stopped.
	}
	return err
}

// follow trains as one of the processes that do not lead, and shows nothing.
func (c Job) follow(ctx context.Context) error {
	dev, err := c.Device.Open()
	if err != nil {
		return err
	}
	defer dev.Close()
	return flags.AsUsage(c.trainQuietly(ctx, dev))
}

// trainQuietly is train of a process that shows nothing.
func (c Job) trainQuietly(ctx context.Context, dev gpu.Device) error {
	s, err := c.open(ctx, dev, session.UI{Progress: silence, Warn: func(string) {}})
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := c.Tune.TuneRun(ctx, dev, s.Recipe, true); err != nil {
		return err
	}
	// Kernels are compiled before the first step, as in the process that leads.
	return s.Run(ctx, stage.Report{Compiling: func(int, int, string) {}}, nil)
}

// silence shows no progress.
func silence(what string, total int64, unit string) session.Progress {
	return view.NewProgress(nil, what, total, unit)
}
