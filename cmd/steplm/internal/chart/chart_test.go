package chart

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"steplm/cmd/steplm/internal/clitest"
)

var update = flag.Bool("update", false, "rewrite golden files")

// sampleChart has round numbers, a part that is nowhere, one that is tiny and
// texts that must be escaped.
func sampleChart() Chart {
	return Chart{
		Title: `Memory <of> "1.2B" & more`,
		Parts: []string{"weights", "adapters", "gradients", "nothing", "optimizer", "activations", "scratch"},
		Bars: []Bar{
			{"vanilla", []int64{5 << 29, 0, 5 << 29, 0, 15 << 30, 1 << 30, 3 << 27}},
			{"STEP, stage 1", []int64{3 << 29, 0, 3 << 29, 0, 7 << 30, 1 << 29, 3 << 27}},
			{"STEP, stage 2 – µ", []int64{5 << 29, 1000, 1 << 30, 0, 5 << 30, 1 << 30, 3 << 27}},
			{"empty", make([]int64, 7)},
		},
	}
}

func TestChartText(t *testing.T) {
	var b bytes.Buffer
	for _, c := range []struct {
		columns int
		unicode bool
	}{{80, true}, {60, false}, {0, false}} {
		if err := writeChart(&b, sampleChart(), c.columns, c.unicode); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	clitest.Golden(t, *update, "chart.txt", b.String())
}

// Where no terminal is, a chart is 80 columns of ASCII.
func TestChartOffTerminal(t *testing.T) {
	c := sampleChart()
	c.Bars[2].Label = "STEP, stage 2"
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var want, got bytes.Buffer
	if err := errors.Join(writeChart(&want, c, 80, false), Draw(&got, c), Draw(file, c)); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() || clitest.Contents(t, file.Name()) != want.String() ||
		strings.ContainsFunc(want.String(), func(r rune) bool { return r > '~' }) {
		t.Errorf("got\n%s and\n%s, want\n%s", got.String(), clitest.Contents(t, file.Name()), want.String())
	}
}

// The bars are as long as their totals say and no line is longer than allowed.
func TestChartWidths(t *testing.T) {
	for columns := 40; columns <= 130; columns += 7 {
		var b bytes.Buffer
		if err := writeChart(&b, sampleChart(), columns, false); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		var lengths []int
		for _, line := range lines[1:5] {
			if n := utf8.RuneCountInString(line); n != columns {
				t.Errorf("%d columns: %q has %d", columns, line, n)
			}
			cells := string([]rune(line)[len([]rune("STEP, stage 2 – µ  ")):])
			lengths = append(lengths, len(cells)-len(strings.TrimLeft(cells, "WAGOCS")))
		}
		full := float64(lengths[0])
		want := []int{lengths[0], int(math.Round(full * 10.875 / 21.375)),
			int(math.Round(full * (9.875 + 1000.0/(1<<30)) / 21.375)), 0}
		if !slices.Equal(lengths, want) {
			t.Errorf("%d columns: bars of %v, want %v", columns, lengths, want)
		}
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		cells int
		parts []int64
		want  []int
	}{
		{10, []int64{1, 1, 1}, []int{4, 3, 3}},
		{10, []int64{5, 0, 5}, []int{5, 0, 5}},
		{1, []int64{1, 2, 2}, []int{0, 1, 0}},
		{3, []int64{0, 0}, []int{0, 0}},
		{7, []int64{100, 1}, []int{7, 0}},
		{100, []int64{math.MaxInt64 / 2, math.MaxInt64 / 2}, []int{50, 50}},
	} {
		if got := share(c.cells, c.parts); !slices.Equal(got, c.want) {
			t.Errorf("%d cells for %d: %d, want %d", c.cells, c.parts, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		cells := rapid.IntRange(0, 300).Draw(t, "cells")
		parts := rapid.SliceOfN(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 1<<50)), 1, 8).Draw(t, "parts")
		total, sum := float64(Bar{Parts: parts}.total()), 0
		for i, n := range share(cells, parts) {
			sum += n
			if exact := float64(cells) * float64(parts[i]) / max(1, total); math.Abs(float64(n)-exact) >= 1+1e-9 ||
				parts[i] == 0 && n > 0 {
				t.Errorf("%d cells for %d, which is %g", n, parts[i], exact)
			}
		}
		if total > 0 && sum != cells {
			t.Errorf("%d cells of %d", sum, cells)
		}
	})
}

