package gpu

import (
	"slices"
	"sync"
)

// Dry is a device that computes nothing and holds nothing: it counts. What is
// recorded on it tells, before anything is allocated, which kernels some work
// calls, for which classes of them there is a choice, and how many operations it is.
type Dry struct {
	mu      sync.Mutex
	limits  Limits
	ledger  Ledger
	live    map[uint64]Spec
	choices Choices
	calls   []Call
}

// NewDry makes a device that has the limits of another.
func NewDry(l Limits) *Dry { return &Dry{limits: l, live: map[uint64]Spec{}} }

func (d *Dry) Name() string      { return "dry" }
func (d *Dry) Limits() Limits    { return d.limits }
func (d *Dry) Ledger() *Ledger   { return &d.ledger }
func (d *Dry) Choices() *Choices { return &d.choices }
func (d *Dry) Own() []Spec       { return nil }
func (d *Dry) Close()            {}

// Calls lists what was recorded, in order.
func (d *Dry) Calls() []Call { return d.calls }

func (d *Dry) New(s Spec) (Tensor, error) {
	if err := checkSpec(s, d.limits); err != nil {
		return Tensor{}, err
	}
	t := tensorOf(s, nil)
	d.live[t.id] = s
	d.ledger.add(s)
	return t, nil
}

func (d *Dry) Free(t Tensor) {
	if s, ok := d.live[t.id]; ok {
		d.ledger.remove(s)
		delete(d.live, t.id)
	}
}

// Write takes the words and forgets them.
func (d *Dry) Write(t Tensor, at int, words []uint32) error {
	return checkCopy("write", t.Spec, at, len(words))
}

// Read leaves zeros.
func (d *Dry) Read(t Tensor, at int, words []uint32) error {
	clear(words)
	return checkCopy("read", t.Spec, at, len(words))
}

func (d *Dry) Begin(label string) *Pass {
	d.mu.Lock()
	return &Pass{label: label, limits: d.limits, choices: &d.choices, run: func(c Call) error {
		c.Tensors, c.Params = slices.Clone(c.Tensors), slices.Clone(c.Params) // the pass takes the lists again
		d.calls = append(d.calls, c)
		return nil
	}, end: func(bool) error { d.mu.Unlock(); return nil }}
}
