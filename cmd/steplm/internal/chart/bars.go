package chart

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Chart is bars of bytes, each made of the same parts: memory by class for
// every stage and method.
type Chart struct {
	Title string
	Parts []string // from left to right
	Bars  []Bar
}

// Bar is one bar of a chart.
type Bar struct {
	Label string
	Parts []int64 // bytes of each of the chart's parts
}

func (b Bar) total() (n int64) {
	for _, part := range b.Parts {
		n += part
	}
	return n
}

func (c Chart) largest() (n int64) {
	for _, b := range c.Bars {
		n = max(n, b.total())
	}
	return n
}

func (c Chart) check() error {
	if len(c.Parts) > len(palette) {
		return fmt.Errorf("chart %q: %d parts, of which %d can be told apart", c.Title, len(c.Parts), len(palette))
	}
	for _, b := range c.Bars {
		if len(b.Parts) != len(c.Parts) {
			return fmt.Errorf("chart %q: the bar %q has %d parts, %d are named", c.Title, b.Label, len(b.Parts),
				len(c.Parts))
		}
		for i, n := range b.Parts {
			if n < 0 {
				return fmt.Errorf("chart %q: %s of the bar %q is %d bytes", c.Title, c.Parts[i], b.Label, n)
			}
		}
	}
	if c.largest() == 0 {
		return fmt.Errorf("chart %q: every bar is empty", c.Title)
	}
	return nil
}

// shown are the parts that a bar has something of: the legend's.
func (c Chart) shown() (list []int) {
	for i := range c.Parts {
		for _, b := range c.Bars {
			if b.Parts[i] > 0 {
				list = append(list, i)
				break
			}
		}
	}
	return list
}

// unit is what the chart counts in: GiB, or a smaller one where the largest bar
// is below 1 GiB.
func (c Chart) unit() (name string, bytes float64) {
	switch n := c.largest(); {
	case n >= 1<<30:
		return "GiB", 1 << 30
	case n >= 1<<20:
		return "MiB", 1 << 20
	default:
		return "KiB", 1 << 10
	}
}

// amount prints bytes in a unit. What is not nothing does not look like it.
func amount(n int64, unit float64) string {
	s := fmt.Sprintf("%.2f", float64(n)/unit)
	if s == "0.00" && n > 0 {
		return "<0.01"
	}
	return s
}

// Draw draws a chart as wide as the terminal, up to 100 columns, or in 80
// columns of ASCII where w is none.
func Draw(w io.Writer, c Chart) error {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return writeChart(w, c, min(columns-1, 100), true)
		}
	}
	return writeChart(w, c, 80, false)
}

// blocks fill bars without colour; neighbours are unlike.
var blocks = []rune("█░▓▚▒▄▌─")

// minBar is the least room for a bar, however long the labels.
const minBar = 10

// writeChart draws one bar per line, with its total at the end, in so many
// columns (more if bars would get less than minBar). Bars are filled with block
// characters or with letters of the parts' names.
func writeChart(w io.Writer, c Chart, columns int, unicode bool) error {
	if err := c.check(); err != nil {
		return err
	}
	fill := blocks
	if !unicode {
		fill = letters(c.Parts)
	}
	name, unit := c.unit()
	labels, numbers := 0, 0
	for _, b := range c.Bars {
		labels = max(labels, utf8.RuneCountInString(b.Label))
		numbers = max(numbers, len(amount(b.total(), unit)))
	}
	room := max(minBar, columns-labels-numbers-len(name)-5) // the spaces between
	largest := c.largest()

	var out strings.Builder
	fmt.Fprintln(&out, c.Title)
	for _, b := range c.Bars {
		length := int(math.Round(float64(room) * (float64(b.total()) / float64(largest))))
		if length == 0 && b.total() > 0 {
			length = 1
		}
		var line strings.Builder
		for i, cells := range share(length, b.Parts) {
			line.WriteString(strings.Repeat(string(fill[i]), cells))
		}
		fmt.Fprintf(&out, "%s  %s  %*s %s\n", pad(b.Label, labels), pad(line.String(), room), numbers,
			amount(b.total(), unit), name)
	}
	var entries []string
	for _, i := range c.shown() {
		entries = append(entries, string(fill[i])+" "+c.Parts[i])
	}
	fmt.Fprintln(&out, strings.Join(wrap(entries, columns), "\n"))
	_, err := io.WriteString(w, out.String())
	return err
}

// pad fills a text up with spaces to so many columns.
func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-utf8.RuneCountInString(s)))
}

// wrap puts entries on lines of so many columns.
func wrap(entries []string, columns int) (lines []string) {
	for _, e := range entries {
		if last := len(lines) - 1; last >= 0 && utf8.RuneCountInString(lines[last]+"  "+e) <= columns {
			lines[last] += "  " + e
		} else {
			lines = append(lines, e)
		}
	}
	return lines
}

// share divides cells among parts in proportion. By the largest remainder they
// add up to cells exactly; of equal remainders the first wins, and a part of
// zero gets nothing.
func share(cells int, parts []int64) []int {
	out := make([]int, len(parts))
	total := uint64(Bar{Parts: parts}.total())
	if total == 0 {
		return out
	}
	left, rest := cells, make([]uint64, len(parts))
	for i, n := range parts {
		high, low := bits.Mul64(uint64(cells), uint64(n)) // n is at most total, so Div64 does not overflow
		var quotient uint64
		quotient, rest[i] = bits.Div64(high, low, total)
		out[i] = int(quotient)
		left -= out[i]
	}
	for ; left > 0; left-- {
		most := 0
		for i := range rest {
			if rest[i] > rest[most] {
				most = i
			}
		}
		out[most]++
		rest[most] = 0
	}
	return out
}

// letters gives every part a letter of its own, from its name if one is free.
func letters(parts []string) []rune {
	var out []rune
	for _, name := range parts {
		for _, r := range strings.ToUpper(name) + "ABCDEFGHIJ" {
			if r >= 'A' && r <= 'Z' && !strings.ContainsRune(string(out), r) {
				out = append(out, r)
				break
			}
		}
	}
	return out
}
