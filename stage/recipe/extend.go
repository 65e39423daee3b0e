package recipe

import (
	"fmt"
	"slices"

	"steplm/model/advice"
	"steplm/model/optim"
)

// Extend is the same run with more steps in its last stage. hash is that of the recipe as its checkpoints
// know it; they are this recipe's too. A learning rate that decays has come to its end, or would have been
// another from the start: only one that stays can go on, and a WSD from before its decay (see DecayFrom), which
// then takes as many steps as it would have.
func (r Recipe) Extend(steps int, hash string) (Recipe, error) {
	more := steps - r.Steps()
	if more < 0 {
		return r, fmt.Errorf("a run of %d steps cannot become one of %d", r.Steps(), steps)
	}
	courses := r.Schedule().Courses
	last := courses[len(courses)-1].What
	wsd := last.Kind == optim.WSD && r.DecayFrom() > 0
	if last.Kind != optim.Constant && !wsd {
		return r, advice.With(
			fmt.Errorf(
				"the run's learning rate follows a %s that ends after its %d steps, so that %d more would be another "+
					"run", last.Kind, r.Steps(), more),
			advice.Way{{How: advice.Use, Option: advice.Schedule, Value: optim.Constant + " from the start"}},
			advice.Way{{How: advice.Use, Option: advice.Schedule, Value: optim.WSD + " from the start"}})
	}
	r.Stages = slices.Clone(r.Stages)
	r.Stages[len(r.Stages)-1].Steps += more
	for i := len(r.Stages) - 1; wsd && i >= 0; i-- {
		if r.Stages[i].Schedule != nil {
			last.Steps += more
			r.Stages[i].Schedule = &last
			break
		}
	}
	r.Earlier = append(slices.Clone(r.Earlier), hash)
	return r, r.Validate()
}
