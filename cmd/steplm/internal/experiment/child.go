package experiment

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"steplm/cmd/steplm/internal/child"
	"steplm/stage/experiment"
	"steplm/stage/record"
	"steplm/stage/results"
)

// ran is how a run's process ended.
type ran struct {
	run     experiment.Run
	device  string
	stopped bool   // it was told to, and can go on
	problem string // "": none
	// diverged: that is the problem.
	diverged bool
}

// runIn has a process train a run in its folder, from where it is, and hears of its steps. The end of ctx, and that of
// this process, has it save and stop: it reads its standard input, which then ends.
func (c *Cmd) runIn(ctx context.Context, f *experiment.Folder, r experiment.Run, device string,
	step func(record.Metrics), doing func(told)) (end ran) {
	end = ran{run: r, device: device}
	fail := func(err error) ran {
		end.problem = err.Error()
		return end
	}
	dir := f.At(r)
	ask := asked{Spec: r.Spec}
	if !r.Trial {
		ask.Evaluate = f.File.Evaluate
	}
	ask.Spec.Output.Out = dir
	text, err := json.Marshal(ask)
	if err != nil {
		return fail(err)
	}
	self, err := os.Executable()
	if err != nil {
		return fail(fmt.Errorf("no program to run it in another process: %w", err))
	}
	args := []string{"experiment-run", "--device=" + device, fmt.Sprintf("--gpu-share=%g", c.GPUShare),
		fmt.Sprintf("--seconds-per-class=%g", c.SecondsPerClass), "--tune-cache=" + c.TuneCache}
	if c.NoTune {
		args = append(args, "--no-tune")
	}
	p := exec.Command(self, args...)
	var stderr ending
	p.Stderr = &stderr
	in, err := p.StdinPipe()
	if err != nil {
		return fail(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := p.Start(); err != nil {
		return fail(err)
	}
	if _, err := in.Write(append(text, '\n')); err != nil {
		p.Process.Kill()
		p.Wait()
		return fail(fmt.Errorf("the process that was to run it took nothing: %w: %s", err,
			child.LastWords(stderr.String())))
	}
	over := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-over:
		}
		in.Close()
	}()
	answer, heard := listen(out, step, doing)
	close(over)
	err = p.Wait()
	switch {
	case answer.Stopped || !answer.Ended && ctx.Err() != nil:
		end.stopped = true
	case answer.Error != "":
		end.problem, end.diverged = answer.Error, answer.Diverged
	case !answer.Ended:
		return fail(fmt.Errorf("its process ended (%v): %s", err, child.LastWords(stderr.String())))
	case heard != nil:
		return fail(heard)
	}
	return end
}

// ending keeps the last of what is written.
type ending struct{ text []byte }

// endingKept is how much, in bytes: a driver may say the same for hours.
const endingKept = 64 << 10

// Write takes in more.
func (e *ending) Write(more []byte) (int, error) {
	e.text = append(e.text, more...)
	if over := len(e.text) - endingKept; over > 0 {
		e.text = append(e.text[:0], e.text[over:]...)
	}
	return len(more), nil
}

// String is what is kept.
func (e *ending) String() string { return string(e.text) }

// listen reads what a run's process tells, to its end.
func listen(out io.Reader, step func(record.Metrics), doing func(told)) (answer told, err error) {
	in := bufio.NewReader(out)
	for {
		line, readErr := in.ReadBytes('\n')
		if readErr != nil {
			if !errors.Is(readErr, io.EOF) {
				err = readErr
			}
			return answer, err
		}
		var t told
		if json.Unmarshal(line, &t) == nil && (t.Ended || t.Doing != "" || t.Warning != "") {
			switch {
			case t.Ended:
				answer = t
			case t.Doing != "":
				doing(t)
			default:
				warn(t.Warning)
			}
			continue
		}
		if e, decodeErr := record.Decode(bytes.TrimSpace(line)); decodeErr == nil {
			if m, ok := e.(record.Metrics); ok {
				step(m)
			}
		}
	}
}

// deviceList are the devices that take turns. A name may have a comma in it where one is enough.
func (c *Cmd) deviceList() (list []string) {
	if c.Parallel == 1 {
		return []string{c.Device}
	}
	for _, d := range strings.Split(c.Device, ",") {
		list = append(list, strings.TrimSpace(d))
	}
	return list
}

// failure is what an experiment remembers of a run's bad end; ok is false where it went well.
func (r ran) failure() (f experiment.Failure, ok bool) {
	f = experiment.Failure{Status: results.Failed, Error: r.problem}
	if r.diverged {
		f.Status = results.Diverged
	}
	return f, r.problem != ""
}
