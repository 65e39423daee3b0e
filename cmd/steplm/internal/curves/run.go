package curves

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// Run is a run's curve with its name.
type Run struct {
	Name  string
	Curve record.Curve
	// FLOPs are the operations until the end of each step, those that its line says or, where it says none, the
	// recipe's, as results.Row has them; nil where no recipe that can be read lies beside the metrics.
	FLOPs []float64
	// NoFLOPs says why there are none.
	NoFLOPs error
	recipe  *recipe.Recipe // nil likewise
}

// Read reads a run's folder or its metrics. It is an error if a line cannot be understood or there is no step; the
// run has what came before it.
func Read(path, name string) (Run, error) {
	run := Run{Name: name}
	var err error
	run.Curve, err = record.ReadCurve(path)
	if run.recipe, run.NoFLOPs = recipeBeside(path); run.recipe != nil {
		run.FLOPs, run.NoFLOPs = flops(*run.recipe, run.Curve)
	}
	return run, err
}

// recipeBeside is the recipe of a run, given its folder or its metrics.
func recipeBeside(path string) (*recipe.Recipe, error) {
	dir := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		dir = filepath.Dir(path)
	}
	text, file, err := record.RecipeText(dir)
	if err != nil {
		return nil, fmt.Errorf("operations are counted by a run's recipe: %w", err)
	}
	r, _, err := recipe.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("operations are counted by a run's recipe: %s: %w", file, err)
	}
	return &r, nil
}

// flops counts the operations of a curve's steps. Within a stage every step takes as many, but those that say theirs.
func flops(r recipe.Recipe, c record.Curve) ([]float64, error) {
	each, err := r.StepFLOPs()
	if err != nil {
		return nil, err
	}
	list := make([]float64, 0, len(c.Steps))
	begin, before := 0, 0.0 // what came before the stage, with what steps took besides the recipe's
	for i, s := range r.Stages {
		end := begin + s.Steps
		for at := len(list); at < len(c.Steps) && c.Steps[at] <= end; at++ {
			if own := c.FLOPs[at]; own > 0 {
				before += own - each[i]
			}
			list = append(list, before+float64(c.Steps[at]-begin)*each[i])
		}
		begin, before = end, before+float64(s.Steps)*each[i]
	}
	if len(list) < len(c.Steps) {
		return nil, fmt.Errorf("the run's recipe has %d steps, its metrics go to step %d", begin,
			c.Steps[len(c.Steps)-1])
	}
	return list, nil
}

// Measurement is what a run was measured at after a step, which its index says.
type Measurement struct {
	Index      int
	Set, When  string
	Loss       float64 // nats per token
	Perplexity float64 // per what its task counts
	Unit       string  // that is: token or word
}

// Measurements are a run's evaluations in order. A task that counts no tokens has no loss, and is left out.
func (r Run) Measurements() (list []Measurement, err error) {
	for _, after := range r.Curve.Events {
		e, ok := after.Event.(record.Evaluation)
		if !ok {
			continue
		}
		var found eval.Result
		if wrong := e.Result.Into(&found); wrong != nil {
			err = errors.Join(err, fmt.Errorf("the evaluation of %s after step %d: %w", e.Set, e.Step, wrong))
			continue
		}
		if n := found.Tokens(); n > 0 {
			list = append(list, Measurement{Index: after.Index, Set: e.Set, When: e.When,
				Loss: found.Value("nll") / float64(n), Perplexity: found.Perplexity(), Unit: found.Protocol.Unit})
		}
	}
	return list, err
}
