package measure

import (
	"fmt"
	"io"
	"strings"

	"steplm/cmd/steplm/internal/chart"
	"steplm/cmd/steplm/internal/curves"
	"steplm/cmd/steplm/internal/flags"
)

type PlotCmd struct {
	Runs   []string    `arg:"" name:"run" help:"Run folders or their metrics.jsonl; a curve each."`
	SVG    flags.SVG   `name:"svg" required:"" placeholder:"FILE" help:"Where the image is written, such as loss.svg."`
	Smooth int         `default:"1" placeholder:"N" help:"Draw the mean loss of the last N steps. Default: ${default}, every step's own."`
	X      curves.Axis `default:"step" enum:"step,tokens,flops,time" placeholder:"step|tokens|flops|time" help:"What the horizontal axis counts. Default: ${default}."`
}

func (c *PlotCmd) Run() error {
	if c.Smooth < 1 {
		return flags.Usagef("--smooth %d: 1 or more", c.Smooth)
	}
	names, err := curves.Names(c.Runs)
	if err != nil {
		return flags.UsageError{Err: err}
	}
	var list []chart.Series
	measured := false
	for i, path := range c.Runs {
		run, err := curves.Read(path, names[i])
		if err != nil {
			return err
		}
		s, err := run.Series(c.X, c.Smooth)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		list, measured = append(list, s), measured || len(s.Dots) > 0
	}
	ylabel := "training loss, nats per token"
	if measured {
		ylabel = "loss, nats per token"
	}
	if c.Smooth > 1 {
		ylabel += fmt.Sprintf(" (mean of the last %d steps)", c.Smooth)
	}
	if err := chart.Save(string(c.SVG), func(w io.Writer) error {
		return chart.WriteLines(w, curves.Title(list), c.X.Label(), ylabel, list)
	}); err != nil {
		return err
	}
	fmt.Printf("the loss of %s is in %s\n", strings.Join(names, ", "), c.SVG)
	return nil
}
