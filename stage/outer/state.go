package outer

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"steplm/gpu"
	"steplm/model"
)

// State is what an outer optimizer keeps of a model that trains. It is there before it has memory.
type State struct {
	config   Config
	home     gpu.Device // the process's memory
	model    *model.Model
	params   []*model.Param // that train
	planes   map[string]planes
	anchored bool
	done     int    // the step up to which rounds are done
	frozen   []byte // hashes of what is; nil: they are to be taken
}

// planes are a parameter's.
type planes struct{ anchor, momentum, residual gpu.Tensor }

func (p planes) list() []gpu.Tensor {
	list := []gpu.Tensor{p.anchor, p.momentum}
	if !p.residual.None() {
		list = append(list, p.residual)
	}
	return list
}

// New is the state of a valid configuration.
func New(c Config) *State { return &State{config: c, home: gpu.NewHost(), planes: map[string]planes{}} }

// Config is its own.
func (s *State) Config() Config { return s.config }

// Home is the device that its planes are on: the process's memory.
func (s *State) Home() gpu.Device { return s.home }

// Done is the step up to which rounds are done.
func (s *State) Done() int { return s.done }

// Allocate makes what planes the model's trainable parameters lack, all zero. Anchors are taken anew by the next
// Anchor.
func (s *State) Allocate(m *model.Model) error {
	s.model, s.params, s.anchored, s.frozen = m, nil, false, nil
	for _, p := range m.Params() {
		if !p.Trainable() {
			continue
		}
		s.params = append(s.params, p)
		if _, ok := s.planes[p.Name]; ok {
			continue
		}
		var made planes
		for i, spec := range s.config.specs(p.Weight.Spec) {
			t, err := s.home.New(spec)
			if err != nil {
				return err
			}
			*[]*gpu.Tensor{&made.anchor, &made.momentum, &made.residual}[i] = t
		}
		s.planes[p.Name] = made
	}
	return nil
}

// Reset frees the planes of the parameters that which selects by name: their momentum begins anew. Allocate must
// follow.
func (s *State) Reset(which func(name string) bool) {
	for name, p := range s.planes {
		if which(name) {
			s.free(p)
			delete(s.planes, name)
		}
	}
}

// Free releases everything.
func (s *State) Free() { s.Reset(func(string) bool { return true }) }

func (s *State) free(p planes) {
	for _, t := range p.list() {
		s.home.Free(t)
	}
}

// Tensors are the planes, for a checkpoint.
func (s *State) Tensors() (list []gpu.Tensor) {
	for _, p := range s.params {
		list = append(list, s.planes[p.Name].list()...)
	}
	return list
}

// Restored says that the planes were filled from a checkpoint, of a run whose rounds were done up to a step.
func (s *State) Restored(done int) { s.anchored, s.done = true, done }

// Wait says that no round has begun up to a step: what the weights are now, the first one does not begin with.
func (s *State) Wait(step int) { s.anchored, s.done = false, step }

// Anchor takes the weights as those that the round begins with, unless they were taken.
func (s *State) Anchor() error {
	if s.anchored {
		return nil
	}
	err := s.each(func(x *piece) error {
		if err := s.model.ReadRows(x.param, x.row, x.anchor); err != nil {
			return err
		}
		return gpu.WriteRows(s.home, x.planes.anchor, x.row, x.anchor)
	})
	s.anchored = err == nil
	return err
}

// piece is whole rows of a parameter with room for their values.
type piece struct {
	param                              *model.Param
	planes                             planes
	row                                int
	at, bytes                          int // of its change as it travels
	anchor, momentum, residual, change []float32
}

