package measure

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/stage/harness"
	"steplm/stage/record"
)

type evalAllCmd struct {
	Model              []string `required:"" sep:"none" placeholder:"DIR|RUN@step-N" help:"A run's folder, for its final model; RUN@step-N, for a checkpoint of it; a checkpoint's folder; or a model directory as Hugging Face has it. May be given again."`
	Tokenizer          string   `placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt. Default: each model's."`
	flags.DeviceFlag   `embed:""`
	flags.SpecialFlags `embed:""`
	Validation         string `placeholder:"DIR|GLOB|FILE" help:"Parquet, JSON Lines or text files: token perplexity."`
	Wikitext           string `name:"wikitext" placeholder:"FILE" help:"WikiText, as wiki.test.raw or as Parquet: word perplexity as lm-evaluation-harness has it."`
	TextColumn         string `default:"text" placeholder:"NAME" help:"The column, or field, of --validation that holds the text. Default: ${default}."`
	TaskFlags          `embed:""`
	JSON               bool `help:"Print JSON: a list of what each model scored."`
}

// Help says where the numbers go.
func (c *evalAllCmd) Help() string {
	return "What the final model of a run scored is kept in the run's folder, in " + harness.ScoresFile +
		", where report finds it."
}

func (c *evalAllCmd) Run(ctx context.Context) error {
	tasks, err := c.find()
	if err != nil {
		return err
	}
	var all []harness.Scores
	kept := journals{quiet: c.JSON} // until all models are measured: what one of them scored is printed then
	c.Keep = kept.keep
	for _, name := range c.Model { // All are there before the first is measured.
		if _, err := c.load(name).Find(); err != nil {
			return err
		}
	}
	for _, name := range c.Model {
		s, err := c.measure(ctx, name, tasks)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if record.HoldsRun(name) {
			if err := s.Write(name); err != nil {
				return err
			}
		}
		all = append(all, s)
	}
	tell := func() error { return printScored(c.Model, all) }
	if c.JSON {
		tell = func() error { return view.JSON(all) }
	}
	if err := tell(); err != nil {
		return err
	}
	kept.remove()
	return nil
}

func (c *evalAllCmd) load(model string) flags.LoadFlags {
	return flags.LoadFlags{Model: model, Tokenizer: c.Tokenizer, DeviceFlag: c.DeviceFlag}
}

// measure is the whole evaluation of one model.
func (c *evalAllCmd) measure(ctx context.Context, name string, tasks []*harness.Task) (s harness.Scores, err error) {
	load := c.load(name)
	at, err := load.Find()
	if err != nil {
		return s, err
	}
	s.Model = name
	if c.Validation != "" || c.Wikitext != "" {
		const windows = 8 // at once
		ppl := evalPplCmd{LoadFlags: load, SpecialFlags: c.SpecialFlags, Data: c.Validation, Wikitext: c.Wikitext,
			TextColumn: c.TextColumn, BatchSize: windows, JSON: c.JSON}
		if _, s.Device, s.Perplexities, err = ppl.results(ctx); err != nil {
			return s, err
		}
	}
	err = c.into(ctx, &s, at, tasks, c.SpecialFlags, c.DeviceFlag, c.JSON)
	return s, err
}

// printScored prints what models scored, side by side.
func printScored(names []string, all []harness.Scores) error {
	head := append([]string{"task", "metric", "chance"}, names...)
	type line struct{ task, metric string }
	var lines []line
	cells := map[line][]string{}
	for i, s := range all {
		list, err := s.Table()
		if err != nil {
			return err
		}
		for _, x := range list {
			at := line{x.Task, x.Metric}
			if !slices.Contains(lines, at) {
				chance := "-"
				if !math.IsNaN(x.Chance) {
					chance = fmt.Sprintf("%.3f", x.Chance)
				}
				lines, cells[at] = append(lines, at), append([]string{x.Task, x.Metric, chance}, make([]string,
					len(all))...)
			}
			text := fmt.Sprintf("%.5g", x.Value)
			if !math.IsNaN(x.StdErr) {
				text += fmt.Sprintf(" ± %.2g", x.StdErr)
			}
			cells[at][3+i] = text
		}
	}
	rows := [][]string{head}
	for _, at := range lines {
		rows = append(rows, cells[at])
	}
	view.Table(os.Stdout, 2, rows)
	return nil
}
