package stage

import (
	"fmt"
	"strings"

	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl"
)

// execute changes the model on its device as a transition says. The caller has
// freed activations and optimizer state: memory is freed before it is taken, so
// that the peak stays under the larger stage's plan.
func execute(m *model.Model, t transition, seed uint64) error {
	// Gradients go, new blocks come; the old blocks' adapters are still there,
	// since growth reads effective weights.
	if err := m.Apply(t.grown.ForInference()); err != nil {
		return err
	}
	if err := fillGrown(m, t.growth.Origins); err != nil {
		return err
	}
	if t.merge {
		if err := mergeAdapters(m); err != nil {
			return err
		}
	}
	if err := m.Apply(t.after); err != nil {
		return err
	}
	return m.Init(seed, func(p *model.Param) bool { return p.Adapter() && t.fresh[blockID(p.Name)] })
}

// blockID is the ID in a name like blocks.<id>.wq, or -1.
func blockID(name string) int {
	id := -1
	if strings.HasPrefix(name, "blocks.") {
		fmt.Sscanf(name, "blocks.%d.", &id)
	}
	return id
}

// fillGrown derives every new block from its neighbours' effective weights
// W + scale B A.
func fillGrown(m *model.Model, origins []Origin) error {
	var old []*model.Block
	for i, o := range origins {
		if !o.New {
			old = append(old, m.Blocks[i])
		}
	}
	p := m.Device().Begin("grow")
	for i, o := range origins {
		if !o.New {
			continue
		}
		new, below, above := m.Blocks[i], old[o.Below], old[o.Above]
		wa, wb := float32(1-o.Weight), float32(o.Weight)
		mix(p, new.AttnNorm, below.AttnNorm, above.AttnNorm, wa, wb)
		mix(p, new.FFNNorm, below.FFNNorm, above.FFNNorm, wa, wb)
		for j, l := range new.Linears() {
			a, b := below.Linears()[j], above.Linears()[j]
			mix(p, l.Param, a.Param, b.Param, wa, wb)
			addAdapter(p, l.Weight, a, wa)
			if wb != 0 {
				addAdapter(p, l.Weight, b, wb)
			}
		}
	}
	return p.End()
}

func mix(p *gpu.Pass, out, a, b *model.Param, wa, wb float32) {
	wgsl.Mix(p, out.Weight, a.Weight, b.Weight, wa, wb, out.Weight.Elements())
}

// addAdapter is w += factor * scale * B A, where l has an adapter.
func addAdapter(p *gpu.Pass, w gpu.Tensor, l *model.Linear, factor float32) {
	if l.LoRA != nil {
		wgsl.MatmulNN(p, w, l.LoRA.B.Weight, l.LoRA.A.Weight, wgsl.MatmulShape{M: l.Out, N: l.In, K: l.LoRA.Rank, Scale: factor * l.LoRA.Scale, Accumulate: true})
	}
}

// mergeAdapters adds every adapter to its weight. The adapters must then be
// dropped or begun anew.
func mergeAdapters(m *model.Model) error {
	p := m.Device().Begin("merge")
	for _, b := range m.Blocks {
		for _, l := range b.Linears() {
			addAdapter(p, l.Weight, l, 1)
		}
	}
	return p.End()
}