func TestLetters(t *testing.T) {
	for _, c := range []struct{ parts, want string }{
		{"weights adapters gradients optimizer activations scratch", "WAGOCS"},
		{"a a a", "ABC"},
		{"12 é", "AB"},
	} {
		if got := string(letters(strings.Fields(c.parts))); got != c.want {
			t.Errorf("%s: %q, want %q", c.parts, got, c.want)
		}
	}
}

func TestAmount(t *testing.T) {
	for n, want := range map[int64]string{0: "0.00", 1: "<0.01", 5 << 20: "<0.01", 6 << 20: "0.01", 3 << 29: "1.50"} {
		if got := amount(n, 1<<30); got != want {
			t.Errorf("%d bytes are %s GiB, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{1 << 30: "GiB", 1<<30 - 1: "MiB", 1<<20 - 1: "KiB"} {
		if got, _ := (Chart{Bars: []Bar{{Parts: []int64{n}}}}).unit(); got != want {
			t.Errorf("%d bytes are counted in %s, want %s", n, got, want)
		}
	}
}

// What cannot be drawn is refused by both ways to draw it.
func TestChartRefuses(t *testing.T) {
	for _, c := range []struct {
		chart Chart
		want  string
	}{
		{Chart{Title: "T", Parts: []string{"a"}}, `chart "T": every bar is empty`},
		{Chart{Title: "T", Parts: []string{"a"}, Bars: []Bar{{"b", []int64{0}}}}, "every bar is empty"},
		{Chart{Parts: []string{"a"}, Bars: []Bar{{"b", []int64{1, 2}}}}, `the bar "b" has 2 parts, 1 are named`},
		{Chart{Parts: []string{"a"}, Bars: []Bar{{"b", []int64{-1}}}}, `a of the bar "b" is -1 bytes`},
		{Chart{Parts: make([]string, 9)}, "9 parts, of which 8"},
	} {
		var b bytes.Buffer
		for _, err := range []error{writeChart(&b, c.chart, 80, false), writeBars(&b, c.chart)} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		}
		if b.Len() > 0 {
			t.Errorf("%s: refused and drew %q", c.want, b.String())
		}
	}
}

func TestBarsSVG(t *testing.T) {
	var b bytes.Buffer
	if err := writeBars(&b, sampleChart()); err != nil {
		t.Fatal(err)
	}
	clitest.WellFormed(t, b.Bytes())
	clitest.Golden(t, *update, "bars.svg", b.String())
	path := filepath.Join(t.TempDir(), "a.svg")
	if err := SaveBars(path, sampleChart()); err != nil {
		t.Fatal(err)
	}
	if clitest.Contents(t, path) != b.String() {
		t.Error("the file holds another image")
	}
}

// curve is points at x = 1, 2, 3...
func curve(name string, y ...float64) Series {
	s := Series{Name: name, Y: y}
	for i := range y {
		s.X = append(s.X, float64(i+1))
	}
	return s
}

func TestLinesSVG(t *testing.T) {
	first := curve("step <8> & co", 6.9, 6.1, 5.25, 5.75, 5, 4.875)
	first.Marks = []Mark{{At: 2}}
	list := []Series{first, curve("vanilla", 6.9, 6, 5.5, 5.3, 5.2), {Name: "two points", X: []float64{2, 6},
		Y: []float64{5, 4.3}}}
	var b bytes.Buffer
	if err := WriteLines(&b, "Loss\x00 \"of\" runs", "step", "nats > 0", list); err != nil {
		t.Fatal(err)
	}
	clitest.WellFormed(t, b.Bytes())
	clitest.Golden(t, *update, "lines.svg", b.String())
	for what, n := range map[string]int{"<polyline": 3, `stroke-width="2.5"`: 1, dashes[1]: 2, palette[2]: 2} {
		if got := strings.Count(b.String(), what); got != n {
			t.Errorf("%d times %q, want %d", got, what, n)
		}
	}
}

func TestLinesRefuse(t *testing.T) {
	good := curve("good", 1, 2)
	at := func(x ...float64) Series { return Series{Name: "bad", X: x, Y: make([]float64, len(x))} }
	for _, c := range []struct {
		list []Series
		want string
	}{
		{nil, "0 curves"},
		{slices.Repeat([]Series{good}, 9), "9 curves; 1 to 8"},
		{[]Series{good, curve("bad")}, `curve "bad": 0 points`},
		{[]Series{good, curve("bad", 1)}, `curve "bad": 1 points; a curve needs at least 2`},
		{[]Series{curve("bad", 1, math.NaN())}, `curve "bad": point 2 is (2, NaN)`},
		{[]Series{curve("bad", math.Inf(1), 1)}, "point 1 is (1, +Inf)"},
		{[]Series{curve("bad", 1, -math.MaxFloat64)}, "cannot be drawn"},
		{[]Series{at(math.NaN(), 1)}, "point 1 is (NaN, 0)"},
		{[]Series{at(1, 1)}, "x is 1 at point 1 and 1 after it; it must ascend"},
		{[]Series{{Name: "bad", X: []float64{1, 2}, Y: []float64{1}}}, "2 x and 1 y"},
		{[]Series{{Name: "bad", X: []float64{1, 2}, Y: []float64{1, 2}, Marks: []Mark{{At: 2}}}},
			"a mark at point 3 of 2"},
	} {
		var b bytes.Buffer
		if err := WriteLines(&b, "", "", "", c.list); err == nil || !strings.Contains(err.Error(), c.want) ||
			b.Len() > 0 {
			t.Errorf("error %v and %d bytes, want one with %q and none", err, b.Len(), c.want)
		}
	}
}

// A long run's image is small and still shows its highest and lowest points.
func TestLongCurve(t *testing.T) {
	s := curve("long")
	for i := range 200_000 {
		s.X, s.Y = append(s.X, float64(i+1)), append(s.Y, 5+math.Sin(float64(i)))
	}
	s.Y[70_001], s.Y[70_003] = 9, 1
	points := s.Visible(1, 200_000, 760)
	if len(points) > 4*761 || !slices.IsSorted(points) || points[0] != 0 || points[len(points)-1] != 199_999 {
		t.Errorf("%d points, the first %d, the last %d", len(points), points[0], points[len(points)-1])
	}
	if !slices.Contains(points, 70_001) || !slices.Contains(points, 70_003) {
		t.Error("the highest or the lowest point is gone")
	}
	if got := curve("short", 3, 1, 2).Visible(1, 3, 760); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("of three points %v are drawn", got)
	}
}

