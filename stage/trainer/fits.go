package trainer

import (
	"fmt"

	"steplm/gpu"
	"steplm/stage/recipe"
)

// CheckFits compares every stage's plan with the memory there is, before
// anything is allocated: a run must not die at its last growth.
func CheckFits(dev gpu.Device, r recipe.Recipe) error {
	layouts, err := r.Layouts()
	if err != nil {
		return err
	}
	if r.Init != nil {
		begins, err := r.Begin()
		if err != nil {
			return err
		}
		places := []int{-1} // before the first new block, and at each
		for i, o := range begins.Growth.Origins {
			if o.New {
				places = append(places, i)
			}
		}
		for _, at := range places {
			if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), begins.Filling(at).Specs())); err != nil {
				return fmt.Errorf("the model that the run begins with: %w", err)
			}
		}
	}
	for i, l := range layouts {
		if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), r.Specs(l), r.OuterSpecs(l))); err != nil {
			return fmt.Errorf("stage %d of %d: %w", i+1, len(layouts), err)
		}
	}
	return nil
}

// asPlanned is an error unless the device holds what the stage's plan says, to the byte.
func (t *Trainer) asPlanned() error {
	want := gpu.Plan(t.dev.Own(), t.Recipe.Specs(t.layout()))
	if d := t.dev.Ledger().Difference(want); d != "" {
		return fmt.Errorf("stage %d: the device holds other bytes than planned: %s", t.stage+1, d)
	}
	if t.outer != nil {
		if d := t.outer.Home().Ledger().Difference(gpu.Plan(t.Recipe.OuterSpecs(t.layout()))); d != "" {
			return fmt.Errorf("stage %d: the outer optimizer holds other bytes than planned: %s", t.stage+1, d)
		}
	}
	return nil
}
