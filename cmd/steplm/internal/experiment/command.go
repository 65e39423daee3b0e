// Package experiment has the command that runs comparisons: every run of an experiment in a process of its own, this
// program once more, so that a driver that ends a process ends one run, and what a run took is its own.
package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/internal/disk"
	"steplm/model/checkpoint"
	"steplm/stage/experiment"
	"steplm/stage/session"
)

// Cmd runs an experiment.
type Cmd struct {
	Experiment string   `arg:"" optional:"" name:"file|name|dir" help:"An experiment's file, the name of a built-in one (${experiments}), or the folder of one that goes on."`
	Out        string   `placeholder:"DIR" help:"Folder of the experiment: runs below it, results.csv, tokenizer and token cache."`
	Scale      string   `placeholder:"NAME" help:"Model, tokens, seeds and tokenizer where the file says none: ${scales}."`
	Write      string   `placeholder:"NAME" help:"Print a built-in experiment, with --scale at that size, to be edited, and do nothing else."`
	Data       []string `sep:"none" placeholder:"PATH[=WEIGHT]" help:"Training data, as pretrain takes them."`
	Validation string   `placeholder:"PATH" help:"Validation data: of the results, and by which learning rates are chosen."`
	Wikitext   string   `placeholder:"PATH" help:"WikiText, for word perplexity: wiki.test.raw or Parquet rows."`
	Tokenizer  string   `placeholder:"PATH" help:"Tokenizer. Default: that of the models in --from, else one is trained on the data, as large as the file says."`
	From       string   `placeholder:"DIR" help:"Folder of the experiment with whose models the runs begin."`
	TasksData  string   `placeholder:"FOLDER" help:"Where the files of downstream tasks are. Default: the hub's data sets."`
	Questions  string   `placeholder:"FILE" help:"MT-Bench's questions, FastChat's question.jsonl, to be answered."`
	Parallel   int      `default:"1" placeholder:"N" range:"1..1000" help:"Runs at a time. Default: ${default}. Several devices, with commas in --device, take turns."`
	Stable     bool     `help:"Leave out of results.csv what a kill and a resume may change: tokens_per_second."`

	flags.DeviceFlag
	devices.TuneFlags
}

// Help says what becomes of runs.
func (c *Cmd) Help() string {
	return "Runs follow one another, all of the first seed before those of the second; each is an ordinary run " +
		"folder. Ctrl-C saves and ends; the same command, or `steplm experiment DIR`, goes on: what is done is " +
		"skipped, what is half done goes on. A run that diverges or fails is a row of the table that says so, and " +
		"the others go on."
}

// Run is the command.
func (c *Cmd) Run(ctx context.Context) error {
	if c.Write != "" {
		return c.write()
	}
	file, err := c.file()
	if err != nil {
		return err
	}
	for _, name := range c.deviceList() { // Else every run would say that there is none.
		d := c.DeviceFlag
		d.Device = name
		dev, err := d.Open()
		if err != nil {
			return err
		}
		dev.Close()
	}
	if err := checkpoint.MakeDir(c.Out); err != nil {
		return err
	}
	lock, err := disk.TryLock(filepath.Join(c.Out, ".lock"))
	if err != nil && !disk.Unsupported(err) {
		return err
	}
	if err == nil && lock == nil {
		return fmt.Errorf("another process runs the experiment in %s", c.Out)
	}
	defer lock.Release()
	folder, err := c.prepare(ctx, file)
	if err != nil {
		return flags.AsUsage(err)
	}
	return newRunner(c, folder).run(ctx)
}

