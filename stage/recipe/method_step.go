package recipe

import (
	"fmt"
	"slices"
	"strconv"

	"steplm/model"
	"steplm/model/advice"
)

const stepName = "step"

var stepMethod = Method{
	Name:  stepName,
	Build: step,
	Uses: []advice.Option{
		advice.Stages, advice.Split, advice.GrowAt, advice.Operator, advice.Position, advice.Rewarm,
		advice.Rank, advice.Alpha, advice.LoRATargets, advice.Adapters, advice.AdapterLR, advice.AdapterWeightDecay,
		advice.TrainEmbedding, advice.TrainHead, advice.TrainNorms,
		advice.RankStabilized, advice.NoLoRA, advice.NoFreeze, advice.State, advice.ScheduleOver, advice.InitLayers,
	},
	About: aboutStep,
	Less:  stepLess,
	Rows:  stepRows,
}

// step is STEP (Yano, Ito, Suzuki; NAACL 2025): train a small model, grow it by
// inserting layers between the old ones at 75 % of the stage's schedule, freeze
// the old layers and wrap them in LoRA, train the new layers and the adapters;
// repeat. The layers per stage minimise the largest stage's bytes, see
// Options.SplitBy.
func step(o Options) (Recipe, error) {
	r := o.Base(stepName)
	r.LoRA = o.LoRA
	r.TrainEmbedding, r.TrainHead, r.TrainNorms = o.TrainEmbedding, o.TrainHead, o.TrainNorms
	if (o.Stages > 1 || o.initFreezes()) && o.wraps() {
		if err := o.LoRA.Validate(o.Model); err != nil {
			return r, err
		}
	}
	split, err := o.split()
	if err != nil {
		return r, err
	}
	run, schedule, err := StageSteps(o.Steps, o.Stages, o.GrowAt)
	if err != nil {
		return r, err
	}
	depth := 0
	for i, n := range split {
		depth += n
		s, err := o.NewStage(i, depth, run[i], schedule[i])
		if err != nil {
			return r, err
		}
		if i > 0 {
			s.Entry = Transition{Verbs: append(o.growth(depth), s.Entry.Verbs...), Save: true, Evaluate: true}
		} else if o.initFreezes() {
			s.Entry.Verbs = append(o.firstGrowth(depth), s.Entry.Verbs...)
		}
		r.Stages = append(r.Stages, s)
	}
	if o.Over == OverRun {
		err = o.overRun(&r)
	}
	return r, err
}

// wraps reports whether older layers get LoRA.
func (o Options) wraps() bool { return !o.NoLoRA && !o.NoFreeze }

// growth is the verbs that make the model so deep.
func (o Options) growth(depth int) []Verb {
	verbs := []Verb{{Do: Grow, Layers: depth, Operator: o.Operator, Position: o.Position, Seed: o.Seed}}
	if o.wraps() && !o.KeepLoRA {
		verbs = append(verbs, Verb{Do: Merge})
	}
	if !o.NoFreeze {
		verbs = append(verbs, Verb{Do: Freeze})
	}
	if o.wraps() {
		verbs = append(verbs, Verb{Do: Wrap})
	}
	switch {
	case o.State == StateFresh:
		verbs = append(verbs, Verb{Do: Reset, Params: AllParams})
	case o.wraps() && !o.KeepLoRA: // It has the names of what was merged, and begins anew.
		verbs = append(verbs, Verb{Do: Reset, Params: LoRAParams})
	}
	return verbs
}

// firstGrowth is the verbs of a run that begins with growth: there is no LoRA to merge and no state to reset.
func (o Options) firstGrowth(depth int) []Verb {
	return slices.DeleteFunc(o.growth(depth), func(v Verb) bool { return v.Do == Merge || v.Do == Reset })
}

func aboutStep(r Recipe) string {
	growths := 0
	for _, s := range r.Stages {
		if s.Entry.find(Grow) != nil {
			growths++
		}
	}
	if growths == 0 {
		return "STEP in one stage, which is vanilla training"
	}
	grown := r.Stages[len(r.Stages)-1].Entry
	has := func(do string) (Verb, bool) {
		if v := grown.find(do); v != nil {
			return *v, true
		}
		return Verb{}, false
	}
	grow, _ := has(Grow)
	often := "once"
	if growths > 1 {
		often = fmt.Sprintf("%d times", growths)
	}
	text := fmt.Sprintf("STEP: %d layers train first; then, %s, the model grows (operator %s, position %s)",
		r.Stages[0].Layers, often, grow.Operator, grow.Position)
	if growths == len(r.Stages) {
		text = fmt.Sprintf("STEP: %d layers are there; at once and %s in all the model grows (operator %s, "+
			"position %s)", r.Init.Layers, often, grow.Operator, grow.Position)
	}
	_, freeze := has(Freeze)
	_, wrap := has(Wrap)
	_, merge := has(Merge)
	switch {
	case !freeze:
		text += ", and nothing is frozen"
	case !wrap:
		text += ", the linears of the layers that were there freeze and get no LoRA, and the new layers train"
	default:
		text += fmt.Sprintf(
			", the linears of the layers that were there freeze under LoRA of rank %d (scale %.3g), and the "+
				"new layers and LoRA train",
			r.LoRA.Rank,
			r.LoRA.Scale(),
		)
		if len(r.Stages) > 2 {
			text += map[bool]string{true: "; older LoRA is merged", false: "; older LoRA is kept"}[merge]
		}
	}
	if _, reset := has(Reset); !reset && len(r.Stages) > 1 {
		text += "; what goes on training keeps its optimizer state"
	}
	if len(r.Stages) > 1 && r.Stages[1].Schedule == nil {
		text += "; one course of the learning rate goes through the run"
	}
	return text
}

// stepLess: what is frozen can be smaller, the layers shared otherwise, or among more stages.
func stepLess(o Options) (list []Change) {
	use := func(option advice.Option, value string) advice.Remedy {
		return advice.Remedy{How: advice.Use, Option: option, Value: value}
	}
	add := func(w advice.Way, edit func(*Options)) { list = append(list, o.Change(stepName, w, edit)) }
	if o.Storage.Frozen != model.Int8 {
		add(advice.Way{use(advice.Frozen, model.Int8)}, func(c *Options) { c.Storage.Frozen = model.Int8 })
	}
	if o.Split != nil || o.SplitBy != SplitReal {
		add(advice.Way{use(advice.Split, SplitReal)}, func(c *Options) { c.Split, c.SplitBy = nil, SplitReal })
	}
	way, by := advice.Way{use(advice.Stages, strconv.Itoa(o.Stages+1))}, o.SplitBy
	if o.Split != nil { // of that many stages there is none yet
		by = SplitReal
		way = append(way, use(advice.Split, by))
	}
	add(way, func(c *Options) { c.Stages, c.Split, c.SplitBy = c.Stages+1, nil, by })
	return list
}

// stepRows are the split that the options ask for and the two that are optimal.
func stepRows(o Options) []Row {
	if o.Stages == 1 && !o.initFreezes() || o.Init != nil && o.Model.Layers == o.Init.Layers {
		return nil
	}
	rows := []Row{{PlanStep, stepName, o}, {PlanReal, stepName, o}, {PlanPaper, stepName, o}}
	rows[1].Options.SplitBy, rows[1].Options.Split = SplitReal, nil
	rows[2].Options.SplitBy, rows[2].Options.Split = SplitPaper, nil
	return rows
}
