package recipe

import (
	"fmt"

	"steplm/model"
	"steplm/model/advice"
	"steplm/model/optim"
)

const galoreName = "galore" // of the method and of the optimizer

var galoreMethod = Method{
	Name: galoreName, Build: galore, Optimizer: galoreName, Clip: new(0.0), Decay: new(0.0),
	About: func(r Recipe) string {
		first := r.Stages[0]
		return fmt.Sprintf("GaLore: all parameters of all %d layers train for %d steps, with gradients of the linears "+
			"projected to few dimensions, in which the moments are kept (%s); rate %g, warm-up %d steps, gradient "+
			"norm clipped to %g (0: never), weight decay %g", r.Model.Layers, r.Steps(), r.Optimizer.Settings, first.LR,
			first.Entry.Warmup(), r.Optimizer.MaxNorm, first.Decay)
	},
	Less: func(o Options) []Change {
		to := advice.Way{{How: advice.Use, Option: advice.Method, Value: stepName}}
		return []Change{o.Change(stepName, to, func(c *Options) { c.Stages, c.Split = 2, nil })}
	},
	Rows: func(o Options) []Row {
		settings, _, err := optim.Choose(galoreName, o.Model, nil, 0)
		o.Optimizer.Settings, o.LoRA, o.Storage.Frozen = settings, model.LoRALayout{}, o.Storage.Precision
		if err != nil || o.Stages == 1 || o.Optimizer.Validate(o.Storage) != nil || o.Optimizer.Fits(o.Model) != nil {
			return nil
		}
		return []Row{{galoreName, galoreName, o}}
	},
}

// galore is vanilla training by the optimizer of that name, as it was published (Zhao et al., 2024) where the options
// do not say: warmed up over a tenth of the steps, without clipping and weight decay.
func galore(o Options) (Recipe, error) {
	if name := o.Optimizer.Settings.Name(); name != galoreName {
		return Recipe{}, advice.With(
			fmt.Errorf("method %s with optimizer %s: the method is that optimizer", galoreName, name),
			advice.Way{{How: advice.LeaveOut, Option: advice.Optimizer}},
			advice.Way{{How: advice.Use, Option: advice.Method, Value: VanillaName}})
	}
	if o.Warmup < 0 {
		o.Warmup = o.Steps / 10
	}
	r, err := vanilla(o)
	r.Method = galoreName
	return r, err
}
