package optim

import (
	"fmt"
	"math"

	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl"
)

// AdamWConfig is Adam with decoupled weight decay (Loshchilov and Hutter,
// 2019) and clipping of the global gradient norm.
type AdamWConfig struct {
	Beta1   float64 `json:"beta1"`
	Beta2   float64 `json:"beta2"`
	Eps     float64 `json:"eps"`
	MaxNorm float64 `json:"max_norm"` // 0: no clipping
}

// Validate refuses values with which AdamW is not defined.
func (c AdamWConfig) Validate() error {
	for _, b := range []float64{c.Beta1, c.Beta2} {
		if !(b >= 0 && b < 1) {
			return fmt.Errorf("AdamW betas %g and %g: each must be at least 0 and below 1", c.Beta1, c.Beta2)
		}
	}
	if !(c.Eps > 0) {
		return fmt.Errorf("AdamW epsilon %g: it must be above 0", c.Eps)
	}
	if !(c.MaxNorm >= 0) || math.IsInf(c.MaxNorm, 1) {
		return fmt.Errorf("maximum gradient norm %g: it must be 0 (no clipping) or more", c.MaxNorm)
	}
	return nil
}

// Rates are a parameter's learning rate and weight decay in one step.
type Rates struct{ LR, Decay float64 }

// AdamW holds the moments of every trainable parameter, as the storage's states
// have them.
type AdamW struct {
	AdamWConfig
	// T is the number of steps since the moments were zero.
	T        int
	step     wgsl.AdamW // what of the step all parameters share
	dev      gpu.Device
	storage  model.Storage
	params   []*model.Param
	grads    []gpu.Tensor // theirs
	moments  map[string][]gpu.Tensor
	partials gpu.Tensor // of the gradients' squared norm
	elements int        // that train
}

// StateSpecs lists what NewAdamW allocates for a layout.
func StateSpecs(l model.Layout) []gpu.Spec {
	var list []gpu.Spec
	parts := partCount(l.Storage)
	for _, p := range l.Params() {
		if p.Trains() {
			list = append(list, l.Storage.MomentSpecs(p.Weight)...)
			parts.add(p.Grad)
		}
	}
	if parts.n > 0 {
		list = append(list, parts.spec())
	}
	return list
}

// partCounter counts the partial sums of squared norms: of all gradients
// together, or under release of one at a time.
type partCounter struct {
	release bool
	n       int
}

func partCount(s model.Storage) *partCounter { return &partCounter{release: s.Release} }

func (c *partCounter) add(grad gpu.Spec) {
	n := gpu.Padded(wgsl.SquaredNormParts(grad)) // so that plans add up over parameters
	if c.release {
		c.n = max(c.n, n)
	} else {
		c.n += n
	}
}

func (c *partCounter) spec() gpu.Spec {
	return gpu.Spec{Name: "norm.partials", Class: gpu.Scratch, Shape: []int{c.n}}
}

// NewAdamW allocates zero moments for the model's trainable parameters.
func NewAdamW(c AdamWConfig, m *model.Model) (*AdamW, error) {
	o := &AdamW{AdamWConfig: c, dev: m.Device(), storage: m.Storage, moments: map[string][]gpu.Tensor{}}
	parts := partCount(m.Storage)
	for _, p := range m.Params() {
		if !p.Trainable() {
			continue
		}
		o.params, o.grads = append(o.params, p), append(o.grads, p.Grad)
		o.elements += p.Weight.Elements()
		parts.add(p.Grad.Spec)
		for _, s := range m.Storage.MomentSpecs(p.Weight.Spec) {
			t, err := o.dev.New(s)
			if err != nil {
				o.Free()
				return nil, err
			}
			o.moments[p.Name] = append(o.moments[p.Name], t)
		}
	}
	if parts.n == 0 {
		return nil, fmt.Errorf("nothing trains: every parameter is frozen")
	}
	t, err := o.dev.New(parts.spec())
	if err != nil {
		o.Free()
		return nil, err
	}
	o.partials = t
	return o, nil
}

// Step records the clip scale and every parameter's update, after all gradients
// are complete. Nothing is written when the gradients' norm is not finite.
func (o *AdamW) Step(p *gpu.Pass, stats gpu.Tensor, rates func(*model.Param) Rates) {
	o.begin()
	o.clip(p, stats)
	for _, q := range o.params {
		o.update(p, q, stats, rates(q))
	}
}

// begin counts a step.
func (o *AdamW) begin() {
	o.T++
	o.step = wgsl.AdamW{
		Beta1: float32(o.Beta1), Beta2: float32(o.Beta2), Eps: float32(o.Eps),
		Correction1: float32(1 - math.Pow(o.Beta1, float64(o.T))), Correction2: float32(1 - math.Pow(o.Beta2, float64(o.T))),
	}
}

// clip records the clip scale of all gradients together.
func (o *AdamW) clip(p *gpu.Pass, stats gpu.Tensor) {
	n := wgsl.SquaredNorms(p, o.partials, o.grads...)
	wgsl.ClipScale(p, stats, o.partials, n, float32(o.MaxNorm)) // what lies between is zero
}

// Release begins a step that updates each parameter as soon as its gradient is
// complete: the function that it returns does, and FinishRelease ends the step.
//
// The norm of the whole gradient is not known then. Each parameter's gradient is
// clipped by itself, to MaxNorm times the root of the parameter's share of all
// that train: so the whole never exceeds MaxNorm either. A parameter whose
// gradient, or the loss, is not finite is not updated; those before it have been.
func (o *AdamW) Release(stats gpu.Tensor, rates func(*model.Param) Rates) func(*gpu.Pass, *model.Param) {
	o.begin()
	return func(p *gpu.Pass, q *model.Param) {
		n := wgsl.SquaredNorms(p, o.partials, q.Grad)
		share := float64(q.Weight.Elements()) / float64(o.elements)
		wgsl.ReleaseScale(p, stats, o.partials, n, float32(o.MaxNorm*math.Sqrt(share)))
		o.update(p, q, stats, rates(q))
	}
}

// FinishRelease leaves the norm of the whole gradient in the stats.
func (o *AdamW) FinishRelease(p *gpu.Pass, stats gpu.Tensor) { wgsl.ReleaseNorm(p, stats) }

// update records one parameter's, clipped by the stats' scale.
func (o *AdamW) update(p *gpu.Pass, q *model.Param, stats gpu.Tensor, r Rates) {
	m := o.moments[q.Name]
	c := o.step
	c.LR, c.Decay = float32(r.LR), float32(r.Decay)
	switch o.storage.States {
	case model.PaperStates:
		wgsl.AdamWPaper(p, q.Weight, q.Master, m[0], m[1], q.Grad, stats, c)
	case model.SplitStates:
		wgsl.AdamWSplit(p, q.Weight, q.Master, m[0], m[1], q.Grad, stats, c)
	case model.Flash8States:
		wgsl.AdamWFlash8(p, q.Weight, q.Master, m[0], m[1], m[2], q.Grad, stats, c)
	default:
		wgsl.AdamWF32(p, q.Weight, m[0], m[1], q.Grad, stats, c)
	}
}

// State lists the moments, for checkpoints.
func (o *AdamW) State() []gpu.Tensor {
	var list []gpu.Tensor
	for _, p := range o.params {
		list = append(list, o.moments[p.Name]...)
	}
	return list
}

// Free releases the state.
func (o *AdamW) Free() {
	for _, list := range o.moments {
		for _, t := range list {
			o.dev.Free(t)
		}
	}
	clear(o.moments)
	o.dev.Free(o.partials)
}
