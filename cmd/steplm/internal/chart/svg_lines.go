package chart

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Series is a curve through points.
type Series struct {
	Name  string
	X, Y  []float64 // X strictly ascending
	Marks []Mark
	Dots  []Dots
}

// Mark is a point of a curve, by its index, at which something happened: a vertical tick, thin if it is minor.
type Mark struct {
	At    int
	Minor bool
	Text  string // what happened, for a chart that can show it
}

// Dots are single points in a curve's colour, which nothing joins.
type Dots struct {
	Name string
	X, Y []float64
}

// dashes tell curves apart without colour; as many as the palette has colours.
var dashes = []string{"", "8 4", "2 3", "9 3 2 3", "16 4", "4 2", "12 3 2 3 2 3", "1 2"}

// largestNumber is far from where differences and scales overflow.
const largestNumber = 1e100

func (s Series) check() error {
	if len(s.X) != len(s.Y) {
		return fmt.Errorf("curve %q: %d x and %d y", s.Name, len(s.X), len(s.Y))
	}
	if len(s.X) < 2 {
		return fmt.Errorf("curve %q: %d points; a curve needs at least 2", s.Name, len(s.X))
	}
	for i := range s.X {
		if x, y := s.X[i], s.Y[i]; !(math.Abs(x) < largestNumber && math.Abs(y) < largestNumber) { // so that NaN fails
			return fmt.Errorf("curve %q: point %d is (%g, %g), which cannot be drawn", s.Name, i+1, x, y)
		}
		if i > 0 && s.X[i] <= s.X[i-1] {
			return fmt.Errorf("curve %q: x is %g at point %d and %g after it; it must ascend", s.Name, s.X[i-1], i,
				s.X[i])
		}
	}
	for _, m := range s.Marks {
		if m.At < 0 || m.At >= len(s.X) {
			return fmt.Errorf("curve %q: a mark at point %d of %d", s.Name, m.At+1, len(s.X))
		}
	}
	for _, d := range s.Dots {
		if len(d.X) == 0 || len(d.X) != len(d.Y) {
			return fmt.Errorf("points %q: %d x and %d y", d.Name, len(d.X), len(d.Y))
		}
		for i := range d.X {
			if x, y := d.X[i], d.Y[i]; !(math.Abs(x) < largestNumber && math.Abs(y) < largestNumber) {
				return fmt.Errorf("points %q: point %d is (%g, %g), which cannot be drawn", d.Name, i+1, x, y)
			}
		}
	}
	return nil
}

// entry is a line of the legend: a curve, or one of its dots.
type entry struct{ series, dots int }

// legendOf lists curves, each followed by its dots; dots -1 is the curve itself.
func legendOf(list []Series) (names []string, entries []entry) {
	for i, c := range list {
		names, entries = append(names, c.Name), append(entries, entry{i, -1})
		for j, d := range c.Dots {
			names, entries = append(names, d.Name), append(entries, entry{i, j})
		}
	}
	return names, entries
}

// dot draws one of a curve's points; the shape tells its kinds apart.
func (s *svg) dot(x, y float64, kind int, colour string) {
	const r = 4.0
	fill := []string{colour, "#FFFFFF"}[kind%2]
	if kind%4 < 2 {
		fmt.Fprintf(&s.body, "<circle cx=%q cy=%q r=%q fill=%q stroke=%q stroke-width=\"1.5\"/>\n", px(x), px(y), px(r),
			fill, colour)
		return
	}
	fmt.Fprintf(&s.body, "<rect x=%q y=%q width=%q height=%q fill=%q stroke=%q stroke-width=\"1.5\"/>\n", px(x-r),
		px(y-r), px(2*r), px(2*r), fill, colour)
}

