package optim

import (
	"fmt"
	"math"

	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl/update"
)

// Muon is Keller Jordan's (KellerJordan/Muon 857d1ad): linears follow the nearest matrix with
// singular values of about 1 to their gradient's Nesterov momentum. W *= 1 - lr wd, then
// W -= lr sqrt(max(1, m/n)) X. The published iteration rounds to bf16, which moves it by some
// per cent; this one is in f32. Everything else is AdamW's, at a rate of its own.
type Muon struct {
	Momentum float64 `json:"momentum"`
	AdamRate float64 `json:"adam_rate"` // factor on the learning rate of what AdamW updates
	Beta1    float64 `json:"beta1"`     // these are AdamW's
	Beta2    float64 `json:"beta2"`
	Eps      float64 `json:"eps"`
}

func publishedMuon(model.Config) (Muon, float64) {
	return Muon{Momentum: 0.95, AdamRate: 0.015, Beta1: 0.9, Beta2: 0.95, Eps: 1e-10}, 0.02
}

// Name is the optimizer's in recipes.
func (Muon) Name() string { return "muon" }

// Title is its name for people.
func (Muon) Title() string { return "Muon" }

func (c Muon) String() string { return "Muon; " + c.rules().String() }

// Validate refuses what Muon is not defined for.
func (c Muon) Validate(s model.Storage) error {
	if err := unitInterval("Muon", c.Momentum, c.Beta1, c.Beta2); err != nil {
		return err
	}
	if err := above0("Muon", "factor on AdamW's rate", c.AdamRate); err != nil {
		return err
	}
	if err := above0("Muon", "epsilon", c.Eps); err != nil {
		return err
	}
	return notFlash8("Muon", s)
}

// New makes the optimizer.
func (c Muon) New(maxNorm float64) Optimizer { return ByParameter(c.rules(), maxNorm) }

// FLOPs of Muon are five iterations on a hidden matrix, each A = X X^T, A A and (b A + c A A) X.
func (c Muon) FLOPs(p model.ParamSpec) float64 {
	if p.Role != model.RoleLinear {
		return 0
	}
	short, long := sides(p.Weight)
	return 5 * (4*short*short*long + 2*short*short*short)
}

func (c Muon) rules() byRole {
	inner := adam{AdamW: AdamW{c.Beta1, c.Beta2, c.Eps}, rate: c.AdamRate}
	return byRole{linear: muon{beta: c.Momentum}, embedding: inner, head: inner, vector: inner, lora: loraAdam}
}

// muon is the rule of linears.
type muon struct {
	whole
	beta float64
}

func (c muon) String() string {
	return fmt.Sprintf("Nesterov momentum (%g) with singular values of about 1", c.beta)
}

func (muon) Specs(_ model.Storage, p model.ParamSpec) []gpu.Spec {
	return []gpu.Spec{planeSpec(p, "m", p.Weight.Shape...)}
}

func (muon) Scratch(p model.ParamSpec) []gpu.Spec {
	m, n := matrix(p.Weight)
	list := []gpu.Spec{roomSpec("update", m, n)}
	for i, shape := range update.NewtonSchulzRoom(m, n) {
		list = append(list, roomSpec([]string{"other", "gram", "polynomial", "squares", "scale"}[i], shape...))
	}
	return list
}

func (c muon) Update(p *gpu.Pass, u Update) {
	m, x := u.Planes[0], u.Scratch[0]
	update.Momentum(p, m, u.Param.Grad, u.Stats, float32(c.beta))
	update.Nesterov(p, x, m, u.Param.Grad, u.Stats, float32(c.beta))
	x = update.NewtonSchulz(p, x, u.Scratch[1:])
	rows, cols := matrix(u.Param.Weight.Spec)
	rate := u.Rates.LR * math.Sqrt(math.Max(1, float64(rows)/float64(cols)))
	applied(p, u, x, gpu.Tensor{}, decayFirst(u, rate, update.Plain))
}
