package stage

import (
	"steplm/gpu"
	"steplm/model"
)

// execute changes the model on its device as a transition says. The caller has
// freed activations and optimizer state: memory is freed before it is taken, so
// that the peak stays under the larger stage's plan.
func execute(m *model.Model, t transition, seed uint64) error {
	// Gradients and the masters of what freezes go, new blocks come; the old blocks'
	// LoRA is still there, since growth reads effective weights.
	if err := m.Apply(t.grown); err != nil {
		return err
	}
	if err := mixGrown(m, t); err != nil {
		return err
	}
	if err := m.Apply(t.after); err != nil {
		return err
	}
	return m.Init(seed, func(p *model.Param) bool { return p.Role.LoRA() && t.fresh[p.Block] })
}

// mixGrown fills the new blocks, then merges LoRA if the transition does.
func mixGrown(m *model.Model, t transition) error {
	x, err := m.NewMixer()
	if err != nil {
		return err
	}
	defer x.Free()
	p := m.Device().Begin("grow")
	fillGrown(p, x, m.Blocks, t.growth.Origins)
	if t.merge {
		for _, b := range m.Blocks {
			x.Merge(p, b)
		}
	}
	return p.End()
}

// fillGrown derives every new block from its neighbours.
func fillGrown(p *gpu.Pass, x *model.Mixer, blocks []*model.Block, origins []Origin) {
	var old []*model.Block
	for i, o := range origins {
		if !o.New {
			old = append(old, blocks[i])
		}
	}
	for i, o := range origins {
		if !o.New {
			continue
		}
		fresh, below, above := blocks[i], old[o.Below], old[o.Above]
		wa, wb := float32(1-o.Weight), float32(o.Weight)
		x.Interpolate(p, fresh, below, above, wa, wb)
	}
}
