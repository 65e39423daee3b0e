package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"steplm/cmd/steplm/internal/chart"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/internal/clock"
	"steplm/model"
	"steplm/model/likelihood"
	"steplm/stage/harness"
	"steplm/wgsl"
)

// TaskFlags say which tasks are asked, and how.
type TaskFlags struct {
	// Watch hears how far the answers are, in place of whoever looks at standard error.
	Watch func(harness.Progress) `kong:"-"`
	// Keep, unless nil, has the journal when all answers are in it, in place of its removal: for who asks the same
	// again, or may be stopped before it has written what they came to.
	Keep func(*harness.Journal) `kong:"-"`

	Tasks        []string `required:"" placeholder:"TASK" help:"Tasks, several with commas: ${tasks}."`
	Data         []string `sep:"none" placeholder:"FOLDER" help:"Where the tasks' files are, by their names: JSON Lines, JSON or Parquet; may be given again. Default: the hub's data sets, as data fetch fetches them."`
	NumFewshot   int      `default:"0" range:"0..1e6" placeholder:"K" help:"Documents shown with their answers before each that is asked. Default: ${default}."`
	FewshotSeed  uint64   `default:"${fewshot_seed}" placeholder:"N" help:"Seed of the draws of these. Default: ${default}, the harness's."`
	Limit        int      `default:"0" range:"0..1e9" placeholder:"N" help:"Ask the first N documents of each task only; 0: all."`
	MaxLength    int      `default:"0" range:"0..1e9" placeholder:"N" help:"Positions that a context may have; what is longer is cut on its left. Default: the model's maximum."`
	LeaveOutLong bool     `help:"Leave out documents with a choice of more tokens than a context has positions. Default: such a document is an error, as in the harness."`
	Bootstrap    int      `default:"${resamples}" range:"0..1e9" placeholder:"N" help:"Resamples for the standard error of perplexities; 0: none. Default: ${default}."`
	Cache        string   `placeholder:"DIR" help:"Where answers are kept until all are there, so that an evaluation that was killed goes on. Default: steplm/answers in the user's cache directory."`
}

type evalTasksCmd struct {
	flags.LoadFlags    `embed:""`
	flags.SpecialFlags `embed:""`
	TaskFlags          `embed:""`
	Samples            string `placeholder:"FILE" help:"Write a line of JSON for each document, as lm-evaluation-harness logs samples."`
	JSON               bool   `help:"Print JSON in the layout of lm-evaluation-harness's files of results."`
}

// Help says what the numbers are comparable with.
func (c *evalTasksCmd) Help() string {
	return "Prompts, tokens, metrics and standard errors are those of lm-evaluation-harness 0.4.13, so that " +
		"scores can be compared with those that it gives. Begun again after it was killed, an evaluation goes on."
}

func (c *evalTasksCmd) Run(ctx context.Context) error {
	tasks, err := c.find()
	if err != nil {
		return err
	}
	at, err := c.Find()
	if err != nil {
		return err
	}
	if c.Samples != "" { // before work that it would lose
		if err := flags.Writable(c.Samples); err != nil {
			return fmt.Errorf("--samples: %w", err)
		}
	}
	kept := journals{quiet: c.JSON}
	c.Keep = kept.keep
	scored, err := c.score(ctx, at, tasks, c.SpecialFlags, c.DeviceFlag, c.JSON)
	if err != nil {
		return err
	}
	if c.Samples != "" {
		if err := scored.writeSamples(c.Samples); err != nil {
			return err
		}
	}
	if c.JSON {
		err = view.JSON(scored.vocabulary.Results(scored.outcomes, scored.about))
	} else {
		scored.print()
	}
	if err != nil {
		return err
	}
	kept.remove()
	return nil
}

// journals are answers that are kept until what they came to has been told.
type journals struct {
	list  []*harness.Journal
	quiet bool
}

func (k *journals) keep(j *harness.Journal) { k.list = append(k.list, j) }

// remove removes them. One that the system does not let go is a warning: nothing is lost by it.
func (k *journals) remove() {
	for _, j := range k.list {
		if err := j.Remove(); err != nil {
			flags.SessionUI(k.quiet).Warn(err.Error())
		}
	}
}

// Score asks one model, whose scores have no perplexities of texts.
func (f TaskFlags) Score(ctx context.Context, load flags.LoadFlags) (s harness.Scores, err error) {
	tasks, err := f.find()
	if err != nil {
		return s, err
	}
	at, err := load.Find()
	if err != nil {
		return s, err
	}
	s.Model = load.Model
	err = f.into(ctx, &s, at, tasks, flags.SpecialFlags{}, load.DeviceFlag, true)
	return s, err
}

