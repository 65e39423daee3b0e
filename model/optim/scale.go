package optim

import (
	"fmt"

	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl/update"
)

// Scale is SCALE (arXiv 2506.16659), as OptimAI-Lab/Minimalist_LLM_Pretraining f5bd4e7 has
// it: every matrix's gradient is divided by root mean squares, with no state but the head's
// momentum. W *= 1 - lr wd first, then W -= lr U.
type Scale struct {
	Momentum float64 `json:"momentum"`  // of the head
	NormRate float64 `json:"norm_rate"` // factor on the learning rate of norms and biases, which AdamW updates
	Beta1    float64 `json:"beta1"`
	Beta2    float64 `json:"beta2"`
	Eps      float64 `json:"eps"`
	// AdapterRule is that of LoRA's matrices, which SCALE's source does not have: AdapterAdamW, also "", as from
	// every other optimizer, or AdapterRows, the rule of linears, without state.
	AdapterRule string `json:"adapter_rule"`
}

// The rules that LoRA's matrices may have.
const (
	AdapterAdamW = "adamw"
	AdapterRows  = "scale"
)

// publishedScale has the rates of the 60M to 350M, the 1B and the 7B run, in each of which norms train at 1e-3 or, in
// the first, 2e-2.
func publishedScale(m model.Config) (Scale, float64) {
	c, lr := Scale{Momentum: 0.9, NormRate: 20, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, AdapterRule: AdapterAdamW}, 1e-3
	switch {
	case m.Hidden >= hidden7B:
		c.NormRate, lr = 10, 1e-4
	case m.Hidden >= hidden1B:
		c.NormRate, lr = 5, 2e-4
	}
	return c, lr
}

// The hidden sizes of LLaMA 1B and 7B, from which on optimizers have the numbers of their runs of these sizes.
const (
	hidden1B = 2048
	hidden7B = 4096
)

// Name is the optimizer's in recipes.
func (Scale) Name() string { return "scale" }

// Title is its name for people.
func (Scale) Title() string { return "SCALE" }

func (c Scale) String() string { return "SCALE; " + c.rules().String() }

// Validate refuses what SCALE is not defined for.
func (c Scale) Validate(s model.Storage) error {
	if err := unitInterval("SCALE", c.Momentum, c.Beta1, c.Beta2); err != nil {
		return err
	}
	if err := above0("SCALE", "factor on the rate of norms", c.NormRate); err != nil {
		return err
	}
	if err := above0("SCALE", "epsilon", c.Eps); err != nil {
		return err
	}
	if r := c.AdapterRule; r != "" && r != AdapterAdamW && r != AdapterRows {
		return fmt.Errorf("SCALE with rule %q of adapters: choose %s or %s", r, AdapterAdamW, AdapterRows)
	}
	return notFlash8("SCALE", s)
}

// New makes the optimizer.
func (c Scale) New(maxNorm float64) Optimizer { return ByParameter(c.rules(), maxNorm) }

func (c Scale) rules() byRole {
	r := byRole{
		linear: scaleRows{}, embedding: scaleColumns{}, head: scaleHead{beta: c.Momentum}, lora: loraAdam,
		vector: adam{AdamW: AdamW{c.Beta1, c.Beta2, c.Eps}, outside: true, rate: c.NormRate},
	}
	if c.AdapterRule == AdapterRows {
		r.lora = scaleLoRA{}
	}
	return r
}

// scaleLoRA is scaleRows of LoRA's matrices: nothing is kept of them, in part or whole.
type scaleLoRA struct{ scaleRows }

func (scaleLoRA) Prune(gpu.Device, Update, Kept) error { return nil }

// scaleRows divides each row of a gradient by its root mean square: one factor an output.
type scaleRows struct{ whole }

func (scaleRows) String() string { return "rows of the gradient at a root mean square of 1, no state" }

func (scaleRows) Specs(model.Storage, model.ParamSpec) []gpu.Spec { return nil }

func (scaleRows) Scratch(p model.ParamSpec) []gpu.Spec {
	return []gpu.Spec{roomSpec("factors", p.Weight.Rows())}
}

func (scaleRows) Update(p *gpu.Pass, u Update) {
	g, factors := u.Param.Grad, u.Scratch[0]
	update.RowSquares(p, factors, g)
	update.RMSFactors(p, factors, u.Stats, g.Cols(), true)
	applied(p, u, g, factors, decayFirst(u, u.Rates.LR, update.ByRow))
}

// scaleColumns is scaleRows of the columns: of an embedding, one factor a hidden unit.
type scaleColumns struct{ whole }

func (scaleColumns) String() string {
	return "columns of the gradient at a root mean square of 1, no state"
}

func (scaleColumns) Specs(model.Storage, model.ParamSpec) []gpu.Spec { return nil }

func (scaleColumns) Scratch(p model.ParamSpec) []gpu.Spec {
	m, n := matrix(p.Weight)
	return []gpu.Spec{roomSpec("factors", n), roomSpec("column_sums", update.ColumnChunks(m), n)}
}

func (scaleColumns) Update(p *gpu.Pass, u Update) {
	g, factors := u.Param.Grad, u.Scratch[0]
	update.ColumnSquares(p, factors, u.Scratch[1], g)
	update.RMSFactors(p, factors, u.Stats, g.Rows(), true)
	applied(p, u, g, factors, decayFirst(u, u.Rates.LR, update.ByColumn))
}

// scaleHead is scaleRows of a momentum, without bias correction.
type scaleHead struct {
	whole
	beta float64
}

func (c scaleHead) String() string {
	return fmt.Sprintf("rows of the gradient's momentum (%g) at a root mean square of 1", c.beta)
}

func (scaleHead) Specs(_ model.Storage, p model.ParamSpec) []gpu.Spec {
	return []gpu.Spec{planeSpec(p, "m", p.Weight.Shape...)}
}

func (scaleHead) Scratch(p model.ParamSpec) []gpu.Spec { return scaleRows{}.Scratch(p) }

func (c scaleHead) Update(p *gpu.Pass, u Update) {
	m, factors := u.Planes[0], u.Scratch[0]
	update.Momentum(p, m, u.Param.Grad, u.Stats, float32(c.beta))
	update.RowSquares(p, factors, m)
	update.RMSFactors(p, factors, u.Stats, m.Cols(), false)
	applied(p, u, m, factors, decayFirst(u, u.Rates.LR, update.ByRow))
}
