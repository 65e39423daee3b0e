package session

import (
	"steplm/gpu/memory"
	"steplm/model/advice"
	"steplm/stage"
	"steplm/stage/plan"
	"steplm/stage/recipe"
)

// Recipe is the run that is asked for, of a tokenizer with so many ids, as far as it depends on nothing but that: no
// data is read, no device is there and no memory limit is looked at.
func (s Spec) Recipe(vocab int) (recipe.Recipe, error) {
	o, err := s.choices(vocab)
	if err != nil {
		return recipe.Recipe{}, err
	}
	return recipe.NewRecipe(s.Method.Name, o)
}

// sized is the Spec with its epochs as steps.
func (s *Session) sized() (Spec, error) {
	spec := s.Spec
	if epochs := spec.Schedule.Epochs; epochs != 0 {
		n, err := s.read.steps(s, epochs)
		if err != nil {
			return spec, err
		}
		spec.Schedule.Steps, spec.Schedule.Epochs = n, 0
	}
	return spec, nil
}

// makeRecipe makes the run that is asked for, fitted to the memory limit if there is one.
func (s *Session) makeRecipe() error {
	spec, err := s.sized()
	if err != nil {
		return err
	}
	o, err := spec.choices(s.Tokenizer.VocabSize())
	if err != nil {
		return err
	}
	o.Data, o.Processes = s.identity, s.Reducer.Size()
	if n := s.Reducer.Size(); o.GradAccum < n {
		return badOption(advice.GradAccum, o.GradAccum, "%d processes take a micro-batch each: give %d or more",
			n, n)
	}
	if o.Init != nil {
		t, err := FindModel(s.Spec.Model.Init)
		if err != nil {
			return err
		}
		if o.Init.Weights, err = t.Identity(); err != nil {
			return err
		}
	}
	if limit := s.Spec.Memory.MemoryLimit; limit > 0 {
		overhead := int64(0)
		if s.Device.Limits().CPU { // The process's memory is the device's too.
			overhead = memory.ProcessOverhead
		}
		fitted := plan.Fitted{}
		if o, fitted, err = plan.Fit(s.Spec.Method.Name, o, limit, overhead); err != nil {
			return err
		}
		s.Fitted = &fitted
	}
	s.Recipe, err = recipe.NewRecipe(s.Spec.Method.Name, o)
	return err
}

// takeRecipe takes the run's own recipe, with more steps if they are asked for.
func (s *Session) takeRecipe() (err error) {
	dir := s.Spec.Output.Out
	if s.Recipe, err = stage.ReadRecipe(dir); err != nil {
		return err
	}
	if err := s.sameInput(dir); err != nil {
		return err
	}
	spec, err := s.sized()
	if err != nil {
		return err
	}
	steps, err := spec.steps(s.Recipe.TokensPerStep())
	if spec.Schedule.FLOPs != 0 {
		spec.Guard = Default().Guard // of which an earlier version took what had no effect
		var o recipe.Options
		o, err = spec.choices(s.Tokenizer.VocabSize())
		steps = o.Steps
	}
	if err != nil || steps == s.Recipe.Steps() {
		return err
	}
	s.longer = true
	s.Recipe, err = s.Recipe.Extend(steps, s.Recipe.Hash())
	return err
}
