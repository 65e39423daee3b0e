package view

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen is what the process's output is seen on: progress is its last line, everything else is printed above. One
// job is shown at a time, the one that was begun last and has not ended.
var screen struct {
	sync.Mutex
	jobs []*Progress
	last time.Time // when a line was printed
}

// Print writes whole lines above what is shown of a job.
func Print(w io.Writer, text string) {
	screen.Lock()
	defer screen.Unlock()
	printAbove(w, text)
}

// printAbove is Print for those who hold the screen.
func printAbove(w io.Writer, text string) {
	p := shown()
	if p != nil {
		p.erase()
	}
	io.WriteString(w, text)
	screen.last = time.Now()
	if p != nil {
		p.draw()
	}
}

// shown is the job that the screen shows, nil: none.
func shown() *Progress {
	if len(screen.jobs) == 0 {
		return nil
	}
	return screen.jobs[len(screen.jobs)-1]
}

// Terminal reports whether a person sees what is written there at once.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// columnsOf is the width of a terminal, 80 where it does not say.
func columnsOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}
