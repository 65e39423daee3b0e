package curves

import (
	"fmt"
	"strings"

	"steplm/cmd/steplm/internal/chart"
	"steplm/cmd/steplm/internal/view"
	"steplm/stage/record"
)

// Series is a run's training loss on an axis, each step's the mean of so many: growths are marked, other transitions
// with a minor mark, and what the run was measured at is dots by the sets that it was measured on.
func (r Run) Series(a Axis, smooth int) (s chart.Series, err error) {
	s = chart.Series{Name: r.Name, Y: Smooth(r.Curve.Loss, smooth), Marks: r.Marks()}
	if s.X, err = r.X(a); err != nil {
		return s, err
	}
	measured, err := r.Measurements()
	if err != nil {
		return s, err
	}
	by := map[string]int{}
	for _, m := range measured {
		at, known := by[m.Set]
		if !known {
			at = len(s.Dots)
			by[m.Set] = at
			s.Dots = append(s.Dots, chart.Dots{Name: r.Name + ": " + m.Set})
		}
		d := &s.Dots[at]
		d.X, d.Y = append(d.X, s.X[m.Index]), append(d.Y, m.Loss)
	}
	return s, nil
}

// Marks are a run's transitions.
func (r Run) Marks() (list []chart.Mark) {
	for _, after := range r.Curve.Events {
		switch e := after.Event.(type) {
		case record.Growth:
			list = append(list, chart.Mark{At: after.Index,
				Text: fmt.Sprintf("growth after step %s: %d to %d layers", view.Count(int64(e.Step)), e.From, e.To)})
		case record.Transition:
			text := fmt.Sprintf("%s after step %s", r.entry(e.Stage), view.Count(int64(e.Step)))
			if e.Note != "" {
				text += ": " + e.Note
			}
			list = append(list, chart.Mark{At: after.Index, Minor: true, Text: text})
		case record.Rollback:
			list = append(list, chart.Mark{At: after.Index, Minor: true,
				Text: fmt.Sprintf("back to step %s from a spike at step %d", view.Count(int64(e.Step)), e.Spike)})
		}
	}
	return list
}

// entry says in verbs what begins a stage, as the recipe has it.
func (r Run) entry(stage int) string {
	var verbs []string
	if r.recipe != nil && stage >= 1 && stage <= len(r.recipe.Stages) {
		for _, v := range r.recipe.Stages[stage-1].Entry.Verbs {
			verbs = append(verbs, v.Do)
		}
	}
	if len(verbs) == 0 {
		return fmt.Sprintf("stage %d begins", stage)
	}
	return strings.Join(verbs, ", ")
}

// Title says what a chart of series shows.
func Title(list []chart.Series) string {
	title, growth, minor, measured := "Training loss", false, false, false
	for _, s := range list {
		measured = measured || len(s.Dots) > 0
		for _, m := range s.Marks {
			growth, minor = growth || !m.Minor, minor || m.Minor
		}
	}
	if measured {
		title += ", and points of what the model was measured on"
	}
	var ticks []string
	if growth {
		ticks = append(ticks, "a tick marks growth")
	}
	if minor {
		ticks = append(ticks, "a thin tick another transition")
	}
	return strings.Join(append([]string{title}, ticks...), "; ")
}

// Smooth replaces every value by the mean of it and the n-1 before it, or as
// many as there are.
func Smooth(y []float64, n int) []float64 {
	out := make([]float64, len(y))
	sum := 0.0
	for i := range y {
		if sum += y[i]; i >= n {
			sum -= y[i-n]
		}
		first := max(0, i-n+1)
		if i%n == 0 { // Anew, so that what rounding loses does not add up.
			sum = 0
			for _, v := range y[first : i+1] {
				sum += v
			}
		}
		out[i] = sum / float64(i+1-first)
	}
	return out
}
