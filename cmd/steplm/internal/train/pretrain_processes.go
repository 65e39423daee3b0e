package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model/advice"
	"steplm/stage"
	"steplm/stage/session"
)

// share has every process take a micro-batch of each step, where nobody said how many there are.
func (c *PretrainCmd) share(spec *session.Spec, given []advice.Option) {
	if c.Resume == "" && spec.Schedule.GradAccum == 1 && !slices.Contains(given, advice.GradAccum) {
		spec.Schedule.GradAccum = c.among.Size()
	}
}

// open opens the session of this process.
func (c *PretrainCmd) open(ctx context.Context, dev gpu.Device, spec session.Spec, ui session.UI) (*session.Session,
	error) {
	switch {
	case c.among != nil:
		return session.OpenAmong(ctx, dev, spec, c.Resume != "", ui, c.among)
	case c.Resume != "":
		return session.Resume(ctx, dev, spec, ui)
	}
	return session.Open(ctx, dev, spec, ui)
}

// trainAmong trains as one of several processes, and leaves the others once all have come to the end, or were told to
// stop; after another error all end at once. It leaves last of all, since a launcher may end processes that go on after
// others.
func (c *PretrainCmd) trainAmong(ctx context.Context, spec session.Spec, given []advice.Option) error {
	c.share(&spec, given)
	train := c.lead
	if c.among.Rank() > 0 {
		train = c.follow
	}
	err := train(ctx, spec)
	if err != nil && !errors.Is(err, stage.ErrStopped) {
		return flags.Among(c.among, err)
	}
	if err := c.among.Close(); err != nil {
		return flags.Among(c.among, err)
	}
	if c.among.Rank() > 0 {
		return nil // The process that leads says that the run was stopped.
	}
	return err
}

// follow trains as one of the processes that do not lead, and shows nothing.
func (c *PretrainCmd) follow(ctx context.Context, spec session.Spec) error {
	dev, err := c.DeviceFlag.DeviceAmong(c.among).Open()
	if err != nil {
		return err
	}
	defer dev.Close()
	return flags.AsUsage(c.trainQuietly(ctx, dev, spec))
}

// trainQuietly is train of a process that shows nothing.
func (c *PretrainCmd) trainQuietly(ctx context.Context, dev gpu.Device, spec session.Spec) error {
	s, err := c.open(ctx, dev, spec, session.UI{Progress: silence, Warn: func(string) {}})
	if err != nil {
		return err
	}
	defer s.Close()
	work, err := stage.Classes(s.Recipe, dev.Limits())
	if err != nil {
		return err
	}
	if _, err := c.TuneFlags.Tune(ctx, dev, work, s.Recipe.Storage.Precision, true); err != nil {
		return err
	}
	// Kernels are compiled before the first step, as in the process that leads.
	return s.Run(ctx, stage.Report{Compiling: func(int, int, string) {}}, nil)
}

// silence shows no progress.
func silence(what string, total int64, unit string) session.Progress {
	return view.NewProgress(nil, what, total, unit)
}

// describeProcesses says which processes train together, and how gradients travel between them.
func (c *PretrainCmd) describeProcesses(w io.Writer, s *session.Session) {
	if c.among == nil {
		return
	}
	m := c.among
	hosts := map[string]int{}
	for r := range m.Size() {
		hosts[m.Host(r)]++
	}
	how := "while others are computed"
	if s.Spec.Processes.NoOverlap {
		how = "after the backward pass"
	}
	o, _ := s.Spec.Processes.Options() // They were checked when the session was opened.
	fmt.Fprintf(w, "%-10s %s on %s by %s\n", "processes", view.Plural(int64(m.Size()), "process", "processes"),
		view.Plural(int64(len(hosts)), "machine", "machines"), m)
	fmt.Fprintf(w, "%-10s gradients travel as %s, %s\n", "", o.Wire, how)
}