// into asks a model, and writes what it scored into its scores.
func (f TaskFlags) into(ctx context.Context, s *harness.Scores, at flags.Found, tasks []*harness.Task,
	special flags.SpecialFlags, device flags.DeviceFlag, quiet bool) error {
	scored, err := f.score(ctx, at, tasks, special, device, quiet)
	if err != nil {
		return err
	}
	s.Device, s.Cut, s.LeftOut = scored.about.Device, scored.cut, scored.leftOut
	s.Tasks, err = json.Marshal(scored.vocabulary.Results(scored.outcomes, scored.about))
	return err
}

// find finds the tasks.
func (f TaskFlags) find() ([]*harness.Task, error) {
	tasks, err := harness.Find(f.Tasks)
	if err != nil {
		return nil, flags.UsageError{Err: err}
	}
	if len(tasks) == 0 {
		return nil, flags.Usagef("--tasks names none: choose of %s", strings.Join(harness.Names(), ", "))
	}
	return tasks, nil
}

// scored is what tasks came to.
type scored struct {
	vocabulary *harness.Vocabulary
	outcomes   []harness.Outcome
	about      harness.About
	cut        map[string]int // requests that lost their beginning, by task
	leftOut    map[string]int // documents that were not asked, by task
}

// score asks a model.
func (f TaskFlags) score(ctx context.Context, at flags.Found, tasks []*harness.Task, special flags.SpecialFlags,
	device flags.DeviceFlag, quiet bool) (s scored, err error) {
	sets, vocabulary, err := f.prepare(ctx, at, tasks, special, quiet)
	if err != nil {
		return s, err
	}
	longest := 1
	s.cut, s.leftOut = map[string]int{}, map[string]int{}
	for _, set := range sets {
		longest = max(longest, set.Longest())
		if n, all := set.Cut(); n > 0 {
			s.cut[set.Task.Name] = n
			flags.SessionUI(quiet).Warn(fmt.Sprintf("%s: %d of %d contexts were longer than the model's and lost "+
				"their beginning", set.Task.Name, n, all))
		}
		if n := set.LeftOut; n > 0 {
			s.leftOut[set.Task.Name] = n
			flags.SessionUI(quiet).Warn(fmt.Sprintf("%s: %d of %d documents were left out: a choice has more tokens "+
				"than a context has positions", set.Task.Name, n, n+set.Asked()))
		}
	}
	dev, err := device.Open()
	if err != nil {
		return s, err
	}
	defer dev.Close()
	config := likelihood.Config{Context: min(longest, at.Layout.MaxSeqLen)}
	layout := at.Layout.ForInference()
	specs, err := likelihood.Specs(layout, config)
	if err != nil {
		return s, err
	}
	if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), layout.Specs(), specs)); err != nil {
		return s, err
	}
	m, err := at.Open(dev)
	if err != nil {
		return s, err
	}
	defer m.Free()
	scorer, err := likelihood.New(m, config)
	if err != nil {
		return s, err
	}
	defer scorer.Free()
	s.vocabulary = vocabulary
	trainable, frozen := m.Layout.Count()
	s.about = harness.About{Model: at.Dir, Parameters: trainable + frozen, DType: dtypeName(m.Layout.Storage),
		Device: dev.Name(), Resamples: f.Bootstrap, Began: time.Now()}
	start := clock.Now()
	s.outcomes, err = f.evaluate(ctx, at, dev, scorer, sets, quiet)
	s.about.Took = clock.Since(start)
	return s, err
}

// prepare reads the tasks' data.
func (f TaskFlags) prepare(ctx context.Context, at flags.Found, tasks []*harness.Task, special flags.SpecialFlags,
	quiet bool) ([]*harness.Set, *harness.Vocabulary, error) {
	tok, err := vocabularyOf(at, special)
	if err != nil {
		return nil, nil, err
	}
	if f.MaxLength > at.Layout.MaxSeqLen {
		return nil, nil, flags.Usagef("--max-length %d: the model has %d positions", f.MaxLength, at.Layout.MaxSeqLen)
	}
	length := at.Layout.MaxSeqLen
	if f.MaxLength > 0 {
		length = f.MaxLength
	}
	vocabulary, err := harness.NewVocabulary(tok, length)
	if err != nil {
		return nil, nil, err
	}
	var sets []*harness.Set
	for _, t := range tasks {
		folders := f.Data
		if len(folders) == 0 {
			folder, _, err := flags.Local(ctx, quiet, t.Data.Source())
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w; --data names a folder with its files", t.Name, err)
			}
			folders = []string{folder}
		}
		set, err := harness.Prepare(t, vocabulary, harness.Options{Folders: folders, Shots: f.NumFewshot,
			Seed: f.FewshotSeed, Limit: f.Limit, LeaveOut: f.LeaveOutLong})
		var long *harness.LongError
		if errors.As(err, &long) {
			err = fmt.Errorf("%w: --leave-out-long asks the others", err)
		}
		if err != nil {
			return nil, nil, err
		}
		sets = append(sets, set)
	}
	return sets, vocabulary, nil
}

