package flags

import (
	"steplm/stage/plan"
	"steplm/stage/recipe"
	"steplm/stage/session"
)

// ShapeFlags are a run of which nothing is trained: what its steps compute.
type ShapeFlags struct {
	ModelFlags     `embed:"" group:"Model"`
	StepFlags      `embed:"" group:"STEP"`
	StorageFlags   `embed:"" group:"Memory"`
	OptimizerFlags `embed:"" group:"Optimizer"`
	BatchSize      int `default:"${batch_size}" placeholder:"N" range:"1..1e9" help:"Windows per micro-batch. Default: ${default}."`
	GradAccum      int `default:"${grad_accum}" placeholder:"N" range:"1..1e9" help:"Micro-batches per step. Default: ${default}."`
}

// Options are the choices that decide what is in memory and what is computed.
func (f ShapeFlags) Options() (recipe.Options, error) { return OptionsOf(f) }

// OptionsOf are those of a command that has more flags than these.
func OptionsOf(command any) (recipe.Options, error) {
	spec, err := SpecOf(command)
	if err != nil {
		return recipe.Options{}, AsUsage(err)
	}
	o, err := spec.Shape(0)
	return o, AsUsage(err)
}

// MethodFlags are ShapeFlags of one method.
type MethodFlags struct {
	Method     string `default:"${method}" enum:"${methods}" help:"Method: ${enum}. Default: ${default}."`
	ShapeFlags `embed:""`
}

// Spec is what the flags ask for.
func (f MethodFlags) Spec() (session.Spec, error) {
	if err := f.StepFlags.Check(f.Method); err != nil {
		return session.Spec{}, err
	}
	spec, err := SpecOf(f)
	return spec, AsUsage(err)
}

// Recipe is a run of these shapes.
func (f MethodFlags) Recipe() (recipe.Recipe, error) {
	spec, err := f.Spec()
	if err != nil {
		return recipe.Recipe{}, err
	}
	return ShapeRecipe(spec)
}

// ShapeRecipe is a run of which nothing is trained.
func ShapeRecipe(spec session.Spec) (recipe.Recipe, error) {
	o, err := spec.Shape(0)
	if err != nil {
		return recipe.Recipe{}, AsUsage(err)
	}
	if limit := spec.Memory.MemoryLimit; limit > 0 {
		if o, _, err = plan.FitShape(spec.Method.Name, o, limit, 0); err != nil {
			return recipe.Recipe{}, err
		}
	}
	return plan.ShapeRecipe(spec.Method.Name, o)
}
