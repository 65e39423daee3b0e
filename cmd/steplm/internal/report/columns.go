package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/cmd/steplm/internal/curves"
	"steplm/cmd/steplm/internal/view"
	"steplm/stage/compare"
)

// cell is one of a table, as text.
type cell struct {
	Text string
	Tip  string // more, for who asks
	Mark string // "better", "worse" or "best": how it is set off; "": not
}

// table is one that page and Markdown show alike.
type table struct {
	Head []cell
	Rows [][]cell
}

// column is one of the table of methods.
type column struct {
	name, tip string
	cell      func(*group) cell
}

// Columns that need a baseline say what they compare with in the head of the page.
var columns = []column{
	{"method", "with K stages where it grows, and with an optimizer other than AdamW", func(g *group) cell {
		return cell{Text: g.label}
	}},
	{"rate", "the peak learning rate: of those with most seeds the one with the best validation perplexity",
		func(g *group) cell { return cell{Text: g.lr} }},
	{"seeds", "runs that are done, of all", seedsCell},
	{"tokens", "that a run saw", func(g *group) cell {
		return meanCell(g.values(func(r *run) float64 { return float64(r.Tokens) }), count)
	}},
	{"validation perplexity", "mean ± standard deviation over seeds, per token", func(g *group) cell {
		return spreadCell(g.perplexity(validation))
	}},
	{"Δ " + baseName, "difference of the same seeds: mean [95 % interval]", func(g *group) cell {
		return differenceCell(g, validation)
	}},
	{"WikiText perplexity", "mean ± standard deviation over seeds, per word", func(g *group) cell {
		return spreadCell(g.perplexity(wikitext))
	}},
	{"Δ " + baseName, "difference of the same seeds: mean [95 % interval]", func(g *group) cell {
		return differenceCell(g, wikitext)
	}},
	{"peak, measured", "the most bytes on the device at once", func(g *group) cell {
		return cell{Text: amount(g.most(func(r *run) int64 { return r.PeakBytes }))}
	}},
	{"peak, planned", "by the recipe, with no device", func(g *group) cell {
		return cell{Text: amount(g.most(func(r *run) int64 { return r.bytes.peak }))}
	}},
	{"less than " + baseName, "of the measured peak", func(g *group) cell {
		if g.setting.base == nil {
			return cell{Text: none}
		}
		peak := func(r *run) int64 { return r.PeakBytes }
		return reductionCell(g.most(peak), g.setting.base.most(peak))
	}},
	{"states, measured", "weights, adapters, gradients and optimizer, of the largest stage", func(g *group) cell {
		return cell{Text: amount(g.most(func(r *run) int64 { return r.StateBytes }))}
	}},
	{"less, equal states", "of the states, than vanilla training with the same optimizer and storage would keep",
		func(g *group) cell {
			return reductionCell(g.most(func(r *run) int64 { return r.StateBytes }),
				g.most(func(r *run) int64 { return r.bytes.vanillaStates }))
		}},
	{"less, the paper's", "by the formula of STEP's paper: states of the blocks alone, AdamW's in 16 bytes a parameter",
		func(g *group) cell {
			return reductionCell(g.most(func(r *run) int64 { return r.bytes.paper }),
				g.most(func(r *run) int64 { return r.bytes.paperVanilla }))
		}},
	{"FLOPs", "operations of a run, without what recomputation adds", func(g *group) cell {
		return meanCell(g.values(func(r *run) float64 { return r.FLOPs }), short)
	}},
	{"tokens/s", "of all steps together", func(g *group) cell {
		return meanCell(g.values(func(r *run) float64 { return r.TokensPerSecond }), short)
	}},
	{"hours", "of steps, and of evaluations, saves and transitions between them", func(g *group) cell {
		return meanCell(g.values(func(r *run) float64 { return r.seconds() / 3600 }), short)
	}},
	{"tokens to " + baseName + "'s loss",
		"until the training loss is " + baseName + "'s final one", func(g *group) cell {
			return reachCell(g, func(r *run, i int) float64 { return float64(r.curve.Curve.Tokens[i]) }, count)
		}},
	{"FLOPs to it", "likewise", func(g *group) cell {
		return reachCell(g, func(r *run, i int) float64 {
			if r.curve.FLOPs == nil {
				return math.NaN()
			}
			return r.curve.FLOPs[i]
		}, short)
	}},
}

