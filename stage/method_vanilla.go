package stage

import "steplm/model/advice"

const vanillaName = "vanilla"

// vanillaMethod trains all parameters of the whole model from the first step to the last.
var vanillaMethod = Method{
	Name:  vanillaName,
	Build: vanilla,
	Less: func(o Options) []Change {
		to := advice.Way{{How: advice.Use, Option: advice.Method, Value: stepName}}
		return []Change{o.change(stepName, to, func(c *Options) { c.Stages, c.Split = 2, nil })}
	},
}

func vanilla(o Options) (Recipe, error) {
	o.Stages = 1
	r := o.base(vanillaName)
	s, err := o.stage(0, o.Model.Layers, o.Steps, o.Steps)
	r.Stages = []Stage{s}
	return r, err
}
