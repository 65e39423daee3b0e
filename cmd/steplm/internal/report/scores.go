package report

import (
	"fmt"
	"math"
	"slices"

	"steplm/stage/harness"
)

// scores is the table of what runs scored in whole evaluations, a run a column; there is none where nothing was scored.
func (r *Report) scores() (t table, ok bool) {
	type line struct{ task, metric string }
	var lines []line
	cells := map[line][]cell{}
	chance := map[line]string{}
	t.Head = []cell{{Text: "task"}, {Text: "metric"}, {Text: "chance", Tip: "who knows nothing"}}
	n := 0
	for _, run := range r.runs {
		if len(run.scores) == 0 {
			continue
		}
		t.Head = append(t.Head, cell{Text: run.Run})
		for _, s := range run.scores {
			at := line{s.Task, s.Metric}
			if !slices.Contains(lines, at) {
				lines, chance[at] = append(lines, at), none
			}
			for len(cells[at]) < n {
				cells[at] = append(cells[at], cell{Text: none})
			}
			cells[at] = append(cells[at], scoreCell(s))
			if !math.IsNaN(s.Chance) {
				chance[at] = fmt.Sprintf("%.3f", s.Chance)
			}
		}
		n++
	}
	for _, at := range lines {
		row := []cell{{Text: at.task}, {Text: at.metric}, {Text: chance[at]}}
		row = append(row, cells[at]...)
		for len(row) < len(t.Head) {
			row = append(row, cell{Text: none})
		}
		t.Rows = append(t.Rows, row)
	}
	return t, n > 0
}

// scoreCell is a value with its standard error; an accuracy that is two of them above chance is set off.
func scoreCell(s harness.Score) cell {
	if math.IsNaN(s.Chance) && math.IsNaN(s.StdErr) {
		return cell{Text: perplexityText(s.Value)}
	}
	c := cell{Text: fmt.Sprintf("%.4g", s.Value)}
	if !math.IsNaN(s.StdErr) {
		c.Text += fmt.Sprintf(" ± %.2g", s.StdErr)
		if s.Value > s.Chance+2*s.StdErr {
			c.Mark = "better"
		}
	}
	return c
}

// readScores reads what a run's model scored.
func (r *run) readScores() {
	s, ok, err := harness.ReadScores(r.dir)
	if ok {
		r.cut, r.leftOut = s.Cut, s.LeftOut
		r.scores, err = s.Table()
	}
	if err != nil {
		r.problems = append(r.problems, err.Error())
	}
}
