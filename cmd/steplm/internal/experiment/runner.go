package experiment

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"steplm/cmd/steplm/internal/view"
	"steplm/stage"
	"steplm/stage/experiment"
	"steplm/stage/results"
)

// runner runs what is left of an experiment.
type runner struct {
	*Cmd
	folder *experiment.Folder
	idle   []string        // devices, one for each run that may begin
	taken  map[string]bool // runs that this process began, by name
	shown  *whole
	ended  chan ran
}

func newRunner(c *Cmd, f *experiment.Folder) *runner {
	r := &runner{Cmd: c, folder: f, taken: map[string]bool{}, ended: make(chan ran)}
	list := c.deviceList()
	for i := range c.Parallel {
		r.idle = append(r.idle, list[i%len(list)])
	}
	return r
}

// run runs until nothing is left, or ctx ends; then those that are under way save.
func (r *runner) run(ctx context.Context) (err error) {
	if r.shown, err = newWhole(r.folder); err != nil {
		return err
	}
	defer r.shown.close()
	if err := r.folder.WriteResults(r.Stable); err != nil {
		return err
	}
	under, stopped := 0, false
	for {
		for ctx.Err() == nil && len(r.idle) > 0 {
			next, ok := r.folder.Next(func(x experiment.Run) bool { return r.taken[x.Name] })
			if !ok {
				break
			}
			if err := r.begin(ctx, next); err != nil {
				return err
			}
			under++
		}
		if under == 0 {
			break
		}
		end := <-r.ended
		under--
		stopped = stopped || end.stopped
		if err := r.end(end); err != nil {
			return err
		}
	}
	r.shown.close()
	if ctx.Err() != nil || stopped {
		return fmt.Errorf("%w; go on with: steplm experiment %s", stage.ErrStopped, r.Out)
	}
	return r.summarize(os.Stdout)
}

// begin starts a run in a process.
func (r *runner) begin(ctx context.Context, x experiment.Run) error {
	device := r.idle[0]
	r.idle, r.taken[x.Name] = r.idle[1:], true
	r.folder.Forget(x)
	if err := r.folder.Save(); err != nil {
		return err
	}
	s, err := r.shown.begin(x)
	if err != nil {
		return err
	}
	go func() {
		r.ended <- r.runIn(ctx, r.folder, x, device, s.step, s.doing)
	}()
	return nil
}

// end takes note of how a run ended.
func (r *runner) end(e ran) error {
	r.idle = append(r.idle, e.device)
	if failure, bad := e.failure(); bad {
		r.folder.State.Failures[e.run.Name] = failure
		if err := r.folder.Save(); err != nil {
			return err
		}
	}
	if err := r.shown.end(e, r.folder.Row(e.run)); err != nil {
		return err
	}
	return r.folder.WriteResults(r.Stable)
}

// summarize prints what came out, and is an error where a run failed that did not diverge.
func (r *runner) summarize(w *os.File) error {
	of := r.folder.Rows()
	table(w, r.folder, of)
	rows, failed := experiment.All(of), 0
	for _, row := range rows {
		switch row.Status {
		case results.Done, results.Selection:
			if row.Problem == "" {
				continue
			}
		case results.Diverged:
		default:
			failed++
		}
		warn(fmt.Sprintf("%s: %s: %s", row.Run, row.Status, row.Problem))
	}
	fmt.Fprintf(w, "\n%s: %s\n", view.Plural(int64(len(rows)), "run", "runs"),
		filepath.Join(r.Out, experiment.ResultsFile))
	if failed > 0 {
		return fmt.Errorf("%s: the same command tries again",
			view.Plural(int64(failed), "run failed", "runs failed"))
	}
	return nil
}
