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

// AdamW holds two moments in f32 for every trainable parameter.
type AdamW struct {
	AdamWConfig
	// T is the number of steps since the moments were zero.
	T        int
	dev      gpu.Device
	params   []*model.Param
	moments  map[string][2]gpu.Tensor
	partials gpu.Tensor // of the gradients' squared norm
}

// StateSpecs lists what NewAdamW allocates for a layout.
func StateSpecs(l model.Layout) []gpu.Spec {
	var list []gpu.Spec
	parts := 0
	for _, p := range l.Params() {
		if p.Grad.Name == "" {
			continue
		}
		m, v := momentSpecs(p.Weight)
		list = append(list, m, v)
		parts += wgsl.SquaredNormParts(p.Weight.Elements())
	}
	if parts > 0 {
		list = append(list, partialsSpec(parts))
	}
	return list
}

func momentSpecs(w gpu.Spec) (m, v gpu.Spec) {
	return gpu.Spec{Name: w.Name + ".m", Class: gpu.Optimizer, Shape: w.Shape}, gpu.Spec{Name: w.Name + ".v", Class: gpu.Optimizer, Shape: w.Shape}
}

func partialsSpec(n int) gpu.Spec {
	return gpu.Spec{Name: "norm.partials", Class: gpu.Scratch, Shape: []int{n}}
}

// NewAdamW allocates zero moments for the trainable ones of params.
func NewAdamW(dev gpu.Device, c AdamWConfig, params []*model.Param) (*AdamW, error) {
	o := &AdamW{AdamWConfig: c, dev: dev, moments: map[string][2]gpu.Tensor{}}
	parts := 0
	for _, p := range params {
		if !p.Trainable() {
			continue
		}
		o.params = append(o.params, p)
		parts += wgsl.SquaredNormParts(p.Weight.Elements())
		m, v := momentSpecs(p.Weight.Spec)
		var pair [2]gpu.Tensor
		for i, s := range []gpu.Spec{m, v} {
			t, err := dev.New(s)
			if err != nil {
				o.Free()
				return nil, err
			}
			pair[i] = t
			o.moments[p.Name] = pair
		}
	}
	if parts == 0 {
		return nil, fmt.Errorf("nothing trains: every parameter is frozen")
	}
	t, err := dev.New(partialsSpec(parts))
	if err != nil {
		o.Free()
		return nil, err
	}
	o.partials = t
	return o, nil
}

// Step records the clip scale and every parameter's update. Nothing is written
// when the gradients' norm is not finite.
func (o *AdamW) Step(p *gpu.Pass, stats gpu.Tensor, rates func(*model.Param) Rates) {
	o.T++
	at := 0
	for _, q := range o.params {
		n := q.Grad.Elements()
		wgsl.SquaredNorm(p, o.partials, q.Grad, at, n)
		at += wgsl.SquaredNormParts(n)
	}
	wgsl.ClipScale(p, stats, o.partials, at, float32(o.MaxNorm))
	c1, c2 := 1-math.Pow(o.Beta1, float64(o.T)), 1-math.Pow(o.Beta2, float64(o.T))
	for _, q := range o.params {
		r, m := rates(q), o.moments[q.Name]
		wgsl.AdamWStep(p, q.Weight, m[0], m[1], q.Grad, stats, q.Grad.Elements(), wgsl.AdamW{
			LR: float32(r.LR), Beta1: float32(o.Beta1), Beta2: float32(o.Beta2), Eps: float32(o.Eps), Decay: float32(r.Decay),
			Correction1: float32(c1), Correction2: float32(c2),
		})
	}
}

// State lists the moments, for checkpoints.
func (o *AdamW) State() []gpu.Tensor {
	var list []gpu.Tensor
	for _, p := range o.params {
		m := o.moments[p.Name]
		list = append(list, m[0], m[1])
	}
	return list
}

// Free releases the state.
func (o *AdamW) Free() {
	for _, m := range o.moments {
		o.dev.Free(m[0])
		o.dev.Free(m[1])
	}
	clear(o.moments)
	o.dev.Free(o.partials)
}
