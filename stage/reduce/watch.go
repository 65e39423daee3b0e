package reduce

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"
)

// What the watch goes by. Clocks bound and report here; no number of a run depends on them.
const (
	// beatEvery is how often a process tells the next rank that it is there.
	beatEvery = time.Second
	// silence is how long it may not be heard of.
	silence = 30 * time.Second
	// leastStep is how long a process may at least compute between two meetings; it may slowly many times as long as
	// it ever did.
	leastStep = 45 * time.Second
	slowly    = 10
)

// beatTag marks the messages of the watch.
const beatTag = 1717

// watch finds processes that are gone or hang. Each rank tells the next one, around the circle, that it is there; a
// process that computes longer between two meetings than any before lets suppose says so of itself.
type watch struct {
	m     *MPI
	fail  func(text string)
	pace  atomic.Int32 // what the process does now, one of the Paces
	meets atomic.Bool  // it has come to a meeting
	turns atomic.Int64 // of meets
	ended atomic.Bool

	// Of the library's thread:
	begun              bool
	last               time.Time // when look was last called
	heard, told        time.Time // of the rank before, to the rank after
	in, out            [8]byte
	inReq, outReq      uintptr
	receiving, sending bool
	turn               int64 // of meets, as it was last looked at
	computes           bool
	since              time.Time // then
	longest            time.Duration
}

// Pace is how long a process may be without meeting the others.
type Pace int32

// The paces.
const (
	AnyTime  Pace = iota // It saves, evaluates, compiles, waits for data.
	Measured             // It takes a first step, by which others are judged.
	Judged
)

func (w *watch) start(m *MPI) {
	w.fail = func(text string) {
		fmt.Fprintln(os.Stderr, "steplm: error: "+text)
		m.lib.abort(m.lib.world, 1)
		os.Exit(1)
	}
	now := time.Now()
	w.heard, w.last, w.since = now, now, now
	w.m = m
	m.do(&call{plain: func() error { w.begun = true; return nil }})
}

// waiting tells that the process has come to a meeting, or goes on from it.
func (w *watch) waiting(on bool) {
	w.meets.Store(on)
	w.turns.Add(1)
}

// SetPace tells what follows.
func (m *MPI) SetPace(p Pace) {
	m.watch.pace.Store(int32(p))
	m.watch.turns.Add(1)
}

// end stops the watch of this process over itself: it has done its work.
func (w *watch) end() { w.ended.Store(true) }

// look is called now and then by the thread of the library.
func (w *watch) look() {
	if !w.begun || w.m.size == 1 {
		return
	}
	now := time.Now()
	if now.Sub(w.last) > 5*beatEvery { // This process itself stood still: others may have been heard meanwhile.
		w.heard, w.since = now, now
	}
	w.last = now
	if text := w.hear(now); text != "" {
		w.fail(text)
	}
	w.tell(now)
	if text := w.self(now); text != "" {
		w.fail(text)
	}
}

// hear takes the messages of the rank before.
func (w *watch) hear(now time.Time) string {
	before := (w.m.rank + w.m.size - 1) % w.m.size
	for w.receive(before) {
		w.heard = now
	}
	if gone := now.Sub(w.heard); gone > silence && !w.ended.Load() {
		return fmt.Sprintf("%s has not been heard of for %.0f s: it is gone or hangs, so that %s ends the run; "+
			"the last checkpoint is whole", w.m.name(before), gone.Seconds(), w.m.Self())
	}
	return ""
}

// receive reports whether there was a message of a rank, and is ready for the next one unless it was the last.
func (w *watch) receive(from int) bool {
	m := w.m
	if !w.receiving && w.in[0] != farewell {
		w.inReq = 0
		w.receiving = m.lib.irecv(unsafe.Pointer(&w.in), int32(len(w.in)), m.lib.byteType, int32(from), beatTag,
			m.lib.world, unsafe.Pointer(&w.inReq)) == 0
	}
	if !w.receiving {
		return false
	}
	done, err := m.test(&w.inReq)
	w.receiving = !done && err == nil
	return done && err == nil
}

// tell says to the rank after that this one is there.
func (w *watch) tell(now time.Time) {
	if now.Sub(w.told) < beatEvery || !w.sent() {
		return
	}
	w.told = now
	w.send()
}

// sent reports whether the last message is on its way.
func (w *watch) sent() bool {
	if w.sending {
		done, err := w.m.test(&w.outReq)
		w.sending = !done && err == nil
	}
	return !w.sending
}

func (w *watch) send() {
	m := w.m
	w.outReq = 0
	w.sending = m.lib.isend(unsafe.Pointer(&w.out), int32(len(w.out)), m.lib.byteType, int32((m.rank+1)%m.size),
		beatTag, m.lib.world, unsafe.Pointer(&w.outReq)) == 0
}

// farewell is the first byte of the last message; a library must not end while it waits for one.
const farewell = 1

// part exchanges the last messages, once all processes have come to the end.
func (w *watch) part() error {
	if !w.begun || w.m.size == 1 {
		return nil
	}
	w.begun = false
	until := time.Now().Add(silence)
	told := false
	for time.Now().Before(until) {
		for w.receive((w.m.rank + w.m.size - 1) % w.m.size) {
		}
		if w.sent() && !told {
			told, w.out[0] = true, farewell
			w.send()
		}
		if told && w.sent() && w.in[0] == farewell && !w.receiving {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s says nothing at the end", w.m.name((w.m.rank+w.m.size-1)%w.m.size))
}

// self finds that this process computes for too long.
func (w *watch) self(now time.Time) string {
	pace := Pace(w.pace.Load())
	computes := pace != AnyTime && !w.meets.Load()
	if turn := w.turns.Load(); turn != w.turn {
		if w.computes {
			w.longest = max(w.longest, now.Sub(w.since))
		}
		w.turn, w.computes, w.since = turn, computes, now
	}
	limit := max(leastStep, slowly*w.longest)
	if took := now.Sub(w.since); computes && pace == Judged && took > limit && !w.ended.Load() {
		return fmt.Sprintf("%s hangs: it computes for %.0f s since the processes last met, where the longest so far "+
			"was %.1f s; the last checkpoint is whole", w.m.Self(), took.Seconds(), w.longest.Seconds())
	}
	return ""
}
