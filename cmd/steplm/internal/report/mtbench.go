package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/stage/compare"
	"steplm/stage/mtbench"
)

// judged is what MT-Bench's judge said of a run's model.
type judged struct {
	mtbench.ModelScores
	by string // the judges
}

// how is what scores must have in common to be compared.
func (j judged) how() string { return j.by + "\n" + j.Template }

// readJudged reads a run's scores; nil: it has none.
func (r *run) readJudged() {
	s, there, err := mtbench.ReadScores(r.dir)
	if err != nil {
		r.problems = append(r.problems, err.Error())
	}
	if there && err == nil {
		r.judged = &judged{s.Models[0], strings.Join(s.Judges, ", ")}
	}
}

// marks are a group's means by seed, of runs whose scores came about in one way.
func (g *group) marks(how string, of func(judged) mtbench.Mean) compare.Values {
	v := compare.Values{}
	for _, r := range g.done() {
		if r.judged == nil || r.judged.how() != how {
			continue
		}
		if m := of(*r.judged); m.N > 0 {
			v[r.Seed] = m.Value
		}
	}
	return v
}

// judged is the table of MT-Bench's scores in a setting: a row for each group and way in which its scores came about;
// false: there are none.
func (s *setting) judged() (t table, ok bool) {
	var categories []string
	for _, g := range s.groups {
		for _, r := range g.done() {
			if r.judged == nil {
				continue
			}
			for _, c := range r.judged.Categories {
				if !slices.Contains(categories, c.Category) {
					categories = append(categories, c.Category)
				}
			}
		}
	}
	for _, c := range [][2]string{{"method", ""}, {"rate", ""}, {"seeds", "runs with scores"}, {"judge", ""},
		{"template",
			"by which the answers were asked for: fastchat-alpaca is not the prompt that Alpaca was trained with"},
		{"average", "over all ratings of both turns: mean ± standard deviation over seeds"},
		{named("Δ "+baseName, s.against), "difference of the same seeds, judge and template: mean [95 % interval]"},
		{"turn 1", ""},
		{"turn 2", ""}, {"no rating", "judgments without one, which are in no mean"}} {
		t.Head = append(t.Head, cell{Text: c[0], Tip: c[1]})
	}
	for _, name := range categories {
		t.Head = append(t.Head, cell{Text: name, Tip: "over all ratings of both turns"})
	}
	for _, g := range s.groups {
		var ways []string
		for _, r := range g.done() {
			if r.judged != nil && !slices.Contains(ways, r.judged.how()) {
				ways = append(ways, r.judged.how())
			}
		}
		for _, how := range ways {
			t.Rows = append(t.Rows, g.judgedRow(how, categories))
		}
	}
	return t, len(t.Rows) > 0
}

// judgedRow is the row of a group's scores that came about in one way.
func (g *group) judgedRow(how string, categories []string) []cell {
	average := func(j judged) mtbench.Mean { return j.Average }
	judge, template, _ := strings.Cut(how, "\n")
	if template == "" {
		template = none
	}
	seeds, failed := 0, 0
	for _, r := range g.done() {
		if r.judged != nil && r.judged.how() == how {
			seeds++
			failed += r.judged.Failed
		}
	}
	difference := cell{Text: none}
	if base := g.setting.base; base != nil && base != g {
		difference = larger(g.marks(how, average).Minus(base.marks(how, average)))
	}
	row := []cell{{Text: g.label}, {Text: g.lr}, {Text: fmt.Sprint(seeds)}, {Text: judge}, {Text: template},
		spreadCell(g.marks(how, average)), difference}
	mean := func(of func(judged) mtbench.Mean) cell { return meanCell(g.marks(how, of), perplexityText) }
	row = append(row, mean(func(j judged) mtbench.Mean { return j.First }),
		mean(func(j judged) mtbench.Mean { return j.Second }), cell{Text: fmt.Sprint(failed)})
	for _, name := range categories {
		row = append(row, mean(func(j judged) mtbench.Mean {
			for _, c := range j.Categories {
				if c.Category == name {
					return c.Average
				}
			}
			return mtbench.Mean{Value: math.NaN()}
		}))
	}
	return row
}
