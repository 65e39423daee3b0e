package gpu

import (
	"fmt"
	"strings"
	"sync"
)

// Ledger counts live and peak bytes by class.
type Ledger struct {
	mu    sync.Mutex
	live  [classes]int64
	peak  [classes]int64 // by class, when the total peaked
	total int64
	max   int64
	// What the tensors take in blocks of the library's chunks, now and at most.
	blocks, maxBlocks int64
}

// Plan is the ledger that allocating all specs at once would leave.
func Plan(specs ...[]Spec) *Ledger {
	l := &Ledger{}
	for _, list := range specs {
		for _, s := range list {
			l.add(s)
		}
	}
	return l
}

func (l *Ledger) add(s Spec) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[s.Class] += s.Bytes()
	l.total += s.Bytes()
	if l.total > l.max {
		l.max, l.peak = l.total, l.live
	}
	l.blocks += block(s.Bytes())
	l.maxBlocks = max(l.maxBlocks, l.blocks)
}

func (l *Ledger) remove(s Spec) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[s.Class] -= s.Bytes()
	l.total -= s.Bytes()
	l.blocks -= block(s.Bytes())
}

// Live is the bytes allocated now, by class.
func (l *Ledger) Live(c Class) int64 { l.mu.Lock(); defer l.mu.Unlock(); return l.live[c] }

// Total is the bytes allocated now.
func (l *Ledger) Total() int64 { l.mu.Lock(); defer l.mu.Unlock(); return l.total }

// Peak is the largest Total since the last ResetPeak.
func (l *Ledger) Peak() int64 { l.mu.Lock(); defer l.mu.Unlock(); return l.max }

// AtPeak is the bytes of a class when the total peaked.
func (l *Ledger) AtPeak(c Class) int64 { l.mu.Lock(); defer l.mu.Unlock(); return l.peak[c] }

// ResetPeak starts a new peak at what is live.
func (l *Ledger) ResetPeak() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max, l.peak, l.maxBlocks = l.total, l.live, l.blocks
}

// PeakOn is the most memory that the tensors took of a device since the last ResetPeak:
// Peak, or what the library's blocks make of it where a device backs every byte of them.
func (l *Ledger) PeakOn(limits Limits) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limits.Backed {
		return l.maxBlocks
	}
	return l.max
}

// TotalOn is PeakOn of what is allocated now.
func (l *Ledger) TotalOn(limits Limits) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limits.Backed {
		return l.blocks
	}
	return l.total
}

// ByClass is the live bytes under their class's name.
func (l *Ledger) ByClass() map[string]int64 {
	m := map[string]int64{}
	for _, c := range Classes() {
		m[c.String()] = l.Live(c)
	}
	return m
}

// Difference names the first class in which two ledgers' live bytes differ,
// or is empty.
func (l *Ledger) Difference(o *Ledger) string {
	for _, c := range Classes() {
		if a, b := l.Live(c), o.Live(c); a != b {
			return fmt.Sprintf("%s: %d bytes against %d", c, a, b)
		}
	}
	return ""
}

// String is one line: every class with bytes, and the total.
func (l *Ledger) String() string {
	var b strings.Builder
	for _, c := range Classes() {
		if n := l.Live(c); n != 0 {
			fmt.Fprintf(&b, "%s %s, ", c, Bytes(n))
		}
	}
	fmt.Fprintf(&b, "total %s", Bytes(l.Total()))
	return b.String()
}

// Bytes prints a byte count for people: 1536 is "1.5 KiB".
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-n)
	}
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n), -1
	for f >= 1024 && u < 4 {
		f /= 1024
		u++
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[u])
}
