package view

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// plainEvery is how often a line is printed where there is no terminal.
const plainEvery = 10 * time.Second

// Progress tells how far a command has got: a bar on a terminal, a line now and
// then elsewhere, nothing at all on a nil writer. It is for one goroutine.
type Progress struct {
	out         io.Writer
	bar         *progressbar.ProgressBar
	label, unit string
	note        string
	total       int64 // 0: not known
	first, done int64 // first: where a resumed job began
	began       bool
	start, last time.Time
	every       time.Duration
	printed     bool
	room        int // columns for the description; 0: any
}

// ProgressOutput is standard error, or nil where other programs read.
func ProgressOutput(json bool) io.Writer {
	if json {
		return nil
	}
	return os.Stderr
}

// NewProgress counts units up to total (0: not known) under a label. Without a
// unit only the percentage is shown.
func NewProgress(w io.Writer, label string, total int64, unit string) *Progress {
	return NewProgressEvery(w, label, total, unit, plainEvery)
}

func NewProgressEvery(w io.Writer, label string, total int64, unit string, every time.Duration) *Progress {
	now := time.Now()
	p := &Progress{out: w, label: label, unit: unit, total: total, start: now, last: now, every: every}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		// Percentage, count and times take about 34 columns.
		bar := 20
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			bar = max(4, min(bar, columns-100))
			p.room = max(8, columns-34-bar)
		}
		options := []progressbar.Option{
			progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(
				p.fit(label)), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionSetWidth(
				bar), progressbar.OptionClearOnFinish(),
		}
		if unit != "" {
			options = append(options, progressbar.OptionShowCount())
		}
		if total == 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total, options...)
	}
	return p
}

// Describe sets what is said besides the count.
func (p *Progress) Describe(note string) {
	p.note = note
	if p.bar != nil {
		p.bar.Describe(p.fit(p.label + "  " + note))
	}
}

// fit cuts a description to the terminal: a bar that wraps is drawn over and
// over.
func (p *Progress) fit(s string) string {
	if runes := []rune(s); p.room > 0 && len(runes) > p.room {
		return string(runes[:p.room])
	}
	return s
}

// Set says how much is done, in all.
func (p *Progress) Set(n int64) {
	if p.out == nil {
		return
	}
	if !p.began {
		p.began, p.first = true, n
	}
	p.done = n
	if p.total > 0 {
		p.done = min(n, p.total)
	}
	if p.bar != nil {
		p.bar.Set64(p.done)
		return
	}
	if now := time.Now(); now.Sub(p.last) >= p.every {
		p.last, p.printed = now, true
		fmt.Fprintln(p.out, p.line(now))
	}
}

// At is how far it has got, in units.
func (p *Progress) At() int64 { return p.done }

// Clear takes a bar off the terminal, so that a line can be printed; the next
// Set draws it again.
func (p *Progress) Clear() {
	if p.bar != nil {
		p.bar.Clear()
	}
}

// Done takes the bar away; a short job leaves no line behind.
func (p *Progress) Done() {
	switch {
	case p.bar != nil:
		p.bar.Clear()
		p.bar.Exit()
	case p.printed:
		fmt.Fprintln(p.out, p.line(time.Now()))
	}
}

// line is, say, "train: 120/400 steps (30 %), 1m20s left, loss 3.2".
func (p *Progress) line(now time.Time) string {
	var parts []string
	switch {
	case p.unit == "":
		parts = append(parts, fmt.Sprintf("%d %%", percent(p.done, p.total)))
	case p.total == 0:
		parts = append(parts, fmt.Sprintf("%d %s", p.done, p.unit))
	default:
		parts = append(parts, fmt.Sprintf("%d/%d %s (%d %%)", p.done, p.total, p.unit, percent(p.done, p.total)))
	}
	elapsed := now.Sub(p.start)
	switch {
	case p.total > 0 && p.done >= p.total:
		parts = append(parts, "in "+elapsed.Round(time.Second).String())
	case p.total > 0 && p.done > p.first:
		left := time.Duration(float64(elapsed) * float64(p.total-p.done) / float64(p.done-p.first))
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	if p.note != "" {
		parts = append(parts, p.note)
	}
	return p.label + ": " + strings.Join(parts, ", ")
}

func percent(done, total int64) int64 {
	if total < 1 {
		return 0
	}
	return 100 * done / total
}
