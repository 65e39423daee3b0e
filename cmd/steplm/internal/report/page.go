package report

import (
	"math"
	"slices"
	"strconv"

	"steplm/cmd/steplm/internal/chart"
	"steplm/cmd/steplm/internal/curves"
	"steplm/gpu"
)

// page is what the page's script gets, as JSON.
type page struct {
	Live     bool                  `json:"live"`
	Axes     []pageAxis            `json:"axes"`
	Smooths  []int                 `json:"smooths"` // means of so many steps, as each run's curves has them
	Classes  []string              `json:"classes"` // of memory
	Colours  []string              `json:"colours"` // of classes
	Settings []string              `json:"settings"`
	Targets  []int                 `json:"targets"`  // of settings, in hundredths of a nat; 0: none
	Baseline string                `json:"baseline"` // what tables call whose final loss targets are
	Groups   []pageGroup           `json:"groups"`
	Pairs    map[string]pageDiffer `json:"pairs"` // differences of validation perplexity, by two groups: "3-1"
	Runs     []pageRun             `json:"runs"`
}

type pageAxis struct {
	Name  string `json:"name"`
	Label string `json:"label"`
}

// pageGroup is a group of runs.
type pageGroup struct {
	Setting int    `json:"setting"`
	Label   string `json:"label"` // with its rate where the table does not show it
	Colour  string `json:"colour"`
	Dash    string `json:"dash"`
	Shown   bool   `json:"shown"` // the table does
	Peak    int64  `json:"peak"`  // bytes; 0: not known
	Mean    number `json:"mean"`  // of the validation set's perplexity, and its spread
	SD      number `json:"sd"`
	Seeds   int    `json:"seeds"`
}

type pageDiffer struct {
	N    int    `json:"n"`
	Text string `json:"text"`
	// Beyond says that the difference exceeds what seeds do.
	Beyond bool `json:"beyond"`
}

// pageRun is a run's curves at points that show, and what they are to be told apart by.
type pageRun struct {
	Name   string `json:"name"`
	Group  int    `json:"group"` // -1: its recipe cannot be read
	Seed   string `json:"seed"`
	Status string `json:"status"`
	Steps  []int  `json:"steps"`
	// X has a list for each axis, null where the run has none; Y one for each smoothing.
	X        [][]number     `json:"x"`
	Y        [][]number     `json:"y"`
	Marks    []pageMark     `json:"marks"`
	Measured []pageMeasured `json:"measured"`
	Samples  []pageSamples  `json:"samples"`
	Held     []pageHeld     `json:"held"`
	// Crossings are a settled loss in hundredths, and where on each axis it was first at most that.
	Crossings [][]number        `json:"crossings"`
	Spec      map[string]string `json:"spec"`
	Recipe    map[string]string `json:"recipe"`
}

// Points are given by their indices among a run's.
type pageMark struct {
	At    int    `json:"at"`
	Minor bool   `json:"minor"`
	Text  string `json:"text"`
}

type pageMeasured struct {
	At         int    `json:"at"`
	Set        string `json:"set"`
	When       string `json:"when"`
	Loss       number `json:"loss"`
	Perplexity number `json:"perplexity"`
	Unit       string `json:"unit"`
}

type pageHeld struct {
	At    int     `json:"at"`
	Bytes []int64 `json:"bytes"` // of the page's classes
}

// number is written with six digits, a whole one with all of them, and as null what is none.
type number float64

// MarshalJSON writes it.
func (n number) MarshalJSON() ([]byte, error) {
	switch x := float64(n); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return []byte("null"), nil
	case x == math.Trunc(x) && math.Abs(x) < 1<<53:
		return strconv.AppendInt(nil, int64(x), 10), nil
	default:
		return strconv.AppendFloat(nil, x, 'g', 6, 64), nil
	}
}

// smooths are how many steps a curve's points may be the mean of.
var smooths = []int{1, 5, 20, 100}

// columnsOfCurve is how finely a curve is drawn.
const columnsOfCurve = 400

