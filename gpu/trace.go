package gpu

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"steplm/internal/clock"
)

// Track is the row of a trace that a span is on.
type Track uint8

const (
	Dispatches  Track = iota // kernels on the device
	Submissions              // from handing one over until the wait for it ended
	CPU                      // recording, copying and waiting
)

// Span is something that took time.
type Span struct {
	Track           Track
	Name            string        // a dispatch's is its kernel's
	Start, Duration time.Duration // Start since the device was opened
	Submission      uint32        // of dispatches and submissions; 0 on the host
	// Of dispatches alone, but for Work, which submissions add up.
	Pass   string
	Work   float64 // estimated operations, see Call
	Groups [3]int
}

// Trace notes where a device's time goes between Start and Stop. Then each dispatch
// has a pass of its own and each submission is waited for, so that all takes longer;
// what is computed stays the same.
type Trace struct {
	begun     time.Time
	on        atomic.Bool
	calibrate func() (by string, err error)

	mu    sync.Mutex
	spans []Span
	clock string
}

// OpenTraced is Open for a device that can be traced. On an adapter that has
// timestamps it holds a buffer for them, which Own lists.
func OpenTraced(choice string) (Device, *Trace, error) {
	t := &Trace{begun: clock.Now()}
	if strings.EqualFold(choice, "host") {
		t.calibrate = func() (string, error) { return "each call of a kernel in plain Go, by the system's clock", nil }
		h := NewHost().(*host)
		h.trace = t
		return h, t, nil
	}
	a, err := pick(Enumerate(), choice)
	if err != nil {
		return nil, nil, err
	}
	d, err := openAdapter(a, t)
	if err != nil {
		return nil, nil, err
	}
	return d, t, nil
}

// Start begins to note spans, or goes on after Stop. It must not be called within a
// pass.
func (t *Trace) Start() error {
	by, err := t.calibrate()
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.clock = by
	t.mu.Unlock()
	t.on.Store(true)
	return nil
}

// Stop ends what Start began.
func (t *Trace) Stop() { t.on.Store(false) }

// Spans lists what was noted so far.
func (t *Trace) Spans() []Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.spans)
}

// Clock says how dispatches were timed, once Start was called.
func (t *Trace) Clock() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.clock
}

// active is false for a device that is not traced, whose trace is nil.
func (t *Trace) active() bool { return t != nil && t.on.Load() }

// since is a moment as spans have it.
func (t *Trace) since(at time.Time) time.Duration { return at.Sub(t.begun) }

func (t *Trace) add(s Span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = append(t.spans, s)
}

// begin begins a span of the CPU; what it returns ends it.
func (t *Trace) begin(name string) (end func()) {
	if !t.active() {
		return func() {}
	}
	start := clock.Now()
	return func() {
		t.add(Span{Track: CPU, Name: name, Start: t.since(start), Duration: clock.Since(start)})
	}
}
