package gpu

import (
	"fmt"
	"sync/atomic"

	"steplm/gpu/internal/turn"
	"steplm/internal/clock"
)

// nextID numbers tensors over all devices, so that one device's tensor never
// passes for another's.
var nextID atomic.Uint64

// host runs every kernel's Host in the calling goroutine.
type host struct {
	turn    turn.Turn
	ledger  Ledger
	choices Choices
	pace    pace
	trace   *Trace // nil: opened without one
	label   string // of the open pass
	live    map[uint64]Spec
	later   []Tensor // freed inside the open pass
	// binding is what RestrictBinding set; 0: no limit
	binding int64
}

// NewHost opens the device that computes in plain Go: always there, slow, the
// reference for the others.
func NewHost() Device { return &host{live: map[uint64]Spec{}} }

func (h *host) Name() string { return "host (plain Go)" }

func (h *host) Limits() Limits {
	binding := int64(1 << 40)
	if h.binding > 0 {
		binding = h.binding
	}
	return Limits{CPU: true, Binding: binding, Buffer: 1 << 40, Groups: 1 << 30, Invocations: 1 << 20,
		WorkgroupMemory: 1 << 30, StorageBuffers: MaxStorage, Budget: 1e18}
}

func (h *host) Ledger() *Ledger   { return &h.ledger }
func (h *host) Choices() *Choices { return &h.choices }
func (h *host) Own() []Spec       { return nil }
func (h *host) Close()            {}

func (h *host) New(s Spec) (Tensor, error) {
	if err := checkSpec(s, h.Limits()); err != nil {
		return Tensor{}, err
	}
	if err := checkRoom(s, &h.ledger); err != nil {
		return Tensor{}, err
	}
	if err := h.turn.Take(); err != nil {
		return Tensor{}, fmt.Errorf("allocate %s: %w", s.Name, err)
	}
	defer h.turn.Give()
	t := tensorOf(s, make([]uint32, s.Words()))
	h.live[t.id] = s
	h.ledger.add(s)
	return t, nil
}

func (h *host) Free(t Tensor) {
	if h.turn.Take() != nil {
		h.later = append(h.later, t)
		return
	}
	defer h.turn.Give()
	h.free(t)
}

func (h *host) free(t Tensor) {
	if s, ok := h.live[t.id]; ok {
		delete(h.live, t.id)
		h.ledger.remove(s)
	}
}

func (h *host) words(t Tensor) ([]uint32, error) {
	if _, ok := h.live[t.id]; !ok {
		return nil, goneError(t, h)
	}
	return t.mem.([]uint32), nil
}

func (h *host) Write(t Tensor, at int, words []uint32) error {
	return h.copy("write", t, at, len(words), func(mem []uint32) { copy(mem, words) })
}

func (h *host) Read(t Tensor, at int, words []uint32) error {
	return h.copy("read", t, at, len(words), func(mem []uint32) { copy(words, mem) })
}

func (h *host) copy(verb string, t Tensor, at, n int, do func([]uint32)) error {
	if err := h.turn.Take(); err != nil {
		return fmt.Errorf("%s tensor %s: %w", verb, t.Name, err)
	}
	defer h.turn.Give()
	defer h.trace.begin(verb + " " + t.Name)()
	if t.None() {
		return noneError(verb, t)
	}
	mem, err := h.words(t)
	if err == nil {
		err = checkCopy(verb, t.Spec, at, n)
	}
	if at += t.at; err == nil {
		err = checkCopy(verb, h.live[t.id], at, n)
	}
	if err == nil {
		do(mem[at : at+n])
	}
	return err
}

// Begin holds the device until the pass ends.
func (h *host) Begin(label string) *Pass {
	if err := h.turn.TakePass(label); err != nil {
		return failedPass(label, h, err)
	}
	h.label = label
	recorded := h.trace.begin("record " + label)
	return &Pass{label: label, limits: h.Limits(), choices: &h.choices, run: h.run, end: func(bool) error {
		for _, t := range h.later {
			h.free(t)
		}
		h.later = nil
		recorded()
		h.turn.GivePass()
		return nil
	}}
}

func (h *host) run(c Call) error {
	if c.Kernel.Host == nil {
		return fmt.Errorf("kernel %s has no meaning in Go and cannot run on the host", c.Kernel.Name)
	}
	a := Args{params: c.Params, floats: make([][]float32, len(c.Tensors))}
	for _, t := range c.Tensors {
		w, err := h.words(t)
		if err == nil {
			err = checkCopy("bind", h.live[t.id], t.at, t.Words())
		}
		if err != nil {
			return fmt.Errorf("kernel %s: %w", c.Kernel.Name, err)
		}
		a.words, a.specs = append(a.words, w[t.at:][:t.Words()]), append(a.specs, t.Spec)
	}
	start := clock.Now()
	c.Kernel.Host(a)
	a.store(c.Kernel.Access)
	took := clock.Since(start)
	if h.trace.active() {
		h.trace.add(Span{Track: Dispatches, Name: c.Kernel.Name, Start: h.trace.since(start), Duration: took,
			Pass: h.label, Work: c.Work, Groups: c.Groups})
	}
	h.pace.rest(took)
	return nil
}
