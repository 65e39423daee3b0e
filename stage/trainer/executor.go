package trainer

import (
	"slices"

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
	// Gradients and the masters of what freezes go, then new blocks come; the old blocks' LoRA is still there, since
	// growth reads effective weights.
	if err := m.Apply(t.Stripped()); err != nil {
		return err
	}
	if err := mixGrown(m, t, seed); err != nil {
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

// mixGrown makes and fills the new blocks, then merges LoRA if the transition does.
func mixGrown(m *model.Model, t recipe.Effect, seed uint64) error {
	if t.Growth.Origins == nil && !t.Merge {
		return nil
	}
	x, err := m.NewMixer()
	if err != nil {
		return err
	}
	defer x.Free()
	if err := fillGrown(m, x, t, seed); err != nil {
		return err
	}
	if !t.Merge {
		return nil
	}
	p := m.Device().Begin("merge")
	for _, b := range m.Blocks {
		if t.Stochastic {
			x.MergeStochastic(p, b, uint32(seed))
		} else {
			x.Merge(p, b)
		}
	}
	return p.End()
}

// fillGrown makes the new blocks, one after another: each drawn, or derived from its neighbours.
func fillGrown(m *model.Model, x *model.Mixer, t recipe.Effect, seed uint64) error {
	for i, o := range t.Growth.Origins {
		if !o.New {
			continue
		}
		if err := m.Apply(t.Filling(i)); err != nil {
			return err
		}
		fresh := t.Grown.Blocks[i].ID
		if o.Drawn {
			if err := m.Init(seed, func(p *model.Param) bool { return p.Block == fresh }); err != nil {
				return err
			}
			continue
		}
		byID := map[int]*model.Block{}
		for _, b := range m.Blocks {
			byID[b.ID] = b
		}
		old := t.Before.Blocks
		p := m.Device().Begin("grow")
		x.Interpolate(p, byID[fresh], byID[old[o.Below].ID], byID[old[o.Above].ID], float32(1-o.Weight),
			float32(o.Weight))
		if o.Silent {
			x.Silence(p, byID[fresh])
		}
		if err := p.End(); err != nil {
			return err
		}
	}
	return nil
}
