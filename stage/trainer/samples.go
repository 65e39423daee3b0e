package trainer

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/generate"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/samples"
)

// CheckSamples is an error where samples would take more than a stage's activations, in whose place they are drawn.
func CheckSamples(r recipe.Recipe, p samples.Plan) error {
	if len(p.Prompts) == 0 {
		return nil
	}
	layouts, err := r.Layouts()
	if err != nil {
		return err
	}
	for i, l := range layouts {
		if _, err := samplesIn(r, l, p); err != nil {
			return fmt.Errorf("stage %d of %d: %w", i+1, len(layouts), err)
		}
	}
	return nil
}

// samplesIn is what draws samples in the place of a layout's activations.
func samplesIn(r recipe.Recipe, l model.Layout, p samples.Plan) (generate.Config, error) {
	return p.Config(l, gpu.Plan(model.ActivationSpecs(l, r.Batch)).Total())
}

// Sample has the model continue prompts. For that time the activations are gone.
func (t *Trainer) Sample(ctx context.Context, p samples.Plan) (list []record.Sample, err error) {
	if err := t.needActivations(); err != nil {
		return nil, err
	}
	before := t.dev.Ledger().ByClass()
	c, err := samplesIn(t.Recipe, t.layout(), p)
	if err != nil {
		return nil, err
	}
	specs, err := generate.Specs(t.layout(), c)
	if err != nil {
		return nil, err
	}
	t.freeActivations()
	list, err = t.draw(ctx, p, c, specs)
	if again := t.needActivations(); again != nil {
		return nil, errors.Join(err, again)
	}
	if after := t.dev.Ledger().ByClass(); !maps.Equal(after, before) {
		err = errors.Join(err, fmt.Errorf("the device holds other bytes after samples than before: %v, and %v", after,
			before))
	}
	return list, err
}

// draw is Sample while there are no activations.
func (t *Trainer) draw(ctx context.Context, p samples.Plan, c generate.Config, specs []gpu.Spec) ([]record.Sample,
	error) {
	before := t.dev.Ledger().Total()
	g, err := generate.New(t.Model, c)
	if err != nil {
		return nil, err
	}
	defer g.Free()
	if got, want := t.dev.Ledger().Total()-before, gpu.Plan(specs).Total(); got != want {
		return nil, fmt.Errorf("samples take %d bytes on the device, planned were %d", got, want)
	}
	return p.Draw(ctx, g)
}
