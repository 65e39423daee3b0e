package optim

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

// The shared data's golden_methods: a problem, and what published code makes of
// it in float64. Its README says what each number is.
type goldenTensor struct {
	Shape []int
	Data  []float32
}

type goldenProblem struct {
	LRFactor []float64 `json:"lr_factor"`
	Init     map[string]goldenTensor
	Grad     map[string]goldenTensor // (steps, ...)
}

type goldenMethod struct {
	Cases []struct {
		Name  string
		Hyper struct {
			LR          float64
			Betas       [2]float64
			WeightDecay float64 `json:"weight_decay"`
			Eps         float64
		}
		Weights map[string]map[string]goldenTensor // by step and tensor
	}
}

// readGolden decodes a file of golden_methods into v.
func readGolden(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(datatest.Path(t, "golden_methods/"+name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// goldenModel has parameters of the problem's shapes, which goldenNames names.
var goldenModel = model.Config{
	Hidden: 16, FFN: 40, Layers: 1, Heads: 2, KVHeads: 2, Vocab: 24, MaxSeqLen: 4, NormEps: 1e-5, RopeTheta: 10000,
}

var goldenNames = map[string]string{"W1": "embed", "W2": "blocks.0.down", "v": "norm"}

// goldenTolerance is the README's for float32: max|a-b| / max|b-initial|.
var goldenTolerance = map[string]float64{"W1": 1e-4, "W2": 1e-4, "v": 2e-4}

// Twelve steps of AdamW against torch.optim.AdamW: its rule has epsilon outside
// the root, added after the bias correction, and decays before the update.
func TestAdamWGolden(t *testing.T) {
	var problem goldenProblem
	readGolden(t, "problem.json", &problem)
	var golden goldenMethod
	readGolden(t, "adamw.json", &golden)
	for _, c := range golden.Cases {
		if c.Name != "torch_eps_inside" { // the other case is another rule
			continue
		}
		adamw := AdamW{Beta1: c.Hyper.Betas[0], Beta2: c.Hyper.Betas[1], Eps: c.Hyper.Eps}
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			m, err := model.New(d, model.Plain(goldenModel, 1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Free)
			o := adamw.New(0)
			if err := o.Allocate(m); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(o.Free)
			stats := gputest.Tensor(t, d, "stats", nil, 8)
			for tensor, name := range goldenNames {
				if shape := m.Param(name).Weight.Shape; !slices.Equal(shape, problem.Init[tensor].Shape) {
					t.Fatalf("%s has shape %v, %s %v", name, shape, tensor, problem.Init[tensor].Shape)
				}
				if err := gpu.WriteF32(d, m.Param(name).Weight, problem.Init[tensor].Data); err != nil {
					t.Fatal(err)
				}
			}
			compared := 0
			for i, factor := range problem.LRFactor {
				for tensor, name := range goldenNames {
					p := m.Param(name)
					n := p.Weight.Elements()
					if err := gpu.WriteF32(d, p.Grad, problem.Grad[tensor].Data[i*n:][:n]); err != nil {
						t.Fatal(err)
					}
				}
				p := d.Begin("step")
				o.Step(p, stats, func(*model.Param) Rates {
					return Rates{LR: c.Hyper.LR * factor, Decay: c.Hyper.WeightDecay}
				})
				if err := p.End(); err != nil {
					t.Fatal(err)
				}
				for tensor, want := range c.Weights[strconv.Itoa(i+1)] {
					got := gputest.Read(t, d, m.Param(goldenNames[tensor]).Weight)
					off := goldenDistance(got, want.Data, problem.Init[tensor].Data)
					if !(off <= goldenTolerance[tensor]) {
						t.Errorf("step %d: %s is off by %.3g of its change, %g is allowed", i+1, tensor, off,
							goldenTolerance[tensor])
					}
					compared++
					if i == len(problem.LRFactor)-1 {
						t.Logf("%s is off by %.2g of its change, %g is allowed", tensor, off, goldenTolerance[tensor])
					}
				}
			}
			if want := 4 * len(goldenNames); compared != want {
				t.Errorf("%d tensors were compared, want %d: steps %v", compared, want,
					slices.Sorted(maps.Keys(c.Weights)))
			}
		})
		return
	}
	t.Error("no case torch_eps_inside")
}

// goldenDistance is max|a-b| / max|b-initial|: relative to the change, so that a
// small update cannot hide behind a large weight.
func goldenDistance(a, b, initial []float32) float64 {
	gap, change := 0.0, 0.0
	for i := range b {
		if d := math.Abs(float64(a[i]) - float64(b[i])); !(d <= gap) {
			gap = d // NaN is the largest
		}
		change = max(change, math.Abs(float64(b[i])-float64(initial[i])))
	}
	return gap / change
}