// write prints a built-in experiment.
func (c *Cmd) write() error {
	if c.Experiment != "" {
		return flags.Usagef("--write %s prints an experiment, %s would be run: give one of them", c.Write, c.Experiment)
	}
	file, err := experiment.Builtin(c.Write)
	if err == nil && c.Scale != "" {
		file, err = file.AtScale(c.Scale)
	}
	if err != nil {
		return flags.UsageError{Err: err}
	}
	text, err := file.Text()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

// file is what is to be run, with where its data lie, as the flags have it.
func (c *Cmd) file() (file experiment.File, err error) {
	if c.Experiment == "" {
		return file, flags.Usagef("name an experiment: a file, a folder, or one of %s",
			strings.Join(experiment.Names(), ", "))
	}
	_, declared := os.Stat(filepath.Join(c.Experiment, experiment.DeclaredFile))
	at, missing := os.Stat(c.Experiment)
	sameFolder := c.Out == "" || filepath.Clean(c.Out) == filepath.Clean(c.Experiment)
	switch named := slices.Contains(experiment.Names(), c.Experiment); {
	case named && !(declared == nil && sameFolder): // A folder that happens to be called so is something else.
		file, err = experiment.Builtin(c.Experiment)
	case missing == nil && at.IsDir():
		return c.again(sameFolder)
	case missing == nil || strings.ContainsAny(c.Experiment, `/\.`):
		file, err = experiment.ReadFile(c.Experiment)
	default:
		if file, err = experiment.Builtin(c.Experiment); err != nil {
			err = flags.UsageError{Err: err}
		}
	}
	if err != nil {
		return file, err
	}
	if c.Out == "" {
		return file, flags.Usagef("missing flags: --out")
	}
	if c.Scale != "" {
		if file, err = file.AtScale(c.Scale); err != nil {
			return file, flags.UsageError{Err: err}
		}
	}
	return c.located(file)
}

// again is what the folder that is named has, which goes on there.
func (c *Cmd) again(sameFolder bool) (file experiment.File, err error) {
	if !sameFolder {
		return file, flags.Usagef("%s is the folder of an experiment, which goes on there: leave --out out",
			c.Experiment)
	}
	if c.Scale != "" {
		return file, flags.Usagef("%s is the folder of an experiment, which has its scale: leave --scale out",
			c.Experiment)
	}
	c.Out = c.Experiment
	file, err = experiment.ReadFile(filepath.Join(c.Experiment, experiment.DeclaredFile))
	if errors.Is(err, fs.ErrNotExist) {
		return file, fmt.Errorf("%s holds no experiment: there is no %s", c.Experiment, experiment.DeclaredFile)
	}
	if err != nil {
		return file, err
	}
	return c.located(file)
}

// located is a file with the paths that the flags give; all of its own too hold in every working directory.
func (c *Cmd) located(file experiment.File) (experiment.File, error) {
	given, err := flags.SpecOf(c)
	if err != nil {
		return file, err
	}
	if file, err = file.WithPlaces(given); err != nil {
		return file, err
	}
	if file, err = c.asked(file); err != nil {
		return file, err
	}
	return file.Located(c.Out)
}

// asked is a file with where its models begin and with what they are asked, as the flags have it, in paths that hold in
// every working directory.
func (c *Cmd) asked(file experiment.File) (_ experiment.File, err error) {
	if c.From != "" && !file.Begins() {
		return file, flags.Usagef("--from %s: the runs of %s begin with no models", c.From, file.Name)
	}
	file.From = cmp.Or(c.From, file.From)
	places := []*string{&file.From}
	if e := file.Evaluate; e != nil {
		x := *e
		file.Evaluate = &x
		if e.Tasks != nil {
			t := *e.Tasks
			t.Data = cmp.Or(c.TasksData, t.Data)
			x.Tasks, places = &t, append(places, &t.Data)
		}
		if e.MTBench != nil {
			m := *e.MTBench
			m.Questions = cmp.Or(c.Questions, m.Questions)
			x.MTBench, places = &m, append(places, &m.Questions)
		}
	}
	if c.TasksData != "" && (file.Evaluate == nil || file.Evaluate.Tasks == nil) {
		return file, flags.Usagef("--tasks-data %s: %s asks no tasks", c.TasksData, file.Name)
	}
	if c.Questions != "" && (file.Evaluate == nil || file.Evaluate.MTBench == nil) {
		return file, flags.Usagef("--questions %s: %s asks no questions of MT-Bench", c.Questions, file.Name)
	}
	for _, p := range places {
		if *p == "" {
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			return file, err
		}
	}
	return file, nil
}

// seen has a session show what it does.
func seen() session.UI { return flags.SessionUI(false) }

// say prints a line above what is shown of the whole.
func say(format string, args ...any) { view.Print(os.Stdout, fmt.Sprintf(format, args...)+"\n") }