// WriteLines draws curves as an SVG image.
func WriteLines(w io.Writer, title, xlabel, ylabel string, list []Series) error {
	if len(list) < 1 || len(list) > len(palette) {
		return fmt.Errorf("%d curves; 1 to %d can be drawn and told apart", len(list), len(palette))
	}
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, c := range list {
		if err := c.check(); err != nil {
			return err
		}
		for _, d := range c.Dots {
			low[0], high[0] = min(low[0], slices.Min(d.X)), max(high[0], slices.Max(d.X))
			low[1], high[1] = min(low[1], slices.Min(d.Y)), max(high[1], slices.Max(d.Y))
		}
		low[0], high[0] = min(low[0], c.X[0]), max(high[0], c.X[len(c.X)-1])
		low[1], high[1] = min(low[1], slices.Min(c.Y)), max(high[1], slices.Max(c.Y))
	}

	const left, plotWidth, plotHeight = 70.0, imageWidth - 70 - 30, 380.0
	var s svg
	s.title(title)
	names, entries := legendOf(list)
	top := 12 + s.legend(names, 30, func(i int, x, y float64) {
		e := entries[i]
		if colour, dash := Style(e.series); e.dots < 0 {
			s.line(x, y, x+30, y, colour, 2, dash)
		} else {
			s.dot(x+15, y, e.dots, colour)
		}
	})
	bottom := top + plotHeight
	xs, ys := newAxis(low[0], high[0], 8), newAxis(low[1], high[1], 8)
	// The conversions forbid fused multiply-adds: the same image everywhere.
	atX := func(x float64) float64 { return left + float64(plotWidth*((x-low[0])/(high[0]-low[0]))) }
	atY := func(y float64) float64 {
		return bottom - float64(plotHeight*((y-ys.low())/(ys.high()-ys.low())))
	}

	for _, t := range ys.at {
		s.line(left, atY(t), left+plotWidth, atY(t), grid, 1, "")
		s.text(left-8, atY(t)+0.35*fontSize, "end", ys.label(t))
	}
	for _, t := range xs.at {
		if low[0] <= t && t <= high[0] {
			s.line(atX(t), bottom, atX(t), bottom+5, ink, 1, "")
			s.text(atX(t), bottom+fontSize+8, "middle", xs.label(t))
		}
	}
	s.line(left, top, left, bottom, ink, 1, "")
	s.line(left, bottom, left+plotWidth, bottom, ink, 1, "")
	s.text(left+plotWidth/2, bottom+2*fontSize+14, "middle", xlabel)
	fmt.Fprintf(&s.body, "<g transform=\"translate(%s %s) rotate(-90)\">\n", px(margin+2), px(top+plotHeight/2))
	s.text(0, 0, "middle", ylabel)
	s.body.WriteString("</g>\n")

	for i, c := range list {
		colour, dash := Style(i)
		var points []string
		for _, at := range c.Visible(low[0], high[0], int(plotWidth)) {
			points = append(points, px(atX(c.X[at]))+","+px(atY(c.Y[at])))
		}
		fmt.Fprintf(&s.body,
			"<polyline points=%q fill=\"none\" stroke=%q stroke-width=\"1.5\" stroke-linejoin=\"round\"%s/>\n",
			strings.Join(points, " "), colour, dashed(dash))
		for _, m := range c.Marks {
			x, y, width := atX(c.X[m.At]), atY(c.Y[m.At]), 2.5
			if m.Minor {
				width = 1
			}
			s.line(x, max(top, y-12), x, min(bottom, y+12), colour, width, "")
		}
		for j, d := range c.Dots {
			for k := range d.X {
				s.dot(atX(d.X[k]), atY(d.Y[k]), j, colour)
			}
		}
	}
	return s.writeTo(w, title, bottom+2*fontSize+26)
}

// Visible are the points that show when x from low to high is drawn in so many
// columns: the first, the lowest, the highest and the last of each column. A
// run of a million steps is no larger an image than one of a thousand.
func (s Series) Visible(low, high float64, columns int) (points []int) {
	column := func(i int) int { return int(float64(columns) * ((s.X[i] - low) / (high - low))) }
	for first := 0; first < len(s.X); {
		last, lowest, highest := first, first, first
		for last+1 < len(s.X) && column(last+1) == column(first) {
			last++
			if s.Y[last] < s.Y[lowest] {
				lowest = last
			}
			if s.Y[last] > s.Y[highest] {
				highest = last
			}
		}
		points = append(points, slices.Compact([]int{first, min(lowest, highest), max(lowest, highest), last})...)
		first = last + 1
	}
	return points
}