// methods is the table of a setting's methods.
func (s *setting) methods() (t table) {
	for _, c := range columns {
		t.Head = append(t.Head, cell{Text: named(c.name, s.against), Tip: named(c.tip, s.against)})
	}
	for _, g := range s.groups {
		if !g.shown {
			continue
		}
		var row []cell
		for _, c := range columns {
			row = append(row, c.cell(g))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// legend says what each column is, those of one name once.
func (r *Report) legend() (list []string) {
	for _, c := range columns {
		if line := named(c.name+": "+c.tip, r.against); !slices.Contains(list, line) {
			list = append(list, line)
		}
	}
	return list
}

func seedsCell(g *group) cell {
	done, all := len(g.done()), len(g.runs)
	if done == all {
		return cell{Text: fmt.Sprint(all)}
	}
	tip := ""
	for _, r := range g.runs {
		if r.Problem != "" {
			tip += fmt.Sprintf("%s is %s: %s\n", r.Run, r.Status, r.Problem)
		}
	}
	return cell{Text: fmt.Sprintf("%d of %d", done, all), Tip: tip, Mark: "worse"}
}

func meanCell(v compare.Values, print func(float64) string) cell {
	return cell{Text: print(v.Summary().Mean)}
}

func spreadCell(v compare.Values) cell {
	s := v.Summary()
	text := perplexityText(s.Mean)
	if s.N > 1 {
		text += " ± " + figure(s.SD)
	}
	return cell{Text: text}
}

func differenceCell(g *group, set string) cell {
	base := g.setting.base
	if base == nil || base == g {
		return cell{Text: none}
	}
	return cell{}.of(g.perplexity(set).Minus(base.perplexity(set)))
}

// of is a difference of perplexities, of which the smaller is the better.
func (cell) of(d compare.Difference) cell {
	switch {
	case d.N == 0:
		return cell{Text: none}
	case d.N == 1:
		return cell{Text: signed(d.Mean), Tip: "one seed has no interval"}
	}
	c := cell{Text: fmt.Sprintf("%s [%s, %s]", signed(d.Mean), signed(d.Low), signed(d.High)),
		Tip: fmt.Sprintf("%d seeds", d.N)}
	if d.Beyond() {
		if c.Mark = "worse"; d.Mean < 0 {
			c.Mark = "better"
		}
	}
	return c
}

func reductionCell(n, whole int64) cell {
	if n == 0 || whole == 0 {
		return cell{Text: none}
	}
	return cell{Text: strings.Replace(fmt.Sprintf("%.1f %%", 100*(1-float64(n)/float64(whole))), "-", "−", 1)}
}

// reachCell is what it took, in the mean over runs that did, until a loss was the baseline's final one.
func reachCell(g *group, at func(*run, int) float64, print func(float64) string) cell {
	if g.setting.base == nil {
		return cell{Text: none}
	}
	v := g.values(func(r *run) float64 {
		if i, ok := curves.Reach(r.crossings, g.setting.target); ok {
			return at(r, i)
		}
		return math.NaN()
	})
	switch reached := v.Summary().N; {
	case len(v) == 0:
		return cell{Text: none}
	case reached == 0:
		return cell{Text: "not reached"}
	case reached < len(v):
		return cell{Text: fmt.Sprintf("%s (%d of %d)", print(v.Summary().Mean), reached, len(v)),
			Tip: "in the mean over the runs that reached it"}
	}
	return meanCell(v, print)
}

// count prints a mean of whole numbers.
func count(x float64) string {
	if math.IsNaN(x) {
		return none
	}
	return view.Count(int64(math.Round(x)))
}

// short prints a number with three digits.
func short(x float64) string {
	switch {
	case math.IsNaN(x):
		return none
	case x >= 1e6 || x < 1e-3 && x > 0:
		return fmt.Sprintf("%.3g", x)
	}
	return figure(x)
}

// figure prints with three digits, and no fewer than those before the point.
func figure(x float64) string {
	decimals := 2
	switch size := math.Abs(x); {
	case math.IsNaN(x):
		return none
	case size >= 1000:
		return count(x)
	case size >= 100:
		decimals = 0
	case size >= 10:
		decimals = 1
	case size < 1 && size > 0:
		decimals = 2 - int(math.Floor(math.Log10(size)))
	}
	return fmt.Sprintf("%.*f", min(decimals, 6), x)
}

// perplexityText prints one with two decimals, a large one with none.
func perplexityText(x float64) string {
	switch {
	case math.IsNaN(x):
		return none
	case x >= 10_000:
		return view.Count(int64(math.Round(x)))
	}
	return fmt.Sprintf("%.2f", x)
}

// signed is a difference with its sign.
func signed(x float64) string {
	if x < 0 {
		return "−" + figure(-x)
	}
	return "+" + figure(x)
}
