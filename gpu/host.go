package gpu

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// nextID numbers tensors over all devices, so that one device's tensor never
// passes for another's.
var nextID atomic.Uint64

// host runs every kernel's Host in the calling goroutine.
type host struct {
	mu     sync.Mutex
	ledger Ledger
	live   map[uint64]bool
}

// NewHost opens the device that computes in plain Go: always there, slow, the
// reference for the others.
func NewHost() Device { return &host{live: map[uint64]bool{}} }

func (h *host) Name() string { return "host (plain Go)" }

func (h *host) Limits() Limits {
	return Limits{CPU: true, Binding: 1 << 40, Buffer: 1 << 40, Groups: 1 << 30, Invocations: 1 << 20, WorkgroupMemory: 1 << 30, StorageBuffers: MaxStorage, Budget: 1e18}
}

func (h *host) Ledger() *Ledger { return &h.ledger }
func (h *host) Own() []Spec     { return nil }
func (h *host) Close()          {}

func (h *host) New(s Spec) (Tensor, error) {
	if err := checkSpec(s, h.Limits()); err != nil {
		return Tensor{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := Tensor{Spec: s, id: nextID.Add(1), mem: make([]uint32, s.Words())}
	h.live[t.id] = true
	h.ledger.add(s)
	return t, nil
}

func (h *host) Free(t Tensor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live[t.id] {
		delete(h.live, t.id)
		h.ledger.remove(t.Spec)
	}
}

func (h *host) words(t Tensor) ([]uint32, error) {
	if !h.live[t.id] {
		return nil, fmt.Errorf("tensor %s is not on device %s (freed, or another device's)", t.Name, h.Name())
	}
	return t.mem.([]uint32), nil
}

func (h *host) Write(t Tensor, at int, words []uint32) error {
	return h.copy("write", t, at, words, func(mem []uint32) { copy(mem, words) })
}

func (h *host) Read(t Tensor, at int, words []uint32) error {
	return h.copy("read", t, at, words, func(mem []uint32) { copy(words, mem) })
}

func (h *host) copy(verb string, t Tensor, at int, words []uint32, do func([]uint32)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := checkCopy(verb, t, at, len(words)); err != nil {
		return err
	}
	mem, err := h.words(t)
	if err == nil {
		do(mem[at : at+len(words)])
	}
	return err
}

// Begin holds the device until the pass ends.
func (h *host) Begin(label string) *Pass {
	h.mu.Lock()
	return &Pass{
		label:  label,
		limits: h.Limits(),
		run: func(c Call) error {
			a := Args{params: c.Params}
			for _, t := range c.Tensors {
				w, err := h.words(t)
				if err != nil {
					return fmt.Errorf("kernel %s: %w", c.Kernel.Name, err)
				}
				a.words = append(a.words, w)
			}
			c.Kernel.Host(a)
			return nil
		},
		end: func() error { h.mu.Unlock(); return nil },
	}
}
