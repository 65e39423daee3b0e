package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// stage is one part of what the kit finds out.
type stage struct {
	name  string
	title string
	share float64 // of the time that is left, against the shares of the stages still to come
	run   func(ctx context.Context, k *kit, r *result) error
}

// stages are in order of value: a run that is cut off has the most important.
var stages = []stage{
	{"selftest", "Self-test", 1, selfTest},
	{"tests", "Device tests", 9, deviceTests},
	{"steprun", "A STEP run beside lavapipe's", 5, stepRun},
	{"rates", "Tuner, products and attention", 6, rates},
	{"steps", "Training steps", 6, steps},
	{"torch", "PyTorch on the same card", 6, torch},
	{"trace", "Where a step's time goes", 2, trace},
	{"experiment", "Experiment", 4, experiment},
}

func stageNames() (names []string) {
	for _, s := range stages {
		names = append(names, s.name)
	}
	return names
}

func checkStages(flag string, names []string) error {
	for _, name := range names {
		if !slices.Contains(stageNames(), name) {
			return fmt.Errorf("--%s %s: there is no such stage; there are %s", flag, name,
				strings.Join(stageNames(), ", "))
		}
	}
	return nil
}

// kit is one run of the kit.
type kit struct {
	*runCmd
	dir     string // of the kit
	work    string // for what is thrown away afterwards
	log     *os.File
	began   time.Time
	ends    time.Time
	env     []string // of every program that it starts
	summary summary
	// noDevice says that the self-test found nothing to measure.
	noDevice bool
}

// errSkip ends a stage that has nothing to do; its text says why.
type errSkip struct{ why string }

func (e errSkip) Error() string { return e.why }

func newKit(dir string, c *runCmd, now time.Time) (_ *kit, err error) {
	k := &kit{runCmd: c, dir: dir, began: now, ends: now.Add(time.Duration(c.Minutes * float64(time.Minute)))}
	if k.Out == "" {
		k.Out = now.Format("gpu-kit-20060102-150405")
	}
	// Programs that are started elsewhere are given these.
	for _, path := range []*string{&k.Out, &k.Loader, &k.Driver, &k.Experiment} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	for _, path := range []string{k.Loader, k.Driver, k.Experiment} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return nil, usageError{err}
		}
	}
	if err := os.MkdirAll(k.Out, 0o755); err != nil {
		return nil, fmt.Errorf("no folder for the summary: %w; choose another --out", err)
	}
	if k.work, err = os.MkdirTemp("", "gpu-kit-"); err != nil {
		return nil, fmt.Errorf("no folder for temporary files: %w; set TMPDIR", err)
	}
	if k.log, err = os.Create(filepath.Join(k.Out, "log.txt")); err != nil {
		return nil, err
	}
	k.summary = newSummary(k.Out, now)
	return k, nil
}

func (k *kit) close() {
	k.log.Close()
	os.RemoveAll(k.work)
}

// say prints a line for whoever watches, and logs it.
func (k *kit) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Println(line)
	fmt.Fprintln(k.log, line)
}

// run runs the stages that were asked for.
func (k *kit) run(ctx context.Context) error {
	k.say("gpu-kit: %g minutes; the summary grows in %s", k.Minutes, filepath.Join(k.Out, "summary.md"))
	if err := unpack(k.dir, k.work); err != nil {
		return err
	}
	k.findVulkan()
	var list []stage
	for _, s := range stages {
		if !slices.Contains(k.Skip, s.name) && (len(k.Only) == 0 || slices.Contains(k.Only, s.name)) {
			list = append(list, s)
		}
	}
	for _, s := range list {
		k.summary.add(s)
	}
	for i, s := range list {
		shares := 0.0
		for _, later := range list[i:] {
			shares += later.share
		}
		limit := time.Duration(float64(time.Until(k.ends)) * s.share / shares)
		if err := k.runStage(ctx, s, k.summary.Stages[i], limit); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return errors.New("interrupted; the summary has what was found until then")
		}
		if k.noDevice {
			for _, later := range k.summary.Stages[i+1:] {
				later.Status, later.Note = skipped, "there is no device"
			}
			if err := k.summary.write(); err != nil {
				return err
			}
			k.say("\nthere is no device to measure; log.txt has the Vulkan loader's own words")
			break
		}
	}
	k.say("\n%s", k.summary.goalLines())
	k.say("gpu-kit: done in %s; %s and summary.json have the results, log.txt every command's words",
		time.Since(k.began).Round(time.Second), filepath.Join(k.Out, "summary.md"))
	if k.Strict {
		return k.summary.strict()
	}
	return nil
}

// runStage runs one stage within a limit. Only a summary that cannot be written is an error.
func (k *kit) runStage(ctx context.Context, s stage, r *result, limit time.Duration) error {
	start := time.Now()
	k.say("\n== %s (%s, at most %s)", s.title, s.name, limit.Round(time.Second))
	r.Status = running
	if err := k.summary.write(); err != nil {
		return err
	}
	bounded, stop := context.WithTimeout(ctx, limit)
	defer stop()
	err := s.run(bounded, k, r)
	r.Seconds = time.Since(start).Seconds()
	skip := errSkip{}
	switch {
	case errors.As(err, &skip):
		r.Status, r.Note = skipped, skip.why
	case bounded.Err() != nil:
		r.Status = cutOff
	case err != nil:
		r.Status = failed
		r.note("%v", err)
	case len(r.Failures) > 0:
		r.Status = failed
	default:
		r.Status = passed
	}
	line := fmt.Sprintf("-- %s: %s in %.0f s", s.name, r.Status, r.Seconds)
	if r.Note != "" {
		line += ": " + r.Note
	}
	k.say("%s", line)
	return k.summary.write()
}

// small says whether only what a CPU can do in time is measured.
func (k *kit) small() bool {
	return k.Size == "small" || k.Size == "auto" && k.summary.kind == "cpu"
}

// path is a file of the kit.
func (k *kit) path(name ...string) string { return filepath.Join(append([]string{k.dir}, name...)...) }

// steplm is a command line of the program that is measured, on the kit's device.
func (k *kit) steplm(args ...string) []string {
	list := append([]string{filepath.Join(k.work, program("steplm"))}, args...)
	if k.Device != "" {
		list = append(list, "--device", k.Device)
	}
	return list
}

// program is a program's file name here.
func program(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// copyFile copies a file for the results.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