// evaluate has the tasks answered, with a journal.
func (f TaskFlags) evaluate(ctx context.Context, at flags.Found, dev gpu.Device, scorer harness.Scorer,
	sets []*harness.Set, quiet bool) (outcomes []harness.Outcome, err error) {
	identity, err := identityOf(at, dev)
	if err != nil {
		return nil, err
	}
	folder := f.Cache
	if folder == "" {
		if folder, err = os.UserCacheDir(); err != nil {
			return nil, fmt.Errorf("no folder for answers: %w; --cache names one", err)
		}
		folder = filepath.Join(folder, "steplm", "answers")
	}
	journal, err := harness.OpenJournal(folder, identity)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, journal.Close(err == nil && f.Keep == nil))
		if err == nil && f.Keep != nil {
			f.Keep(journal)
		}
	}()
	if n := journal.Answers(); n > 0 {
		flags.SessionUI(quiet).Warn(fmt.Sprintf("an earlier evaluation of this model left %d answers: it goes on", n))
	}
	e := harness.Evaluation{Scorer: scorer, Journal: journal, Resamples: f.Bootstrap}
	if e.Progress = f.Watch; f.Watch != nil {
		return e.Evaluate(ctx, sets)
	}
	p := view.NewProgress(view.ProgressOutput(quiet), "tasks", shareUnits, "")
	defer p.Done()
	start, first := clock.Now(), int64(-1)
	e.Progress = func(done harness.Progress) {
		if first < 0 {
			first = done.Tokens
		}
		rate := view.Rate(float64(done.Tokens-first) / max(clock.Since(start).Seconds(), 1e-9))
		p.Say(view.Item{Long: rate + " tokens/s", Short: rate + "/s"},
			view.Item{Long: fmt.Sprintf("%s of %s requests", view.Count(done.Requests), view.Count(done.AllRequests))})
		p.Set(int64(float64(done.Tokens) / float64(max(done.AllTokens, 1)) * shareUnits))
	}
	return e.Evaluate(ctx, sets)
}

// identityOf tells a model on a device from others, by its files' sizes and times.
func identityOf(at flags.Found, dev gpu.Device) (string, error) {
	dir, err := filepath.Abs(at.Dir)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	identity := []string{dir, gpu.Identity(dev), wgsl.TextHash()}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return "", err
		}
		identity = append(identity, fmt.Sprint(e.Name(), info.Size(), info.ModTime().UnixNano()))
	}
	return strings.Join(identity, "\n"), nil
}

// dtypeName is the type that a model is computed in, by the name that other programs have for it.
func dtypeName(s model.Storage) string {
	if s.Precision == model.F32 {
		return "float32"
	}
	return "bfloat16"
}

// writeSamples writes a file that appears whole or not at all.
func (s scored) writeSamples(path string) error {
	return chart.Save(path, func(w io.Writer) error {
		for _, o := range s.outcomes {
			if err := o.WriteSamples(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// print prints the table that the harness prints, and the level of chance.
func (s scored) print() {
	rows := [][]string{{"task", "version", "documents", "shots", "metric", "value", "stderr", "chance"}}
	for _, o := range s.outcomes {
		for _, m := range o.Metrics {
			chance, stderr := "", "-"
			if o.Chance > 0 {
				chance = fmt.Sprintf("%.4f", o.Chance)
			}
			if !math.IsNaN(m.StdErr) {
				stderr = fmt.Sprintf("%.4f", m.StdErr)
			}
			rows = append(rows, []string{o.Task.Name, fmt.Sprint(o.Task.Version), view.Count(int64(o.Asked())),
				fmt.Sprint(o.Options.Shots), m.Name, fmt.Sprintf("%.4f", m.Value), stderr, chance})
		}
	}
	view.Table(os.Stdout, 1, rows)
}
