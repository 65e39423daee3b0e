package chart

import (
	"fmt"
	"io"

	"steplm/cmd/steplm/internal/view"
)

// SaveBars saves a chart as an SVG image.
func SaveBars(path string, c Chart) error {
	return Save(path, func(w io.Writer) error { return writeBars(w, c) })
}

// writeBars draws a chart as an SVG image: what writeChart draws for a terminal.
func writeBars(w io.Writer, c Chart) error {
	if err := c.check(); err != nil {
		return err
	}
	const bar, gap, axisRoom, numberRoom = 26.0, 12.0, 34.0, 90.0
	var s svg
	s.title(c.Title)
	shown := c.shown()
	var names []string
	for _, i := range shown {
		names = append(names, c.Parts[i])
	}
	top := gap + s.legend(names, 14, func(entry int, x, y float64) {
		s.rect(x, y-7, 14, 14, palette[shown[entry]], "")
	})
	left := 0.0
	for _, b := range c.Bars {
		left = max(left, textWidth(b.Label))
	}
	left = min(margin+left+8, imageWidth/2)
	bottom := top + float64(len(c.Bars))*(bar+gap)

	name, unit := c.unit()
	largest := float64(c.largest())
	at := func(bytes float64) float64 { return left + float64((imageWidth-left-numberRoom)*(bytes/largest)) }
	ruler := newAxis(0, largest/unit, 8)
	for _, t := range ruler.at {
		if t*unit <= largest {
			s.line(at(t*unit), top-gap/2, at(t*unit), bottom, grid, 1, "")
			s.text(at(t*unit), bottom+fontSize+4, "middle", ruler.label(t))
		}
	}
	s.text(imageWidth-margin, bottom+fontSize+4, "end", name)

	for i, b := range c.Bars {
		y, before := top+float64(i)*(bar+gap), int64(0)
		middle := y + bar/2 + 0.35*fontSize
		s.text(left-8, middle, "end", b.Label)
		for j, n := range b.Parts {
			if n > 0 {
				tip := fmt.Sprintf("%s, %s: %s %s (%s bytes)", b.Label, c.Parts[j], amount(n, unit), name,
					view.Count(n))
				s.rect(at(float64(before)), y, at(float64(before+n))-at(float64(before)), bar, palette[j], tip)
			}
			before += n
		}
		s.text(at(float64(before))+6, middle, "start", amount(before, unit)+" "+name)
	}
	s.line(left, top-gap/2, left, bottom, ink, 1, "")
	return s.writeTo(w, c.Title, bottom+axisRoom)
}
