package optim

import (
	"fmt"
	"math"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/wgsl/update"
)

// AdamW is Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
type AdamW struct {
	Beta1 float64 `json:"beta1"`
	Beta2 float64 `json:"beta2"`
	Eps   float64 `json:"eps"`
}

// publishedAdamW is what language models are usually trained with.
func publishedAdamW(model.Config) (AdamW, float64) {
	return AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}, 1e-3
}

// Name is the optimizer's in recipes.
func (AdamW) Name() string { return "adamw" }

// Title is its name for people.
func (AdamW) Title() string { return "AdamW" }

func (c AdamW) String() string {
	return fmt.Sprintf("AdamW, betas %g and %g, epsilon %g", c.Beta1, c.Beta2, c.Eps)
}

// New makes the optimizer.
func (c AdamW) New(maxNorm float64) Optimizer { return ByParameter(c, maxNorm) }

// maxFlash8Beta2 is the largest second beta under which 8-bit second moments
// follow their gradients, see wgsl.AdamWFlash8.
const maxFlash8Beta2 = 0.99

// Validate refuses values with which AdamW is not defined, or does not train.
func (c AdamW) Validate(s model.Storage) error {
	for _, b := range []float64{c.Beta1, c.Beta2} {
		if !(b >= 0 && b < 1) {
			return fmt.Errorf("AdamW betas %g and %g: each must be at least 0 and below 1", c.Beta1, c.Beta2)
		}
	}
	if !(c.Eps > 0) {
		return fmt.Errorf("AdamW epsilon %g: it must be above 0", c.Eps)
	}
	if s.States == model.Flash8States && c.Beta2 > maxFlash8Beta2 {
		return advice.With(
			fmt.Errorf("states %s with AdamW's second beta %g: a second moment of 8 bits that shrinks by so "+
				"little in a step "+
				"is rounded back to where it was, and never follows gradients that become smaller", s.States, c.Beta2),
			advice.Way{{How: advice.Use, Option: advice.Beta2, Value: fmt.Sprintf("%g or less", maxFlash8Beta2)}},
			advice.Way{{How: advice.Use, Option: advice.States, Value: model.SplitStates}})
	}
	return nil
}

// Specs are the moments m and v: f32 in the weight's shape, or bytes in whole groups of
// 32, with two 16-bit scales for each group (see wgsl.AdamWFlash8).
func (AdamW) Specs(s model.Storage, p model.ParamSpec) []gpu.Spec {
	plane := func(name string, dtype gpu.DType, shape ...int) gpu.Spec {
		return gpu.Spec{Name: p.Weight.Name + "." + name, Class: gpu.Optimizer, DType: dtype, Shape: shape}
	}
	if s.States == model.Flash8States {
		codes, scales := update.Flash8Words(p.Weight.Rows() * p.Weight.Stride())
		return []gpu.Spec{plane("m", gpu.U32, codes), plane("v", gpu.U32, codes), plane("scales", gpu.U32, scales)}
	}
	return []gpu.Spec{plane("m", gpu.F32, p.Weight.Shape...), plane("v", gpu.F32, p.Weight.Shape...)}
}

// Update records the kernel of the storage's states.
func (c AdamW) Update(p *gpu.Pass, u Update) { recordAdamW(p, u, c.numbers(u)) }

// recordAdamW records AdamW's kernel of the storage's states with such numbers.
func recordAdamW(p *gpu.Pass, u Update, o update.AdamW) {
	q, m := u.Param, u.Planes
	switch u.Storage.States {
	case model.PaperStates:
		update.AdamWPaper(p, q.Weight, q.Master, m[0], m[1], q.Grad, u.Stats, o)
	case model.SplitStates:
		update.AdamWSplit(p, q.Weight, q.Master, m[0], m[1], q.Grad, u.Stats, o)
	case model.Flash8States:
		update.AdamWFlash8(p, q.Weight, q.Master, m[0], m[1], m[2], q.Grad, u.Stats, o)
	case model.StochasticStates:
		o.Draw = u.draw()
		update.AdamWStochastic(p, q.Weight, m[0], m[1], q.Grad, u.Stats, o)
	default:
		update.AdamWF32(p, q.Weight, m[0], m[1], q.Grad, u.Stats, o)
	}
}

// numbers are those of an update, its bias correction among them.
func (c AdamW) numbers(u Update) update.AdamW {
	return update.AdamW{
		LR: float32(u.Rates.LR), Decay: float32(u.Rates.Decay),
		Beta1: float32(c.Beta1), Beta2: float32(c.Beta2), Eps: float32(c.Eps),
		Correction1: float32(1 - math.Pow(c.Beta1, float64(u.Count))),
		Correction2: float32(1 - math.Pow(c.Beta2, float64(u.Count))),
	}
}

// Prune keeps both moments of the elements whose first one is kept: a first moment
// without its second would be an update of m / eps. By EachMagnitude they are kept apart.
func (AdamW) Prune(d gpu.Device, u Update, keep Kept) error {
	if u.Storage.States == model.Flash8States {
		return pruneCodes(d, u.Param.Weight, keep, u.Planes[0], u.Planes[1], u.Planes[2])
	}
	return pruneFloats(d, u.Param.Name, keep, u.Planes...)
}