func TestAxis(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{0, 20.4, "0 5 10 15 20 25"},
		{0, 8, "0 1 2 3 4 5 6 7 8"},
		{0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{4.31, 6.93, "4.0 4.5 5.0 5.5 6.0 6.5 7.0"},
		{0.3, 0.7, "0.30 0.35 0.40 0.45 0.50 0.55 0.60 0.65 0.70"},
		{-3, 2, "-3 -2 -1 0 1 2"},
		{1, 20000, "0 5,000 10,000 15,000 20,000"},
		{3, 3, "2.85 2.90 2.95 3.00 3.05 3.10 3.15"},
		{0, 0, "-1.0 -0.5 0.0 0.5 1.0"},
		{0, 8e8, "0 100,000,000 200,000,000 300,000,000 400,000,000 500,000,000 600,000,000 700,000,000 800,000,000"},
		{0, 1.6e19, "0 2e+18 4e+18 6e+18 8e+18 1e+19 1.2e+19 1.4e+19 1.6e+19"},
	} {
		a := newAxis(c.low, c.high, 8)
		var got []string
		for _, f := range a.at {
			got = append(got, a.label(f))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%g to %g: %s, want %s", c.low, c.high, s, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(-1e6, 1e6).Draw(t, "low")
		high := low + rapid.Float64Range(0, 1e9).Draw(t, "length")
		a := newAxis(low, high, 8)
		slack := 1e-9 * max(1, math.Abs(low), math.Abs(high))
		if len(a.at) < 2 || len(a.at) > 11 || a.low() > low+slack || a.high() < high-slack || !slices.IsSorted(a.at) {
			t.Errorf("%g to %g: %v", low, high, a.at)
		}
	})
}

// A file that cannot be written leaves nothing behind, and the old one stays.
func TestSaveFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.svg")
	say := func(what string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, what); return err }
	}
	for _, content := range []string{"one", "two"} {
		if err := Save(path, say(content)); err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("no ink")
	if err := Save(path, func(w io.Writer) error { say("half")(w); return broken }); !errors.Is(err, broken) ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	if err := Save(filepath.Join(dir, "none", "a.svg"), say("x")); err == nil ||
		!strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("error %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Save(filepath.Join(dir, "d"), say("x")); err == nil {
		t.Error("a directory was replaced")
	}
	if got := clitest.Entries(t, dir); !slices.Equal(got, []string{"a.svg", "d"}) ||
		clitest.Contents(t, path) != "two" {
		t.Errorf("%q are there, a.svg holds %q", got, clitest.Contents(t, path))
	}
}
