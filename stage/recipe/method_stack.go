package recipe

import (
	"fmt"
	"math"

	"steplm/model/advice"
	"steplm/model/optim"
	"steplm/stage/recipe/growth"
)

const stackName = "stack"

var stackMethod = Method{
	Name: stackName, Build: stack, About: aboutStack,
	Schedule: optim.WSD, Operator: growth.StackOperator, State: StateKeep, Over: OverRun,
	Uses: []advice.Option{advice.Split, advice.GrowAt, advice.Operator, advice.Position, advice.Rewarm, advice.State,
		advice.ScheduleOver},
	Less: func(o Options) []Change {
		to := advice.Way{{How: advice.Use, Option: advice.Method, Value: stepName}}
		return []Change{o.Change(stepName, to, func(c *Options) { c.Stages, c.Split = 2, nil })}
	},
	Rows: func(o Options) []Row {
		if o.Stages == 1 || o.Model.Layers < 2 || o.Init != nil && o.Model.Layers == o.Init.Layers {
			return nil
		}
		o.Split, o.SplitBy, o.Operator, o.Storage.Frozen = nil, "", "", o.Storage.Precision
		return []Row{{stackName, stackName, o}}
	},
}

// stack grows once, from a quarter of the layers or as many as the split says, to all of them, and freezes
// nothing: the whole stack is copied above itself (G_stack), or another operator is used, after the fraction
// GrowAt of the steps. The learning rate goes on as it was; under WSD growth lies in its stable part, and a fiftieth
// of the run is its warm-up, as one-shot growth was published (arXiv 2511.04981). What
// trains on keeps its optimizer state, what is new begins without.
func stack(o Options) (Recipe, error) {
	r := o.Base(stackName)
	from := max(1, o.Model.Layers/4)
	if o.Init != nil {
		from = o.Init.Layers
	}
	if o.Split == nil && o.SplitBy == SplitReal {
		err := fmt.Errorf("split by %q: method %s begins with a quarter of the layers, or with as many as a split of "+
			"numbers says", o.SplitBy, stackName)
		return r, advice.With(err, advice.Way{{How: advice.LeaveOut, Option: advice.Split}})
	}
	if o.Split != nil {
		o.Stages = 2
		split, err := o.givenSplit()
		if err != nil {
			return r, err
		}
		from = split[0]
	}
	if from >= o.Model.Layers {
		return r, fmt.Errorf(
			"method %s grows from %d layers to %d: it needs at least 2",
			stackName,
			from,
			o.Model.Layers,
		)
	}
	if from == 1 && growth.Mixes(o.Operator) {
		return r, advice.With(
			fmt.Errorf("method %s from one layer with operator %s: one layer has no neighbours to mix",
				stackName, o.Operator),
			advice.Way{{How: advice.Use, Option: advice.Operator, Value: growth.StackOperator}},
			advice.Way{{How: advice.Use, Option: advice.Split, Value: fmt.Sprintf("2,%d", o.Model.Layers-2)}},
		)
	}
	if !(o.GrowAt > 0 && o.GrowAt < 1) { // so that NaN fails
		return r, fmt.Errorf("growth at fraction %g of the run: it must be above 0 and below 1", o.GrowAt)
	}
	at := int(math.Round(float64(o.GrowAt * float64(o.Steps))))
	if at < 1 || at >= o.Steps {
		return r, fmt.Errorf(
			"%d steps are too few for growth at %g of them: the stages would get %d and %d steps, and each "+
				"needs at least one",
			o.Steps,
			o.GrowAt,
			at,
			o.Steps-at,
		)
	}
	o.Stages, o.NoFreeze = 2, true
	if o.Rewarm < 0 {
		o.Rewarm = 0 // the rate is kept
	}
	if o.Warmup < 0 && o.Over == OverRun {
		o.Warmup = o.Steps / 50
	}
	for i, steps := range []int{at, o.Steps - at} {
		s, err := o.NewStage(i, []int{from, o.Model.Layers}[i], steps, steps)
		if err != nil {
			return r, err
		}
		if i > 0 {
			s.Entry = Transition{Verbs: append(o.growth(o.Model.Layers), s.Entry.Verbs...), Save: true, Evaluate: true}
		}
		r.Stages = append(r.Stages, s)
	}
	if o.Over == OverRun {
		return r, o.overRun(&r)
	}
	return r, nil
}

func aboutStack(r Recipe) string {
	grow := r.Stages[1].Entry.Verbs[0]
	text := fmt.Sprintf("one-shot growth: %d layers train for %d steps; then the model grows to %d (operator %s), and "+
		"all of it trains, nothing is frozen", r.Stages[0].Layers, r.Stages[0].Steps, r.Stages[1].Layers, grow.Operator)
	if r.Stages[1].Schedule == nil {
		text += ", the learning rate goes on as it was"
	}
	if s := r.Stages[1].Entry.Verbs; len(s) > 1 && s[1].Do == Reset {
		return text + ", and the optimizer's state begins anew"
	}
	return text + ", and old layers keep their optimizer state"
}
