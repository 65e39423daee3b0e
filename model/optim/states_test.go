package optim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/wgsl"
)

// The states are compared by what they are for: a small model's loss after 1,000
// steps on a language that is easy to begin and hard to finish.
const (
	stateSteps = 1000
	stateSeeds = 3
	lastSteps  = 50 // whose mean loss counts
	stateLR    = 1e-2
)

var trainable = model.Config{Hidden: 32, FFN: 64, Layers: 2, Heads: 2, KVHeads: 1, Vocab: 256, MaxSeqLen: 32,
	NormEps: 1e-5, RopeTheta: 10000, Tied: true}

var stateSize = model.Size{Batch: 4, SeqLen: 32}

// language draws each token from four that the one before it chooses, half of the
// time the first; rare tokens are as rare as words.
type language struct{ g *rand.Rand }

func (l language) next(b uint32) uint32 {
	choice, pick := uint64(0), l.g.Float64()
	for _, p := range []float64{0.5, 0.75, 0.9} {
		if pick > p {
			choice++
		}
	}
	return zipf(rand.New(rand.NewPCG(uint64(b), choice)))
}

// zipf is token i about 1/(i+1) as often as token 0.
func zipf(g *rand.Rand) uint32 {
	return uint32(math.Exp(g.Float64()*math.Log(float64(trainable.Vocab)+1)) - 1)
}

func (l language) batch() data.Batch {
	rows := stateSize.Rows()
	inputs, targets := make([]uint32, rows), make([]uint32, rows)
	for w := range stateSize.Batch {
		y := l.g.Uint32N(uint32(trainable.Vocab))
		for i := range stateSize.SeqLen {
			inputs[w*stateSize.SeqLen+i] = y
			y = l.next(y)
			targets[w*stateSize.SeqLen+i] = y
		}
	}
	return data.NewBatch(inputs, targets)
}

// linear8 rounds a tensor's f32 values to codes of 8 bits in proportion to them, in
// groups of 32 that share a scale, where flash8 compands: the negative control. codes
// are those above 0.
func linear8(t *testing.T, d gpu.Device, x gpu.Tensor, codes float64) {
	t.Helper()
	values := gputest.Read(t, d, x)
	for group := range slices.Chunk(values, 32) {
		scale := 0.0
		for _, v := range group {
			scale = max(scale, math.Abs(float64(v)))
		}
		for i, v := range group {
			if scale > 0 {
				group[i] = float32(math.Round(float64(v)/scale*codes) / codes * scale)
			}
		}
	}
	if err := gpu.WriteF32(d, x, values); err != nil {
		t.Fatal(err)
	}
}

// lastLoss trains from a seed, with after called after each step, and is the mean loss of the
// last steps, or the loss at which the run was seen to have diverged.
func lastLoss(t *testing.T, d gpu.Device, c Config, peak float64, s model.Storage, seed uint64,
	after func(*model.Model, Optimizer)) float64 {
	t.Helper()
	l := model.Plain(trainable, trainable.Layers)
	l.Storage = s
	m, err := model.New(d, l)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := m.Init(seed, nil); err != nil {
		t.Fatal(err)
	}
	o := c.New()
	if err := o.Allocate(m); err != nil {
		t.Fatal(err)
	}
	defer o.Free()
	a, err := model.NewActivations(d, l, stateSize)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Free()
	schedule := one(Cosine, 50, stateSteps, 0.1)
	words := language{rand.New(rand.NewPCG(seed, 5))}
	sum := 0.0
	for step := range stateSteps {
		b := words.batch()
		if err := a.Load(b.Inputs, b.Targets, b.Begins, b.Tokens, b.Starts, b.Order); err != nil {
			t.Fatal(err)
		}
		lr := peak * schedule.At(step)
		p := d.Begin("step")
		m.Forward(p, a)
		m.Backward(p, a, model.Gradients{Scale: 1 / float32(stateSize.Rows())})
		o.Step(p, a.Stats, func(*model.Param) Rates { return Rates{LR: lr} })
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		if after != nil {
			after(m, o)
		}
		if step < stateSteps-lastSteps && step%100 != 99 {
			continue // nothing is read: the steps queue up
		}
		loss := float64(gputest.Read(t, d, a.Stats)[wgsl.StatLoss]) / float64(stateSize.Rows())
		if !(loss < 100) { // it has diverged
			return loss
		}
		if step >= stateSteps-lastSteps {
			sum += loss / lastSteps
		}
	}
	return sum
}

