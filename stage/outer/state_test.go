package outer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"steplm/gpu"
	"steplm/model"
)

// tiny is a model of which blocks are frozen, under LoRA, and new.
func tiny(s model.Storage) model.Layout {
	c := model.Config{Hidden: 8, FFN: 12, Layers: 2, Heads: 1, KVHeads: 1, Vocab: 33, MaxSeqLen: 8, NormEps: 1e-5,
		RopeTheta: 1e4}
	l := model.Plain(c, 2)
	l.Storage = s
	l.LoRA = model.LoRALayout{Rank: 2, Alpha: 2, Targets: model.LinearNames()}
	l.Blocks[0].Frozen, l.Blocks[0].Wrapped = true, true
	return l
}

// worker is a process's model with its outer optimizer.
type worker struct {
	*State
	m *model.Model
}

func newWorker(t *testing.T, c Config, s model.Storage) worker {
	t.Helper()
	m, err := model.New(gpu.NewHost(), tiny(s))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Init(1, nil); err != nil {
		t.Fatal(err)
	}
	w := worker{New(c), m}
	if err := w.Allocate(m); err != nil {
		t.Fatal(err)
	}
	return w
}

// values reads what trains.
func (w worker) values(t *testing.T) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for _, p := range w.m.Params() {
		if !p.Trainable() {
			continue
		}
		all[p.Name] = make([]float32, p.Weight.Elements())
		if err := w.m.ReadRows(p, 0, all[p.Name]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// train stands for steps: every weight moves at random.
func (w worker) train(t *testing.T, g *rand.Rand) {
	t.Helper()
	if err := w.Anchor(); err != nil {
		t.Fatal(err)
	}
	for _, p := range w.m.Params() {
		if !p.Trainable() {
			continue
		}
		v := make([]float32, p.Weight.Elements())
		if err := w.m.ReadRows(p, 0, v); err != nil {
			t.Fatal(err)
		}
		for i := range v {
			v[i] += float32(g.NormFloat64() * 0.01)
		}
		if err := w.m.WriteRows(p, 0, v); err != nil {
			t.Fatal(err)
		}
	}
}

// reference is the outer step in float64, from its formula alone: of PyTorch's SGD with nesterov=True,
// buf = mu buf + g; w -= lr (g + mu buf), where g is the mean by tokens of what the round took from the weights.
type reference struct{ w, buf map[string][]float64 }

func newReference(w map[string][]float32) reference {
	r := reference{map[string][]float64{}, map[string][]float64{}}
	for name, v := range w {
		r.buf[name] = make([]float64, len(v))
		for _, f := range v {
			r.w[name] = append(r.w[name], float64(f))
		}
	}
	return r
}

func (r reference) round(lr, mu float64, tokens []int64, starts, ends []map[string][]float32) {
	all := int64(0)
	for _, n := range tokens {
		all += n
	}
	for name, w := range r.w {
		for i := range w {
			g := 0.0
			for k := range ends {
				g += (float64(starts[k][name][i]) - float64(ends[k][name][i])) * float64(tokens[k]) / float64(all)
			}
			r.buf[name][i] = mu*r.buf[name][i] + g
			w[i] -= lr * (g + mu*r.buf[name][i])
		}
	}
}

var storages = []model.Storage{
	model.FullStorage,
	{Precision: model.BF16, States: model.PaperStates, Gradients: model.F32, Frozen: model.BF16},
	{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.BF16},
	{Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16, Frozen: model.BF16},
	{Precision: model.BF16, States: model.StochasticStates, Gradients: model.BF16, Frozen: model.BF16},
}

// One, two and three processes of unequal tokens follow the float64 reference over rounds, in every storage; they end
// each round with the same bits; and what is frozen stays.
func TestOuterStepEqualsReference(t *testing.T) {
	for _, storage := range storages {
		for n := 1; n <= 3; n++ {
			t.Run(fmt.Sprint(storage.States, " ", n), func(t *testing.T) {
				c, g := Config{Every: 5, LR: 0.7, Momentum: 0.9}, rand.New(rand.NewPCG(uint64(n), 1))
				var workers []worker
				tokens := []int64{64, 32, 160}[:n]
				for range n {
					workers = append(workers, newWorker(t, c, storage))
				}
				frozen := frozenBytes(t, workers[0].m)
				want := newReference(workers[0].values(t))
				for round := range 4 {
					var starts, ends []map[string][]float32
					var parts []Part
					for k, w := range workers {
						starts = append(starts, w.values(t))
						w.train(t, g)
						ends = append(ends, w.values(t))
						if k > 0 {
							change, err := w.Change()
							if err != nil {
								t.Fatal(err)
							}
							parts = append(parts, Part{tokens[k], change})
						}
					}
					want.round(c.LR, c.Momentum, tokens, starts, ends)
					average, err := workers[0].Average(round, tokens[0], parts)
					if err != nil {
						t.Fatal(err)
					}
					agree(t, workers, round, average)
					for name, v := range want.w {
						anchor, err := gpu.ReadF32(workers[0].Home(), workers[0].planes[name].anchor)
						if err != nil {
							t.Fatal(err)
						}
						for i, f := range v {
							if d := math.Abs(float64(anchor[i]) - f); d > 2e-6*max(1, math.Abs(f)) {
								t.Fatalf("round %d, %s[%d] is %g, the reference has %g", round, name, i, anchor[i], f)
							}
						}
					}
				}
				if !bytes.Equal(frozen, frozenBytes(t, workers[0].m)) {
					t.Error("what is frozen has changed")
				}
			})
		}
	}
}

// agree has the others apply an average, and compares them with the first, bit for bit.
func agree(t *testing.T, workers []worker, round int, average []byte) {
	t.Helper()
	first, err := workers[0].Hash()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workers[1:] {
		if err := w.Apply(round, average); err != nil {
			t.Fatal(err)
		}
		hash, err := w.Hash()
		if err != nil || hash != first {
			t.Fatalf("round %d: the processes differ (%v)", round, err)
		}
		for name, v := range w.values(t) {
			for i, f := range workers[0].values(t)[name] {
				if f != v[i] {
					t.Fatalf("round %d: %s differs", round, name)
				}
			}
		}
	}
}

func frozenBytes(t *testing.T, m *model.Model) (all []byte) {
	t.Helper()
	for _, p := range m.Params() {
		if p.Trainable() {
			continue
		}
		words := make([]uint32, p.Weight.Words())
		if err := m.Device().Read(p.Weight, 0, words); err != nil {
			t.Fatal(err)
		}
		all = fmt.Append(all, words)
	}
	return all
}

// With every wire two processes agree bit for bit, their bytes are the planned ones, and over rounds whose changes are
// the same, error feedback keeps the weights within a step or two of what they are without rounding.
func TestEveryWireAgrees(t *testing.T) {
	for _, name := range Wires() {
		t.Run(name, func(t *testing.T) {
			c := Config{Every: 5, LR: 0.7, Momentum: 0.5, Wire: name}
			exact, rounded := c, []worker{newWorker(t, c, model.FullStorage), newWorker(t, c, model.FullStorage)}
			exact.Wire = ""
			plain := []worker{newWorker(t, exact, model.FullStorage), newWorker(t, exact, model.FullStorage)}
			for _, group := range [][]worker{rounded, plain} {
				g := rand.New(rand.NewPCG(5, 5))
				for round := range 12 {
					group[0].train(t, g)
					group[1].train(t, g)
					change, err := group[1].Change()
					if err != nil {
						t.Fatal(err)
					}
					if int64(len(change)) != group[0].WireBytes() {
						t.Fatalf("%d bytes, planned are %d", len(change), group[0].WireBytes())
					}
					average, err := group[0].Average(round, 1, []Part{{1, change}})
					if err != nil {
						t.Fatal(err)
					}
					agree(t, group, round, average)
				}
			}
			most, want := 0.0, plain[0].values(t)
			for name, v := range rounded[0].values(t) {
				for i, f := range v {
					most = max(most, math.Abs(float64(f-want[name][i])))
				}
			}
			// Changes are up to 0.04 an element, a step of int4 a seventh of that, and Nesterov's sum of a share that
			// is left out in one round and added in the next is at most lr (1 + mu) of it, on both ways.
			allowed := map[string]float64{WireF32: 1e-6, WireBF16: 0.04 / 256 * 3, WireInt8: 0.04 / 127 * 3,
				WireInt4: 0.04 / 7 * 3}[name]
			if most > allowed {
				t.Errorf("the weights are %g away from those without rounding, at most %g is allowed", most, allowed)
			}
			if name != WireF32 && most == 0 {
				t.Error("nothing was rounded: this shows nothing")
			}
		})
	}
}

// What is planned is allocated; a reset begins the momentum of what it selects anew, and that alone.
func TestPlanesAreAsPlanned(t *testing.T) {
	for _, wire := range append([]string{""}, Wires()...) {
		c := Config{Every: 5, LR: 0.7, Momentum: 0.9, Wire: wire}
		w := newWorker(t, c, model.FullStorage)
		if d := w.Home().Ledger().Difference(gpu.Plan(c.Specs(w.m.Layout))); d != "" || w.Home().Ledger().Total() == 0 {
			t.Errorf("wire %q: %s", wire, d)
		}
		trains, _ := w.m.Layout.Count()
		each := int64(8)
		if c.lossy() {
			each = 12
		}
		if n := c.Bytes(w.m.Layout); n < each*trains || n > each*trains*2 { // rows are padded
			t.Errorf("wire %q: %d bytes of %d parameters", wire, n, trains)
		}
		w.train(t, rand.New(rand.NewPCG(1, 1)))
		if _, err := w.Average(5, 1, nil); err != nil {
			t.Fatal(err)
		}
		w.Reset(func(name string) bool { return name == "embed" })
		if err := w.Allocate(w.m); err != nil {
			t.Fatal(err)
		}
		for name, zero := range map[string]bool{"embed": true, "norm": false} {
			m, err := gpu.ReadF32(w.Home(), w.planes[name].momentum)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, f := range m {
				sum += math.Abs(float64(f))
			}
			if zero != (sum == 0) {
				t.Errorf("wire %q: after the reset %s has a momentum of %g", wire, name, sum)
			}
		}
		if w.Free(); w.Home().Ledger().Total() != 0 {
			t.Errorf("%d bytes stay", w.Home().Ledger().Total())
		}
	}
}

// Bad configurations and changes of another model are refused.
func TestRefusals(t *testing.T) {
	good := Config{Every: 5, LR: 0.7, Momentum: 0.9, Wire: WireInt8}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for i, edit := range []func(*Config){
		func(c *Config) { c.Every = 0 }, func(c *Config) { c.LR = 0 }, func(c *Config) { c.LR = math.NaN() },
		func(c *Config) { c.LR = math.Inf(1) }, func(c *Config) { c.Momentum = 1 },
		func(c *Config) { c.Momentum = -0.1 }, func(c *Config) { c.Momentum = math.NaN() },
		func(c *Config) { c.Wire = "int2" },
	} {
		c := good
		if edit(&c); c.Validate() == nil {
			t.Errorf("%d: %+v is taken", i, c)
		}
	}
	w := newWorker(t, good, model.FullStorage)
	if err := w.Check(make([]byte, w.WireBytes()-1)); err == nil {
		t.Error("a short change is taken")
	}
	bad := make([]byte, w.WireBytes())
	bad[1] = 0xff
	if err := w.Check(bad); err == nil {
		t.Error("a change with a negative scale is taken")
	}
	if _, err := w.Average(1, 0, nil); err == nil {
		t.Error("a round without tokens is taken")
	}
}

// A change whose numbers are so large that the outer step leaves what a number can be is the round's end, before a
// weight becomes none, which the next checkpoint would hold.
func TestAnOuterStepThatIsNoNumberIsRefused(t *testing.T) {
	for _, momentum := range []float64{0, 0.9} {
		w := newWorker(t, Config{Every: 5, LR: 4, Momentum: momentum, Wire: WireF32}, model.FullStorage)
		w.train(t, rand.New(rand.NewPCG(1, 1)))
		huge := make([]byte, w.WireBytes())
		for i := 0; i < len(huge); i += 4 {
			encodeF32(huge[i:], []float32{3e38})
		}
		if _, err := w.Average(5, 1, []Part{{Tokens: 100, Change: huge}}); !errors.Is(err, ErrNotFinite) {
			t.Errorf("momentum %g: a change of 3e38: %v", momentum, err)
		}
		for name, values := range w.values(t) {
			if err := allFinite(values); err != nil {
				t.Fatalf("momentum %g: %s: %v", momentum, name, err)
			}
		}
	}
}

// Processes agree in what is frozen, too: a bit that flips there shows in the hash of the next stage, and a snapshot
// puts it right.
func TestHashIsOfTheFrozenToo(t *testing.T) {
	c := Config{Every: 5, LR: 0.7, Momentum: 0.5}
	a, b := newWorker(t, c, model.FullStorage), newWorker(t, c, model.FullStorage)
	hashes := func() (x, y [sha256.Size]byte) {
		t.Helper()
		var errs [2]error
		x, errs[0] = a.Hash()
		y, errs[1] = b.Hash()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		return x, y
	}
	for _, w := range []worker{a, b} {
		if err := w.Anchor(); err != nil {
			t.Fatal(err)
		}
	}
	if x, y := hashes(); x != y {
		t.Fatal("two equal processes differ")
	}
	flipped := false
	for _, p := range b.model.Params() {
		if !p.Trainable() && !flipped {
			word := make([]uint32, 1)
			if err := b.model.Device().Read(p.Weight, 0, word); err != nil {
				t.Fatal(err)
			}
			word[0] ^= 1 << 12
			if err := b.model.Device().Write(p.Weight, 0, word); err != nil {
				t.Fatal(err)
			}
			flipped = true
		}
	}
	if err := errors.Join(b.Allocate(b.model), b.Anchor()); err != nil || !flipped {
		t.Fatal(err, flipped)
	}
	if x, y := hashes(); x == y {
		t.Error("a frozen weight that differs is not seen")
	}
	snapshot, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Restore(snapshot, 0); err != nil {
		t.Fatal(err)
	}
	if x, y := hashes(); x != y {
		t.Error("the snapshot did not put it right")
	}
}

// However many processes a round is of, no more than so many bytes of their changes are in memory at a time, and what
// the weights become is what the mean of the same changes makes of them.
func TestTheChangesOfManyAreGatheredInPieces(t *testing.T) {
	l := tiny(model.FullStorage)
	l.Hidden, l.Vocab, l.Tied = 64, 16384, true // an embedding of one piece
	for _, wire := range []string{WireF32, WireInt4} {
		var want [sha256.Size]byte
		for _, n := range []int{1, 32} {
			m, err := model.New(gpu.NewHost(), l)
			if err != nil {
				t.Fatal(err)
			}
			w := worker{New(Config{Every: 1, LR: 0.7, Momentum: 0.9, Wire: wire}), m}
			if err := errors.Join(m.Init(1, nil), w.Allocate(m)); err != nil {
				t.Fatal(err)
			}
			w.train(t, rand.New(rand.NewPCG(1, 1)))
			tokens, most, sent := make([]int64, n), 0, int64(0)
			for i := range tokens {
				tokens[i] = 8
			}
			err = w.Exchange(1, tokens, func(mine, all []byte) error {
				most, sent = max(most, len(all)), sent+int64(len(mine))
				for at := 0; at < len(all); at += len(mine) {
					copy(all[at:], mine)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if most > 64<<20 || sent != w.WireBytes() {
				t.Errorf("%s, %d processes: %d bytes at a time, %d are sent, want %d", wire, n, most, sent,
					w.WireBytes())
			}
			hash, err := w.Hash()
			if err != nil {
				t.Fatal(err)
			}
			if n > 1 && hash != want {
				t.Errorf("%s: other weights than with one process", wire)
			}
			want = hash
		}
	}
}
