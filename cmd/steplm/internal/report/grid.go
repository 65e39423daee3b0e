package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/stage/results"
)

// grid is the table of learning rates of a setting: families of which several were tried; false: there is none.
func (s *setting) grid() (t table, ok bool) {
	var rates []string // of all stages, in words: those of the first alone may be the same
	numbers := map[string][]float64{}
	var families []string
	byFamily := map[string][]*group{}
	for _, g := range s.groups {
		if len(byFamily[g.family]) == 0 {
			families = append(families, g.family)
		}
		byFamily[g.family] = append(byFamily[g.family], g)
	}
	families = slices.DeleteFunc(families, func(f string) bool { return len(byFamily[f]) < 2 })
	for _, f := range families {
		for _, g := range byFamily[f] {
			if !slices.Contains(rates, g.lr) {
				rates = append(rates, g.lr)
			}
			numbers[g.lr] = g.runs[0].LR
		}
	}
	slices.SortFunc(rates, func(a, b string) int { return slices.Compare(numbers[a], numbers[b]) })
	t.Head = []cell{{Text: "method"}}
	for _, x := range rates {
		t.Head = append(t.Head, cell{Text: x})
	}
	t.Head = append(t.Head, cell{Text: "FLOPs of the search", Tip: "of all runs but those of the rate that was taken"})
	for _, f := range families {
		t.Rows = append(t.Rows, gridRow(byFamily[f], rates))
	}
	return t, len(t.Rows) > 0
}

func gridRow(list []*group, rates []string) []cell {
	row := make([]cell, len(rates)+2)
	best, cost := slices.MinFunc(list, better), 0.0
	if at := slices.IndexFunc(list, func(g *group) bool { return g.shown }); at < 0 {
		row[0].Text = list[0].label + " (selection)"
	} else {
		row[0].Text = list[at].label // as the table of methods has it; runs that chose are told apart by themselves
		if len(list[at].done()) > 0 {
			best = list[at]
		}
	}
	for _, g := range list {
		c := &row[1+slices.Index(rates, g.lr)]
		c.Text = gridText(g)
		if g == best {
			c.Mark = "best"
			continue
		}
		for _, r := range g.runs {
			if !math.IsNaN(r.FLOPs) {
				cost += r.FLOPs
			}
		}
	}
	row[len(row)-1].Text = short(cost)
	return row
}

// gridText is what a learning rate came to.
func gridText(g *group) string {
	if s := g.perplexity(validation).Summary(); s.N > 0 {
		text := perplexityText(s.Mean)
		if s.N > 1 {
			text += fmt.Sprintf(" (%d seeds)", s.N)
		}
		return text
	}
	if s := g.values(func(r *run) float64 { return r.TrainLoss }).Summary(); s.N > 0 {
		return fmt.Sprintf("loss %.3f", s.Mean)
	}
	var states []string
	for _, r := range g.runs {
		if r.Status != results.Done && !slices.Contains(states, string(r.Status)) {
			states = append(states, string(r.Status))
		}
	}
	return strings.Join(states, ", ")
}
