package recipe

import (
	"fmt"
	"sort"

	"steplm/model/advice"
)

// FLOPs is the operations of the whole run, a multiply-add counting 2: forward and backward, with and without
// gradients of weights, LoRA, attention, head, and the optimizer's own products. What recomputation adds is left
// out: it is the price of memory, and a run is the same without it. Where attention stays inside documents it is the
// most that the run can take: how many pairs of query and key there are only the data know, so that what each step
// took stands in its metrics.
func (r Recipe) FLOPs() (float64, error) { return r.FLOPsAfter(r.Steps()) }

// FLOPsAfter is the operations of the run's first so many steps.
func (r Recipe) FLOPsAfter(steps int) (float64, error) {
	each, err := r.StepFLOPs()
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for i, f := range each {
		done := min(steps, r.Stages[i].Steps)
		sum += float64(done) * f
		steps -= done
	}
	return sum, nil
}

// StepFLOPs is the operations of one step of each stage, counted as FLOPs counts them.
func (r Recipe) StepFLOPs() (each []float64, err error) {
	layouts, err := r.Layouts()
	if err != nil {
		return nil, err
	}
	for _, l := range layouts {
		f := l.FLOPs(r.Batch)
		each = append(each, float64(r.GradAccum)*(f.Total()-f.Recomputation)+r.Optimizer.FLOPs(l))
	}
	return each, nil
}

// maxSteps bounds a run that is as long as its operations last.
const maxSteps = 1 << 30

// StepsWithin is the most steps of a run by a method whose operations (Recipe.FLOPs) are at most so many; from five
// stages on, where a step more may cost less since stages are rounded, one or two more might fit. It is before any data
// are read, so that a run's length is a fact of its recipe, the same whenever it is resumed. Others of the
// options' choices are those of steps, and so of the budget: warm-ups, stages, the course of the learning rate.
func StepsWithin(method string, o Options, flops float64) (int, error) {
	if !(flops > 0) { // so that NaN fails
		return 0, fmt.Errorf("a budget of %g operations: it must be above 0", flops)
	}
	cost := func(steps int) (float64, error) {
		o.Steps = steps
		r, err := NewRecipe(method, o)
		if err != nil {
			return 0, err
		}
		return r.FLOPs()
	}
	// Few steps may be no run; from the least that is one, more steps cost more.
	least, first, err := 0, 0.0, error(nil)
	for least = 1; least <= 1<<20; least = least + max(1, least/8) {
		if first, err = cost(least); err == nil {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	for ; least > 1; least-- {
		c, err := cost(least - 1)
		if err != nil {
			break
		}
		first = c
	}
	if first > flops {
		return 0, advice.With(
			fmt.Errorf("a budget of %.4g operations is too small: the shortest run of method %s, %d steps, takes %.4g",
				flops, method, least, first),
			advice.Way{{How: advice.Raise, Option: advice.FLOPs}},
			advice.Way{{How: advice.Lower, Option: advice.BatchSize}})
	}
	high := least
	for high < maxSteps {
		high *= 2
		if c, err := cost(high); err != nil || c > flops { // So long a run there may not be.
			break
		}
	}
	n := sort.Search(high-least, func(i int) bool {
		c, err := cost(least + i + 1)
		return err != nil || c > flops
	})
	return least + n, nil
}
