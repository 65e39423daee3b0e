package stage

import (
	"slices"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/recipe/growth"
)

// execute changes the model on its device, and what the optimizer keeps of it, as a
// transition says. The caller has freed the activations and allocates the optimizer's lack
// afterwards: memory is freed before it is taken, so that the peak stays under the larger
// stage's plan.
func execute(m *model.Model, o optim.Optimizer, t recipe.Effect, seed uint64) error {
	if err := resetState(o, t, seed); err != nil {
		return err
	}
	return reshape(m, t, seed)
}

// Grow makes a model that does not train deeper, as a verb says.
func Grow(m *model.Model, v recipe.Verb) (growth.Growth, error) {
	r := recipe.Recipe{Model: m.Config, Storage: m.Storage}
	t, err := r.Effect(m.Layout, []recipe.Verb{v})
	if err != nil {
		return growth.Growth{}, err
	}
	return t.Growth, reshape(m, t, v.Seed)
}

// reshape is what a transition does to the model.
func reshape(m *model.Model, t recipe.Effect, seed uint64) error {
	// Gradients and the masters of what freezes go, new blocks come; the old blocks'
	// LoRA is still there, since growth reads effective weights.
	if err := m.Apply(t.Grown); err != nil {
		return err
	}
	drawn := map[int]bool{} // IDs
	for i, b := range t.Growth.Origins {
		drawn[t.Grown.Blocks[i].ID] = b.Drawn
	}
	if err := m.Init(seed, func(p *model.Param) bool { return drawn[p.Block] }); err != nil {
		return err
	}
	if err := mixGrown(m, t, uint32(seed)); err != nil {
		return err
	}
	if err := m.Apply(t.After); err != nil {
		return err
	}
	return m.Init(seed, func(p *model.Param) bool { return p.Role.LoRA() && t.Fresh[p.Block] })
}

// paramsOf are a layout's, by name.
func paramsOf(l model.Layout) map[string]model.ParamSpec {
	all := map[string]model.ParamSpec{}
	for _, p := range l.Params() {
		all[p.Weight.Name] = p
	}
	return all
}

// goneBy tells, by name, which parameters no longer train as they did.
func goneBy(t recipe.Effect) func(name string) bool {
	before, after := paramsOf(t.Before), paramsOf(t.After)
	return func(name string) bool {
		was, is := before[name].Weight, after[name]
		return !is.Trains() || is.Weight.DType != was.DType || !slices.Equal(is.Weight.Shape, was.Shape)
	}
}

// anew tells, by name, of which parameters an outer optimizer begins anew: of what goes, and of what the transition
// resets, in part or not.
func anew(t recipe.Effect) func(name string) bool {
	before, gone := paramsOf(t.Before), goneBy(t)
	return func(name string) bool {
		return gone(name) || slices.ContainsFunc(t.Resets,
			func(v recipe.Verb) bool { return v.Selects(before[name]) })
	}
}

// resetState takes from the optimizer what it keeps of parameters that no longer train as they did,
// and what the transition resets.
func resetState(o optim.Optimizer, t recipe.Effect, seed uint64) error {
	before, gone := paramsOf(t.Before), goneBy(t)
	if err := o.Reset(gone, optim.Kept{}); err != nil {
		return err
	}
	for _, v := range t.Resets {
		if err := o.Reset(func(name string) bool { return v.Selects(before[name]) }, v.Kept(seed)); err != nil {
			return err
		}
	}
	return nil
}

// mixGrown fills the new blocks, then merges LoRA if the transition does. count is of what the merge draws.
func mixGrown(m *model.Model, t recipe.Effect, count uint32) error {
	if t.Growth.Origins == nil && !t.Merge {
		return nil
	}
	x, err := m.NewMixer()
	if err != nil {
		return err
	}
	defer x.Free()
	p := m.Device().Begin("grow")
	fillGrown(p, x, m.Blocks, t.Growth.Origins)
	for _, b := range m.Blocks {
		switch {
		case t.Merge && t.Stochastic:
			x.MergeStochastic(p, b, count)
		case t.Merge:
			x.Merge(p, b)
		}
	}
	return p.End()
}

// fillGrown derives every new block from its neighbours.
func fillGrown(p *gpu.Pass, x *model.Mixer, blocks []*model.Block, origins []growth.Origin) {
	var old []*model.Block
	for i, o := range origins {
		if !o.New {
			old = append(old, blocks[i])
		}
	}
	for i, o := range origins {
		if !o.New || o.Drawn {
			continue
		}
		fresh, below, above := blocks[i], old[o.Below], old[o.Above]
		wa, wb := float32(1-o.Weight), float32(o.Weight)
		x.Interpolate(p, fresh, below, above, wa, wb)
		if o.Silent {
			x.Silence(p, fresh)
		}
	}
}
