package main

import (
	"steplm/stage/plan"
	"steplm/stage/recipe"
	"steplm/stage/session"
)

// ShapeFlags are a run of which nothing is trained: what its steps compute.
type ShapeFlags struct {
	ModelFlags   `embed:""`
	StepFlags    `embed:""`
	StorageFlags `embed:""`
	BatchSize    int `default:"${batch_size}" placeholder:"N" help:"Windows per micro-batch. Default: ${default}."`
	GradAccum    int `default:"${grad_accum}" placeholder:"N" help:"Micro-batches per step. Default: ${default}."`
}

// Options are the choices that decide what is in memory and what is computed.
func (f ShapeFlags) Options() (recipe.Options, error) {
	spec, err := specOf(f)
	if err != nil {
		return recipe.Options{}, asUsage(err)
	}
	o, err := spec.Shape(0)
	return o, asUsage(err)
}

// MethodFlags are ShapeFlags of one method.
type MethodFlags struct {
	Method     string `default:"${method}" enum:"${methods}" help:"Method: ${enum}. Default: ${default}."`
	ShapeFlags `embed:""`
}

// spec is what the flags ask for.
func (f MethodFlags) spec() (session.Spec, error) {
	if err := f.StepFlags.check(f.Method); err != nil {
		return session.Spec{}, err
	}
	spec, err := specOf(f)
	return spec, asUsage(err)
}

// Recipe is a run of these shapes.
func (f MethodFlags) Recipe() (recipe.Recipe, error) {
	spec, err := f.spec()
	if err != nil {
		return recipe.Recipe{}, err
	}
	return shapeRecipe(spec)
}

// shapeRecipe is a run of which nothing is trained.
func shapeRecipe(spec session.Spec) (recipe.Recipe, error) {
	o, err := spec.Shape(0)
	if err != nil {
		return recipe.Recipe{}, asUsage(err)
	}
	if limit := spec.Memory.MemoryLimit; limit > 0 {
		if o, _, err = plan.FitShape(spec.Method.Name, o, limit); err != nil {
			return recipe.Recipe{}, err
		}
	}
	return plan.ShapeRecipe(spec.Method.Name, o)
}
