package recipe

import (
	"fmt"

	"steplm/model/advice"
)

const VanillaName = "vanilla"

// vanillaMethod trains all parameters of the whole model from the first step to the last.
var vanillaMethod = Method{
	Name:  VanillaName,
	Build: vanilla,
	About: func(r Recipe) string {
		return fmt.Sprintf(
			"vanilla training: all parameters of all %d layers train from the first of %d steps to the last",
			r.Model.Layers,
			r.Steps(),
		)
	},
	Less: func(o Options) []Change {
		to := advice.Way{{How: advice.Use, Option: advice.Method, Value: stepName}}
		return []Change{o.Change(stepName, to, func(c *Options) { c.Stages, c.Split = 2, nil })}
	},
}

func vanilla(o Options) (Recipe, error) {
	o.Stages = 1
	r := o.Base(VanillaName)
	s, err := o.NewStage(0, o.Model.Layers, o.Steps, o.Steps)
	r.Stages = []Stage{s}
	return r, err
}
