package model_test

import (
	"math"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/modeltest"
)

// initLayout has blocks of the given IDs, the last one under LoRA.
func initLayout(ids ...int) model.Layout {
	l := model.Plain(model.Config{Hidden: 64, FFN: 96, Layers: 4, Heads: 4, KVHeads: 2, Vocab: 128, MaxSeqLen: 8,
		NormEps:   1e-5,
		RopeTheta: 10000}, len(ids))
	for i, id := range ids {
		l.Blocks[i].ID = id
	}
	l.Blocks[len(ids)-1].Wrapped = true
	l.LoRA = model.LoRALayout{Rank: 8, Alpha: 8, Targets: model.LinearNames()}
	return l
}

func initialised(t *testing.T, d gpu.Device, l model.Layout, seed uint64) map[string][]float32 {
	t.Helper()
	m, err := model.New(d, l)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := m.Init(seed, nil); err != nil {
		t.Fatal(err)
	}
	return modeltest.Weights(t, m)
}

func TestInitDistributions(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for name, w := range initialised(t, d, initLayout(0, 1), 1) {
			sum, squares, largest := 0.0, 0.0, 0.0
			for _, v := range w {
				x := float64(v)
				sum, squares, largest = sum+x, squares+x*x, max(largest, math.Abs(x))
			}
			n := float64(len(w))
			mean, std := sum/n, math.Sqrt(squares/n)
			wantStd := 0.02
			switch {
			case strings.HasSuffix(name, "norm"):
				if sum != n || squares != n {
					t.Errorf("%s is not all ones", name)
				}
				continue
			case strings.HasSuffix(name, "lora_b"):
				if largest != 0 {
					t.Errorf("%s holds %g, want zeros", name, largest)
				}
				continue
			case strings.HasSuffix(name, "lora_a"):
				bound := 1 / math.Sqrt(n/8) // (rank, in)
				if largest > bound || largest < 0.95*bound {
					t.Errorf("%s: largest %g, want just within %g", name, largest, bound)
				}
				wantStd = bound / math.Sqrt(3)
			}
			// Five standard errors of each.
			if math.Abs(mean) > 5*wantStd/math.Sqrt(n) {
				t.Errorf("%s: mean %g", name, mean)
			}
			if math.Abs(std-wantStd) > 5*wantStd/math.Sqrt(2*n) {
				t.Errorf("%s: standard deviation %g, want %g", name, std, wantStd)
			}
		}
	})
}

// A value depends on the seed, the block's ID and the tensor's name: on
// nothing that growth changes, and on no device.
func TestInitKeys(t *testing.T) {
	want := initialised(t, gpu.NewHost(), initLayout(0, 1), 1)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		modeltest.Bits(t, "the same seed", initialised(t, d, initLayout(0, 1), 1), want)
	})
	grown := initialised(t, gpu.NewHost(), initLayout(7, 0, 2, 1), 1)
	for name := range grown {
		if _, ok := want[name]; !ok {
			delete(grown, name)
		}
	}
	modeltest.Bits(t, "blocks inserted", grown, want)

	other := initialised(t, gpu.NewHost(), initLayout(0, 1), 2)
	seen := map[[2]float32]string{}
	for name, w := range want {
		if strings.HasSuffix(name, "norm") || strings.HasSuffix(name, "lora_b") {
			continue
		}
		if w[0] == other[name][0] && w[1] == other[name][1] {
			t.Errorf("%s is the same under another seed", name)
		}
		start := [2]float32{w[0], w[1]}
		if twin, ok := seen[start]; ok {
			t.Errorf("%s starts as %s does", name, twin)
		}
		seen[start] = name
	}
}

// Only what is selected is filled.
func TestInitKeeps(t *testing.T) {
	m := modeltest.New(t, gpu.NewHost(), initLayout(0, 1), 3)
	before := modeltest.Weights(t, m)
	if err := m.Init(1, func(p *model.Param) bool { return p.Role.LoRA() }); err != nil {
		t.Fatal(err)
	}
	fresh := initialised(t, gpu.NewHost(), initLayout(0, 1), 1)
	for _, p := range m.Params() {
		if p.Role.LoRA() {
			before[p.Name] = fresh[p.Name]
		}
	}
	modeltest.Bits(t, "adapters alone", modeltest.Weights(t, m), before)
}

// Larger than the pieces in which values are uploaded.
func TestInitLarge(t *testing.T) {
	l := model.Plain(model.Config{Hidden: 64, FFN: 8, Layers: 1, Heads: 2, KVHeads: 2, Vocab: model.InitChunk/64 + 3,
		MaxSeqLen: 8,
		NormEps:   1e-5, RopeTheta: 10000, Tied: true}, 1)
	embed := initialised(t, gpu.NewHost(), l, 1)["embed"]
	next := model.Fresh(&model.Param{Name: "embed", Role: model.RoleEmbedding,
		Weight: gpu.Tensor{Spec: l.Params()[0].Weight}}, 1)
	for i, v := range embed {
		if want := next(); v != want {
			t.Fatalf("element %d is %g, want %g", i, v, want)
		}
	}
}
