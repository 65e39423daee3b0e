package measure

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"steplm/cmd/steplm/internal/chart"
	"steplm/cmd/steplm/internal/flags"
	"steplm/stage/eval"
	"steplm/stage/record"
)

type PlotCmd struct {
	Runs   []string  `arg:"" name:"run" help:"Run folders or their metrics.jsonl; a curve each."`
	SVG    flags.SVG `name:"svg" required:"" placeholder:"FILE" help:"Where the image is written, such as loss.svg."`
	Smooth int       `default:"1" placeholder:"N" help:"Draw the mean loss of the last N steps. Default: ${default}, every step's own."`
	X      string    `default:"step" enum:"step,tokens" placeholder:"step|tokens" help:"What the horizontal axis counts. Default: ${default}."`
}

func (c *PlotCmd) Run() error {
	if c.Smooth < 1 {
		return flags.Usagef("--smooth %d: 1 or more", c.Smooth)
	}
	names, err := runNames(c.Runs)
	if err != nil {
		return err
	}
	ylabel := "training loss, nats per token"
	if c.Smooth > 1 {
		ylabel += fmt.Sprintf(" (mean of the last %d steps)", c.Smooth)
	}
	title, grown, measured := "Training loss", false, false
	var list []chart.Series
	for i, path := range c.Runs {
		curve, err := record.ReadCurve(path)
		if err != nil {
			return err
		}
		s := chart.Series{Name: names[i], Y: smooth(curve.Loss, c.Smooth), Marks: curve.Growths}
		for j := range curve.Steps {
			s.X = append(s.X, c.x(curve, j))
		}
		if s.Dots, err = c.dots(names[i], curve); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		measured = measured || len(s.Dots) > 0
		list, grown = append(list, s), grown || len(s.Marks) > 0
	}
	if measured {
		title += ", and points of what the model was measured on"
		ylabel = strings.Replace(ylabel, "training loss", "loss", 1)
	}
	if grown {
		title += "; a tick marks growth"
	}
	if err := chart.Save(string(c.SVG), func(w io.Writer) error {
		return chart.WriteLines(w, title, c.X, ylabel, list)
	}); err != nil {
		return err
	}
	fmt.Printf("the loss of %s is in %s\n", strings.Join(names, ", "), c.SVG)
	return nil
}

// x is where a step of a curve is, by its index.
func (c *PlotCmd) x(curve record.Curve, step int) float64 {
	if c.X == "tokens" {
		return float64(curve.Tokens[step])
	}
	return float64(curve.Steps[step])
}

// dots are a run's evaluations, in nats per token as its loss is, by the sets that they are of.
func (c *PlotCmd) dots(run string, curve record.Curve) (list []chart.Dots, err error) {
	by := map[string]int{}
	for i, e := range curve.Evaluations {
		var r eval.Result
		if err := e.Result.Into(&r); err != nil {
			return nil, fmt.Errorf("the evaluation of %s after step %d: %w", e.Set, e.Step, err)
		}
		if r.Tokens() == 0 {
			continue // A task that counts no tokens has no loss to draw.
		}
		at, known := by[e.Set]
		if !known {
			at = len(list)
			by[e.Set] = at
			list = append(list, chart.Dots{Name: run + ": " + e.Set})
		}
		d := &list[at]
		d.X, d.Y = append(d.X, c.x(curve, curve.At[i])), append(d.Y, r.Value("nll")/float64(r.Tokens()))
	}
	return list, nil
}

// runNames names runs by their folder, or as they were given where two folders
// have one name.
func runNames(paths []string) ([]string, error) {
	folder := func(path string) string {
		path = filepath.Clean(path)
		if filepath.Ext(path) == ".jsonl" {
			path = filepath.Dir(path)
		}
		if abs, err := filepath.Abs(path); err == nil { // "." has a name too
			path = abs
		}
		return filepath.Base(path)
	}
	times, given := map[string]int{}, map[string]bool{}
	for _, path := range paths {
		if given[filepath.Clean(path)] {
			return nil, flags.Usagef("%s is given twice", path)
		}
		given[filepath.Clean(path)] = true
		times[folder(path)]++
	}
	var names []string
	for _, path := range paths {
		name := folder(path)
		if times[name] > 1 {
			name = path
		}
		names = append(names, name)
	}
	return names, nil
}

// smooth replaces every value by the mean of it and the n-1 before it, or as
// many as there are.
func smooth(y []float64, n int) []float64 {
	out := make([]float64, len(y))
	for i := range y {
		window := y[max(0, i-n+1) : i+1]
		for _, v := range window {
			out[i] += v / float64(len(window))
		}
	}
	return out
}