// page makes the page's data.
func (r *Report) page() page {
	p := page{Live: r.live, Baseline: baseWord(r.against), Smooths: smooths,
		Pairs: map[string]pageDiffer{}, Settings: []string{}, Targets: []int{}, Groups: []pageGroup{},
		Runs: []pageRun{}} // Lists, since the script has no null where there is nothing.
	for _, a := range curves.Axes {
		p.Axes = append(p.Axes, pageAxis{string(a), a.Label()})
	}
	for i, c := range gpu.Classes() {
		colour, _ := chart.Style(i)
		p.Classes, p.Colours = append(p.Classes, c.String()), append(p.Colours, colour)
	}
	for i, s := range r.settings {
		p.Settings, p.Targets = append(p.Settings, s.title), append(p.Targets, s.target)
		for _, g := range s.groups {
			p.Groups = append(p.Groups, g.page(i))
			for _, other := range s.groups {
				if g == other || !g.shown || !other.shown {
					continue
				}
				d := g.perplexity(validation).Minus(other.perplexity(validation))
				key := strconv.Itoa(g.index) + "-" + strconv.Itoa(other.index)
				p.Pairs[key] = pageDiffer{d.N, cell{}.of(d).Text, d.Beyond()}
			}
		}
	}
	groupOf := map[*run]int{}
	for _, g := range r.groups {
		for _, run := range g.runs {
			groupOf[run] = g.index
		}
	}
	for _, run := range r.runs {
		at, known := groupOf[run]
		if !known {
			at = -1
		}
		p.Runs = append(p.Runs, run.page(at))
	}
	return p
}

func (g *group) page(setting int) pageGroup {
	s := g.perplexity(validation).Summary()
	colour, dash := chart.Style(g.style)
	text := g.label
	if !g.shown {
		text += " · rate " + g.lr
	}
	return pageGroup{Setting: setting, Label: text, Colour: colour, Dash: dash, Shown: g.shown, Peak: g.peak(),
		Mean: number(s.Mean), SD: number(s.SD), Seeds: s.N}
}

// page is a run's part of the page's data.
func (r *run) page(group int) pageRun {
	out := pageRun{Name: r.Run, Group: group, Seed: strconv.FormatUint(r.Seed, 10), Status: string(r.Status),
		Spec: r.spec, Recipe: r.made, Samples: r.samples()}
	points := r.points()
	at := map[int]int{}
	for i, point := range points {
		at[point] = i
		out.Steps = append(out.Steps, r.curve.Curve.Steps[point])
	}
	axes := make([][]float64, len(curves.Axes))
	for i, a := range curves.Axes {
		x, err := r.curve.X(a)
		if err == nil {
			axes[i] = x
		}
		out.X = append(out.X, picked(axes[i], points))
	}
	for _, n := range smooths {
		out.Y = append(out.Y, picked(curves.Smooth(r.curve.Curve.Loss, n), points))
	}
	for _, m := range r.curve.Marks() {
		out.Marks = append(out.Marks, pageMark{at[m.At], m.Minor, m.Text})
	}
	for _, m := range r.measured {
		out.Measured = append(out.Measured, pageMeasured{at[m.Index], m.Set, m.When, number(m.Loss),
			number(m.Perplexity), m.Unit})
	}
	for _, held := range r.curve.Curve.Bytes {
		h := pageHeld{At: at[held.Index]}
		for _, c := range gpu.Classes() {
			h.Bytes = append(h.Bytes, held.Bytes[c.String()])
		}
		out.Held = append(out.Held, h)
	}
	for _, c := range r.crossings {
		row := []number{number(c.Hundredths)}
		for _, x := range axes {
			if x == nil {
				row = append(row, number(math.NaN()))
			} else {
				row = append(row, number(x[c.Index]))
			}
		}
		out.Crossings = append(out.Crossings, row)
	}
	return out
}

// points are the steps of a run that its curves show, by index: those that tell its shape, and those at which
// something happened.
func (r *run) points() []int {
	c := r.curve.Curve
	if len(c.Steps) == 0 {
		return nil
	}
	x, _ := r.curve.X(curves.Steps) // Every run has steps.
	s := chart.Series{X: x, Y: c.Loss}
	points := []int{0}
	if len(x) > 1 {
		points = s.Visible(x[0], x[len(x)-1], columnsOfCurve)
	}
	for _, m := range r.curve.Marks() {
		points = append(points, m.At)
	}
	for _, m := range r.measured {
		points = append(points, m.Index)
	}
	for _, held := range c.Bytes {
		points = append(points, held.Index)
	}
	slices.Sort(points)
	return slices.Compact(points)
}

func picked(list []float64, points []int) []number {
	if list == nil {
		return nil
	}
	out := []number{}
	for _, i := range points {
		out = append(out, number(list[i]))
	}
	return out
}
