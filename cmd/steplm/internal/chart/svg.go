package chart

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"unicode/utf8"

	"steplm/cmd/steplm/internal/view"
	"steplm/internal/disk"
)

// Style is how the curve of an index is told apart from its neighbours: by its colour, and without colour by its
// dashes. A chart of more curves than there are colours goes on with other dashes.
func Style(i int) (colour string, dash string) {
	n := len(palette)
	return palette[i%n], dashes[(i+i/n)%n]
}

// palette is Okabe and Ito's, which the colour-blind can tell apart, without
// its yellow, which is hard to see on white.
var palette = []string{"#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#777777", "#000000"}

const (
	imageWidth = 860.0
	fontSize   = 13.0
	rowHeight  = 20.0 // of the legend
	titleRoom  = 36.0
	margin     = 16.0

	ink  = "#222222"
	grid = "#DDDDDD"
)

// svg collects an image's elements. The height is known last.
type svg struct{ body bytes.Buffer }

// px prints a coordinate: one form for every number, so that the same image is
// the same bytes everywhere.
func px(f float64) string { return strconv.FormatFloat(math.Round(f*100)/100, 'f', -1, 64) }

// escape makes a text safe between tags and in attributes.
func escape(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// rect draws a filled rectangle; a pointer that rests on it shows the tip.
func (s *svg) rect(x, y, width, height float64, fill, tip string) {
	fmt.Fprintf(&s.body, "<rect x=%q y=%q width=%q height=%q fill=%q>", px(x), px(y), px(width), px(height), fill)
	if tip != "" {
		fmt.Fprintf(&s.body, "<title>%s</title>", escape(tip))
	}
	s.body.WriteString("</rect>\n")
}

func (s *svg) line(x1, y1, x2, y2 float64, stroke string, width float64, dash string) {
	fmt.Fprintf(&s.body, "<line x1=%q y1=%q x2=%q y2=%q stroke=%q stroke-width=%q%s/>\n", px(x1), px(y1), px(x2),
		px(y2), stroke, px(width), dashed(dash))
}

func dashed(pattern string) string {
	if pattern == "" {
		return ""
	}
	return fmt.Sprintf(" stroke-dasharray=%q", pattern)
}

// text writes at a base line; anchor is start, middle or end.
func (s *svg) text(x, y float64, anchor, text string) {
	fmt.Fprintf(&s.body, "<text x=%q y=%q text-anchor=%q>%s</text>\n", px(x), px(y), anchor, escape(text))
}

func (s *svg) title(text string) {
	fmt.Fprintf(&s.body, "<text x=%q y=%q font-size=\"16\" font-weight=\"bold\">%s</text>\n", px(margin),
		px(titleRoom-12), escape(text))
}

// textWidth is about what a text takes. No font is at hand to measure with, so
// nothing may depend on it but how much room is left.
func textWidth(s string) float64 { return 0.6 * fontSize * float64(utf8.RuneCountInString(s)) }

// legend draws entries from the left below the title, in as many rows as they
// need, and returns where it ends. A sample of each, so wide, is drawn at its
// left end and middle height.
func (s *svg) legend(names []string, sampleWidth float64, sample func(entry int, x, y float64)) (bottom float64) {
	x, y := margin, titleRoom
	for i, name := range names {
		width := sampleWidth + 6 + textWidth(name) + 18
		if x > margin && x+width > imageWidth-margin {
			x, y = margin, y+rowHeight
		}
		sample(i, x, y+rowHeight/2)
		s.text(x+sampleWidth+6, y+rowHeight/2+0.35*fontSize, "start", name)
		x += width
	}
	return y + rowHeight
}

// writeTo writes the whole image.
func (s *svg) writeTo(w io.Writer, title string, height float64) error {
	var b bytes.Buffer
	fmt.Fprintf(&b,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=%q height=%q viewBox=\"0 0 %s %s\" role=\"img\" "+
			"font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=%q fill=%q>\n",
		px(imageWidth), px(height), px(imageWidth), px(height), px(fontSize), ink)
	fmt.Fprintf(&b, "<title>%s</title>\n", escape(title))
	fmt.Fprintf(&b, "<rect width=\"100%%\" height=\"100%%\" fill=\"#FFFFFF\"/>\n")
	s.body.WriteTo(&b)
	b.WriteString("</svg>\n")
	_, err := b.WriteTo(w)
	return err
}

// axis is the round numbers along an axis.
type axis struct {
	at       []float64 // ascending, the first and the last enclose what is shown
	decimals int
}

// newAxis takes about so many steps of 1, 2 or 5 times a power of ten from low
// to high. A range of no length becomes one.
func newAxis(low, high float64, steps int) axis {
	if size := max(math.Abs(low), math.Abs(high)); high-low <= 1e-9*size {
		widen := cmp.Or(0.05*size, 1)
		low, high = low-widen, high+widen
	}
	raw := (high - low) / float64(steps)
	exponent := int(math.Floor(math.Log10(raw)))
	factor := 10.0
	for _, f := range []float64{5, 2, 1} {
		// The margin takes 0.1 * 10^1 for 1.
		if scaled(f, exponent) >= raw*(1-1e-9) {
			factor = f
		}
	}
	a := axis{decimals: max(0, -exponent)}
	if factor == 10 {
		a.decimals = max(0, -exponent-1)
	}
	first := math.Floor(low/scaled(factor, exponent) + 1e-9)
	for i := 0; i <= steps+2; i++ {
		t := scaled((first+float64(i))*factor, exponent)
		a.at = append(a.at, t)
		if t >= high {
			break
		}
	}
	return a
}

// scaled is f * 10^exponent, the nearest number to it: 3 tenths are 0.3.
func scaled(f float64, exponent int) float64 {
	if exponent < 0 {
		return f / math.Pow10(-exponent)
	}
	return f * math.Pow10(exponent)
}

func (a axis) low() float64  { return a.at[0] }
func (a axis) high() float64 { return a.at[len(a.at)-1] }

// label prints one of the axis's numbers; those of an axis to billions, such as of operations, by their powers of ten.
func (a axis) label(f float64) string {
	if a.high() >= 1e9 {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	if a.decimals == 0 && f >= 0 && f < 1<<53 {
		return view.Count(int64(f))
	}
	return strconv.FormatFloat(f, 'f', a.decimals, 64)
}

// Save writes a file that appears whole or not at all.
func Save(path string, write func(io.Writer) error) error {
	if err := disk.Write(path, func(f *os.File) error { return write(f) }); err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, err)
	}
	return nil
}