// bf16 with f32 Adam ends within 1 % of f32 throughout; 8-bit companded moments and a
// 24-bit master end within 0.5 % of f32 Adam; moments in plain linear 8 bits do
// not, or this test would show nothing. Ten runs of 1,000 steps.
func TestStatesTrainAlike(t *testing.T) {
	gputest.Long(t)
	d := gputest.Adapter(t)
	bf16 := func(states string) model.Storage {
		return model.Storage{Precision: model.BF16, States: states, Gradients: model.BF16, Frozen: model.BF16}
	}
	runs := []struct {
		name    string
		storage model.Storage
		linear  bool
	}{
		{"f32", model.FullStorage, false},
		{"split", bf16(model.SplitStates), false},
		{"flash8", bf16(model.Flash8States), false},
		{"linear8", bf16(model.SplitStates), true},
	}
	mean := map[string]float64{}
	for _, r := range runs {
		line, seeds := "", stateSeeds
		var after func(*model.Model, Optimizer)
		if r.linear {
			seeds = 1 // it takes no more to see it fail
			after = func(_ *model.Model, o Optimizer) {
				moments, _ := o.State()
				for _, moment := range moments {
					if strings.HasSuffix(moment.Name, ".v") {
						linear8(t, d, moment, 255)
					} else {
						linear8(t, d, moment, 127) // signed
					}
				}
			}
		}
		for seed := range uint64(seeds) {
			loss := lastLoss(t, d, adamw, stateLR, r.storage, seed+1, after)
			mean[r.name] += loss / float64(seeds)
			line += fmt.Sprintf(" %.4f", loss)
		}
		t.Logf("%-8s %.4f, seeds%s", r.name, mean[r.name], line)
	}
	if start := math.Log(256); !(mean["f32"] < 0.7*start) {
		t.Errorf("f32 ends at %.3f: nothing was learned, which shows nothing", mean["f32"])
	}
	off := func(a, b string) float64 { return math.Abs(mean[a]/mean[b] - 1) }
	if x := off("split", "f32"); !(x <= 0.01) {
		t.Errorf("bf16 is %.2f %% off f32", 100*x)
	}
	if x := off("flash8", "split"); !(x <= 0.005) {
		t.Errorf("flash8 is %.2f %% off f32 Adam", 100*x)
	}
	if x := off("linear8", "split"); x <= 0.005 {
		t.Errorf("linear 8-bit moments are only %.2f %% off f32 Adam: the test does not tell them apart", 100*x)
	}
}

// A bf16 weight that is all there is ends where f32 does if updates round it at random, with
// SCALE, which then keeps 2 bytes of a linear, and with AdamW. Rounded to the nearest, small
// updates are lost, and this test sees it.
func TestStochasticRoundingTrainsAlike(t *testing.T) {
	d := gputest.Adapter(t)
	bf16 := model.Storage{Precision: model.BF16, States: model.StochasticStates, Gradients: model.BF16,
		Frozen: model.BF16}
	nearest := bf16
	nearest.States = model.SplitStates
	// A master that is the weight after every step is one rounded to the nearest.
	forget := func(m *model.Model, _ Optimizer) {
		p := d.Begin("forget")
		for _, q := range m.Params() {
			wgsl.Zero(p, q.Master)
		}
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		lr   float64
	}{{"scale", 1e-3}, {"adamw", 1e-3}} {
		if c.name != "scale" && !gputest.All() { // SCALE's 2 bytes are what stochastic states are for
			continue
		}
		settings, _, err := Choose(c.name, trainable, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		x := Config{Settings: settings}
		full := lastLoss(t, d, x, c.lr, model.FullStorage, 1, nil)
		random := lastLoss(t, d, x, c.lr, bf16, 1, nil)
		lost := lastLoss(t, d, x, c.lr, nearest, 1, forget)
		t.Logf("%s: f32 %.4f, stochastic %.4f, nearest %.4f", c.name, full, random, lost)
		if start := math.Log(256); !(full < 0.8*start) {
			t.Errorf("%s: f32 ends at %.3f: nothing was learned, which shows nothing", c.name, full)
		}
		if off := random/full - 1; !(math.Abs(off) <= 0.01) {
			t.Errorf("%s: rounded stochastically it is %.2f %% off f32", c.name, 100*off)
		}
		if off := lost/full - 1; !(off > 0.015) {
			t.Errorf("%s: rounded to the nearest it is only %.2f %% off f32: the test does not tell them apart",
				c.name, 100*off)
		}
	}
}
