package view

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
)

const (
	// plainEvery is how long a log may be silent.
	plainEvery = 5 * time.Second
	// redrawEvery is how often a terminal's line is drawn anew although nothing happened: its times go on.
	redrawEvery = 500 * time.Millisecond
	// drawAtMost is how soon after a drawing the next one may follow.
	drawAtMost = 100 * time.Millisecond
	// paceTime is how far back the pace of a job looks, by which what is left is estimated.
	paceTime = 30 * time.Second
)

// Progress tells how far a job has got: a line that changes on a terminal, a line now and then elsewhere, nothing
// at all on a nil writer. It goes on telling while nothing happens.
type Progress struct {
	out         io.Writer
	terminal    bool
	columns     func() int
	clock       func() time.Time
	every       time.Duration // of plain lines
	end         chan struct{}
	label, unit string
	items       []Item
	total       int64 // 0: not known
	done        int64
	began       bool
	start       time.Time
	pace        pace
	guess       time.Duration // of the whole, until there is a pace; 0: none
	width       int           // columns that the line takes now; 0: it is not there
	drawn       time.Time     // on a terminal
	printed     bool          // elsewhere
	bar         *progressbar.ProgressBar
}

// pace is how long a unit takes, by the recent past; sums fade with paceTime.
type pace struct {
	at             time.Time // of the last sample
	done           int64     // by then
	seconds, units float64
}

// add takes in that so much is done. What came too fast to be timed waits for the next.
func (p *pace) add(now time.Time, done int64) {
	if done < p.done { // There is more to do than was thought.
		p.at, p.done = now, done
		return
	}
	took := now.Sub(p.at)
	if done == p.done || took < 50*time.Millisecond {
		return
	}
	keep := math.Exp(-float64(took) / float64(paceTime))
	p.seconds, p.units = keep*p.seconds+took.Seconds(), keep*p.units+float64(done-p.done)
	p.at, p.done = now, done
}

// ProgressOutput is standard error, or nil where other programs read.
func ProgressOutput(json bool) io.Writer {
	if json {
		return nil
	}
	return os.Stderr
}

// NewProgress counts units up to total (0: not known) under a label. Without a unit only the percentage is shown. The
// job is on the screen until Done.
func NewProgress(w io.Writer, label string, total int64, unit string) *Progress {
	return NewProgressEvery(w, label, total, unit, plainEvery)
}

// NewProgressEvery is NewProgress of a job so long that a line so often is enough where nobody watches.
func NewProgressEvery(w io.Writer, label string, total int64, unit string, every time.Duration) *Progress {
	p := &Progress{out: w, terminal: Terminal(w), columns: func() int { return columnsOf(w) }, clock: time.Now,
		every: every, label: label, unit: unit, total: total}
	return p.show()
}

// show puts the job on the screen, and has it say now and then that it goes on.
func (p *Progress) show() *Progress {
	p.start = p.clock()
	p.pace.at = p.start
	if p.out == nil {
		return p
	}
	screen.Lock()
	defer screen.Unlock()
	if before := shown(); before != nil {
		before.erase()
	}
	screen.jobs = append(screen.jobs, p)
	if screen.last.IsZero() {
		screen.last = p.start
	}
	end := make(chan struct{})
	p.end = end
	wake := p.every
	if p.terminal {
		wake = redrawEvery
	}
	go func() {
		t := time.NewTicker(max(wake, time.Millisecond))
		defer t.Stop()
		for {
			select {
			case <-end:
				return
			case <-t.C:
				screen.Lock()
				if shown() == p {
					p.tell()
				}
				screen.Unlock()
			}
		}
	}()
	return p
}

// Describe sets what is said besides the count.
func (p *Progress) Describe(note string) { p.Say(Same("%s", note)) }

// Say sets what is said besides the count, what matters most first.
func (p *Progress) Say(items ...Item) {
	if p.out == nil {
		return
	}
	screen.Lock()
	defer screen.Unlock()
	p.items = items
}

// Set says how much is done, in all. The first is where a job begins that goes on.
func (p *Progress) Set(n int64) {
	if p.out == nil {
		return
	}
	screen.Lock()
	defer screen.Unlock()
	if p.total > 0 {
		n = min(n, p.total)
	}
	now := p.clock()
	if p.began {
		p.pace.add(now, n)
	} else {
		p.began, p.pace.at, p.pace.done = true, now, n
	}
	p.done = n
	if shown() == p && (!p.terminal || now.Sub(p.drawn) >= drawAtMost) {
		p.tell()
	}
}

// Rest says that since the last Set something else was done: that time tells nothing of the job's pace.
func (p *Progress) Rest() {
	screen.Lock()
	defer screen.Unlock()
	p.pace.at = p.clock()
}

// Total corrects how much there is.
func (p *Progress) Total(n int64) {
	screen.Lock()
	defer screen.Unlock()
	p.total = n
}

// Expect says about how long all of it may take, until its pace shows.
func (p *Progress) Expect(d time.Duration) {
	screen.Lock()
	defer screen.Unlock()
	p.guess = d
}

// At is how far it has got, in units.
func (p *Progress) At() int64 { return p.done }