// each calls do for the pieces of all that trains, in order.
func (s *State) each(do func(*piece) error) error {
	w, x := wireOf(s.config.Wire), &piece{}
	for _, p := range s.params {
		err := eachPiece(p.Weight.Spec, func(row, n int) error {
			for _, room := range []*[]float32{&x.anchor, &x.momentum, &x.residual, &x.change} {
				if cap(*room) < n {
					*room = make([]float32, n)
				}
				*room = (*room)[:n]
			}
			x.param, x.planes, x.row, x.bytes = p, s.planes[p.Name], row, w.bytes(n)
			if err := do(x); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			x.at += x.bytes
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// read fills the anchor and what the round made of it: the change is what was there less what is.
func (s *State) read(x *piece) error {
	if err := gpu.ReadRows(s.home, x.planes.anchor, x.row, x.anchor); err != nil {
		return err
	}
	if err := s.model.ReadRows(x.param, x.row, x.change); err != nil {
		return err
	}
	for i, end := range x.change {
		x.change[i] = s.model.Storage.Kept(x.anchor[i]) - end
	}
	return allFinite(x.change)
}

// feedback rounds x's change for the wire, as the configuration has it.
func (s *State) feedback(w wire, to []byte, x *piece) error {
	if x.planes.residual.None() {
		w.encode(to, x.change)
		return allFinite(x.change)
	}
	if err := gpu.ReadRows(s.home, x.planes.residual, x.row, x.residual); err != nil {
		return err
	}
	if err := w.feedback(to, x.change, x.residual); err != nil {
		return err
	}
	return gpu.WriteRows(s.home, x.planes.residual, x.row, x.residual)
}

// WireBytes is a change as it travels.
func (s *State) WireBytes() int64 { return s.config.WireBytes(s.model.Layout) }

// Change is this process's since the round began, as it travels. What rounding leaves out stays in the residual.
func (s *State) Change() ([]byte, error) {
	w, out := wireOf(s.config.Wire), make([]byte, s.WireBytes())
	return out, s.each(func(x *piece) error {
		if err := s.read(x); err != nil {
			return err
		}
		return s.feedback(w, out[x.at:x.at+x.bytes], x)
	})
}

// Part is another process's share of a round.
type Part struct {
	Tokens int64
	Change []byte
}

// Check refuses a change that cannot be one of this model: of another size, or not finite.
func (s *State) Check(change []byte) error { return CheckChange(s.config, s.model.Layout, change) }

// CheckChange is Check without a model.
func CheckChange(c Config, l model.Layout, change []byte) error {
	if want := c.WireBytes(l); int64(len(change)) != want {
		return fmt.Errorf("a change of %d bytes, this model's have %d", len(change), want)
	}
	w, at := wireOf(c.Wire), 0
	var values []float32
	for _, p := range l.Params() {
		if !p.Trains() {
			continue
		}
		err := eachPiece(p.Weight, func(_, n int) error {
			if cap(values) < n {
				values = make([]float32, n)
			}
			bytes := w.bytes(n)
			at += bytes
			return w.decode(values[:n], change[at-bytes:at])
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.Weight.Name, err)
		}
	}
	return nil
}

// Average ends a round at a step: it averages this process's change, which has seen so many tokens, with the parts
// of others in their order, by tokens, makes the outer step with it, and gives the average as it travels. The parts
// were checked.
func (s *State) Average(step int, tokens int64, parts []Part) ([]byte, error) {
	all := tokens
	for _, p := range parts {
		all += p.Tokens
	}
	if all < 1 {
		return nil, fmt.Errorf("a round of %d tokens", all)
	}
	w, out := wireOf(s.config.Wire), make([]byte, s.WireBytes())
	var sum mean
	err := s.each(func(x *piece) error {
		if err := s.read(x); err != nil {
			return err
		}
		sum.begin(len(x.change))
		sum.add(x.change, tokens, all)
		for _, p := range parts {
			if err := sum.addSent(w, p.Change[x.at:x.at+x.bytes], p.Tokens, all); err != nil {
				return err
			}
		}
		sum.end(x.change)
		if err := s.feedback(w, out[x.at:x.at+x.bytes], x); err != nil {
			return err
		}
		return s.update(x)
	})
	s.done = step
	return out, err
}

// gathered bounds the bytes of all processes' changes that are in memory at a time.
const gathered = 64 << 20

// together is how many elements a group of so many processes gathers at a time: whole blocks, so that what travels is
// the same however many these are.
func together(processes int) int { return max(1, gathered/(4*processes*blockElements)) * blockElements }

// Exchange ends a round at a step with the changes of a group of processes, which have seen so many tokens each. Every
// process has all changes, piece by piece, so that no average travels: gather makes of a process's own piece, as it
// travels, those of all in their order.
func (s *State) Exchange(step int, tokens []int64, gather func(mine, all []byte) error) error {
	all := int64(0)
	for _, n := range tokens {
		all += n
	}
	if all < 1 {
		return fmt.Errorf("a round of %d tokens", all)
	}
	w := wireOf(s.config.Wire)
	var sum mean
	var mine, theirs []byte
	err := s.each(func(x *piece) error {
		if err := s.read(x); err != nil {
			return err
		}
		mine = slices.Grow(mine[:0], x.bytes)[:x.bytes]
		if err := s.feedback(w, mine, x); err != nil {
			return err
		}
		for from, n := 0, len(x.change); from < n; {
			to := min(from+together(len(tokens)), n)
			own, values := mine[w.bytes(from):w.bytes(to)], x.change[from:to]
			theirs = slices.Grow(theirs[:0], len(tokens)*len(own))[:len(tokens)*len(own)]
			if err := gather(own, theirs); err != nil {
				return err
			}
			if err := sum.of(w, values, theirs, tokens, all); err != nil {
				return err
			}
			from = to
		}
		return s.update(x)
	})
	s.done = step
	return err
}

// mean is a mean by tokens, in float64.
type mean struct {
	sum  []float64
	room []float32
}

func (m *mean) begin(n int) {
	if cap(m.sum) < n {
		m.sum, m.room = make([]float64, n), make([]float32, n)
	}
	m.sum, m.room = m.sum[:n], m.room[:n]
	clear(m.sum)
}

func (m *mean) add(values []float32, tokens, all int64) {
	share := float64(tokens) / float64(all)
	for i, f := range values {
		m.sum[i] += float64(float64(f) * share)
	}
}

// addSent adds a change as it travelled.
func (m *mean) addSent(w wire, change []byte, tokens, all int64) error {
	if err := w.decode(m.room, change); err != nil {
		return err
	}
	m.add(m.room, tokens, all)
	return nil
}

// of makes values the mean of the changes of a group, which lie one after another.
func (m *mean) of(w wire, values []float32, changes []byte, tokens []int64, all int64) error {
	m.begin(len(values))
	each := len(changes) / len(tokens)
	for process, n := range tokens {
		if err := m.addSent(w, changes[process*each:(process+1)*each], n, all); err != nil {
			return fmt.Errorf("process %d: %w", process, err)
		}
	}
	m.end(values)
	return nil
}

func (m *mean) end(values []float32) {
	for i, f := range m.sum {
		values[i] = float32(f)
	}
}

// Apply ends a round at a step with the average that another process made.
func (s *State) Apply(step int, average []byte) error {
	if err := s.Check(average); err != nil {
		return err
	}
	w := wireOf(s.config.Wire)
	err := s.each(func(x *piece) error {
		if err := gpu.ReadRows(s.home, x.planes.anchor, x.row, x.anchor); err != nil {
			return err
		}
		if err := w.decode(x.change, average[x.at:x.at+x.bytes]); err != nil {
			return err
		}
		return s.update(x)
	})
	s.done = step
	return err
}

// update makes the outer step of a piece whose anchor and change are there, and sets the weights.
func (s *State) update(x *piece) error {
	if err := gpu.ReadRows(s.home, x.planes.momentum, x.row, x.momentum); err != nil {
		return err
	}
	nesterov(x.anchor, x.momentum, x.change, float32(s.config.LR), float32(s.config.Momentum))
	for _, values := range [][]float32{x.anchor, x.momentum} {
		if allFinite(values) != nil {
			return fmt.Errorf("the outer step at rate %g: %w: the average, or the rate, is far too large", s.config.LR,
				ErrNotFinite)
		}
	}
	if err := gpu.WriteRows(s.home, x.planes.momentum, x.row, x.momentum); err != nil {
		return err
	}
	if err := gpu.WriteRows(s.home, x.planes.anchor, x.row, x.anchor); err != nil {
		return err
	}
	return s.model.WriteRows(x.param, x.row, x.anchor)
}

// nesterov is SGD with Nesterov momentum as PyTorch has it, without dampening: m = mu m + d, w -= lr (d + mu m). Each
// operation is rounded to float32, on every machine.
func nesterov(w, m, d []float32, lr, mu float32) {
	for i, g := range d {
		m[i] = float32(mu*m[i]) + g
		ahead := g + float32(mu*m[i])
		w[i] -= float32(lr * ahead)
	}
}

// Hash is of anchors, momenta and what is frozen: processes that agree have the same.
func (s *State) Hash() (hash [sha256.Size]byte, err error) {
	if s.frozen == nil { // It stays as it is until the next growth.
		s.frozen = []byte{}
		for _, p := range s.model.Params() {
			if p.Trainable() {
				continue
			}
			sum, err := p.Hash(s.model.Device())
			if err != nil {
				return hash, fmt.Errorf("%s: %w", p.Name, err)
			}
			s.frozen = append(s.frozen, sum...)
		}
	}
	h := sha256.New()
	h.Write(s.frozen)
	err = s.each(func(x *piece) error {
		if err := gpu.ReadRows(s.home, x.planes.anchor, x.row, x.anchor); err != nil {
			return err
		}
		if err := gpu.ReadRows(s.home, x.planes.momentum, x.row, x.momentum); err != nil {
			return err
		}
		bytes := make([]byte, 4*len(x.anchor))
		encodeF32(bytes, x.anchor)
		h.Write(bytes)
		encodeF32(bytes, x.momentum)
		h.Write(bytes)
		return nil
	})
	return [sha256.Size]byte(h.Sum(nil)), err
}
