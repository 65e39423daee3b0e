package gpu

import (
	"fmt"
	"strings"
	"sync"

	"steplm/gpu/memory"
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

// ByClass is the live bytes under their class's name: of every class of training, and of others that have some.
func (l *Ledger) ByClass() map[string]int64 {
	m := map[string]int64{}
	for c := range classes {
		if n := l.Live(c); n != 0 || c < Cache {
			m[c.String()] = n
		}
	}
	return m
}

// Difference names the first class in which two ledgers' live bytes differ,
// or is empty.
func (l *Ledger) Difference(o *Ledger) string {
	for c := range classes {
		if a, b := l.Live(c), o.Live(c); a != b {
			return fmt.Sprintf("%s: %d bytes against %d", c, a, b)
		}
	}
	return ""
}

// String is one line: every class with bytes, and the total.
func (l *Ledger) String() string {
	var b strings.Builder
	for c := range classes {
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

// CheckFits compares a plan, which must count what is on the device already, with
// the memory there is, before the rest is allocated; the error says by how much it
// does not fit. Only devices that compute on the CPU need it: they grant any size
// and the process is killed later. Others fail when a buffer is made.
func CheckFits(d Device, plan *Ledger) error {
	if !d.Limits().CPU {
		return nil
	}
	free, ok := memory.Available()
	if !ok {
		return nil
	}
	return checkFits(d, plan, free)
}

func checkFits(d Device, plan *Ledger, free int64) error {
	need := plan.PeakOn(d.Limits()) - d.Ledger().TotalOn(d.Limits())
	over := need + memory.ProcessOverhead - free
	if need <= 0 || over <= 0 {
		return nil
	}
	return fmt.Errorf("the model does not fit: it needs %s more on %s, and %s for the process itself, which is %s "+
		"above the %s that are free (%s); choose a smaller model, batch or sequence, or more stages",
		Bytes(need), d.Name(), Bytes(memory.ProcessOverhead), Bytes(over), Bytes(free), plan)
}

// bigTensor is what is worth asking the system about before it is allocated.
const bigTensor = 64 << 20

// checkRoom refuses one tensor that is larger than the memory there is, where
// it would be the machine's. CheckFits compares whole plans; this is the net
// below it.
func checkRoom(s Spec, l *Ledger) error {
	if s.Bytes() < bigTensor {
		return nil
	}
	if free, ok := memory.Available(); ok && s.Bytes() > free {
		return fmt.Errorf("allocate %s (%s): %s of memory are free; allocated now: %s", s.Name, Bytes(s.Bytes()),
			Bytes(free), l)
	}
	return nil
}