// Done takes the job off the screen; a short one leaves no line behind.
func (p *Progress) Done() {
	if p.end == nil {
		return
	}
	screen.Lock()
	defer screen.Unlock()
	close(p.end)
	p.end = nil
	p.erase()
	for i, x := range screen.jobs {
		if x == p {
			screen.jobs = append(screen.jobs[:i], screen.jobs[i+1:]...)
			break
		}
	}
	if p.printed && p.total > 0 { // Of what has no total the last line says as much.
		printAbove(p.out, p.line(p.clock())+"\n")
	}
}

// tell draws the line, or prints one where that is due.
func (p *Progress) tell() {
	if p.terminal {
		p.draw()
		return
	}
	// A ticker's times are not exact.
	if now := p.clock(); time.Since(screen.last) >= p.every-p.every/10 {
		p.printed = true
		printAbove(p.out, p.line(now)+"\n")
	}
}

// draw replaces the terminal's last line.
func (p *Progress) draw() {
	if !p.terminal {
		return
	}
	now := p.clock()
	text := p.fit(now, p.columns()-1) // A line that reached the edge would go on in the next.
	width := utf8.RuneCountInString(text)
	io.WriteString(p.out, "\r"+text+strings.Repeat(" ", max(0, p.width-width)))
	p.width, p.drawn = width, now
}

// erase clears the terminal's last line.
func (p *Progress) erase() {
	if p.terminal && p.width > 0 {
		io.WriteString(p.out, "\r"+strings.Repeat(" ", p.width)+"\r")
		p.width = 0
	}
}

// left is Left for those who hold the screen.
func (p *Progress) left(now time.Time) (time.Duration, bool) {
	if p.total < 1 || p.pace.units == 0 {
		return max(0, p.guess-now.Sub(p.start)), p.guess > 0
	}
	rest := float64(p.total-p.pace.done)*p.pace.seconds/p.pace.units - now.Sub(p.pace.at).Seconds()
	return time.Duration(max(0, rest) * float64(time.Second)), true
}

// Left is how long the rest takes at the present pace; false where that is not known.
func (p *Progress) Left() (time.Duration, bool) {
	screen.Lock()
	defer screen.Unlock()
	return p.left(p.clock())
}

// clockItem is how long it will take, or has taken.
func (p *Progress) clockItem(now time.Time) Item {
	elapsed := Duration(now.Sub(p.start))
	if p.total > 0 && p.done >= p.total {
		return Item{"in " + elapsed, elapsed}
	}
	if left, ok := p.left(now); ok {
		return Item{Duration(left) + " left", Duration(left)}
	}
	return Item{elapsed + " so far", elapsed}
}

// fit is the line on a terminal of so many columns.
func (p *Progress) fit(now time.Time, columns int) string {
	items := []Item{Same("%s", p.label), {}, {}, p.clockItem(now)}
	switch share := fmt.Sprintf("%d%%", percent(p.done, p.total)); {
	case p.total > 0 && p.unit == "":
		items[1], items[2] = Item{p.meter(), ""}, Same("%s", share)
	case p.total > 0:
		items[1] = Item{p.meter(), ""}
		items[2] = Item{fmt.Sprintf("%d/%d %s", p.done, p.total, p.unit), share}
	case p.began:
		items[2] = Same("%d %s", p.done, p.unit)
	}
	items = append(items, p.items...)
	gives := []int{1, 2, 3}
	for i := len(items) - 1; i > 3; i-- {
		gives = append(gives, i)
	}
	return fitItems(items, gives, columns)
}

// cells is how wide a bar is, without its ends.
const cells = 16

// meter is the bar that tells how much of the whole is done. It is only drawn by the bar: a terminal's line is written
// by one hand, together with what stands beside it.
func (p *Progress) meter() string {
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(p.total,
			progressbar.OptionSetWriter(io.Discard), progressbar.OptionSetWidth(cells),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionSetTheme(progressbar.Theme{
				Saucer: "=", SaucerHead: "=", SaucerPadding: " ", BarStart: "[", BarEnd: "]",
			}))
		p.bar.RenderBlank() // Else nothing is drawn of 0.
	}
	if p.bar.GetMax64() != p.total {
		p.bar.ChangeMax64(p.total)
	}
	p.bar.Set64(p.done)
	_, drawn, _ := strings.Cut(p.bar.String(), "[") // after the percentage
	return "[" + strings.TrimRight(drawn, " ")
}

// line is, say, "train: 120/400 steps (30 %), 1m20s left, loss 3.2".
func (p *Progress) line(now time.Time) string {
	var parts []string
	switch {
	case p.total == 0 && !p.began:
	case p.unit == "":
		parts = append(parts, fmt.Sprintf("%d %%", percent(p.done, p.total)))
	case p.total == 0:
		parts = append(parts, fmt.Sprintf("%d %s", p.done, p.unit))
	default:
		parts = append(parts, fmt.Sprintf("%d/%d %s (%d %%)", p.done, p.total, p.unit, percent(p.done, p.total)))
	}
	parts = append(parts, p.clockItem(now).Long)
	for _, x := range p.items {
		if x.Long != "" {
			parts = append(parts, x.Long)
		}
	}
	return p.label + ": " + strings.Join(parts, ", ")
}

func percent(done, total int64) int64 {
	if total < 1 {
		return 0
	}
	return 100 * done / total
}
