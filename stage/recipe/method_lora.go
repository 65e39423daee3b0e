package recipe

import (
	"fmt"
	"math"

	"steplm/model/advice"
)

// LoRAName is the method that trains LoRA alone.
const LoRAName = "lora"

var loraMethod = Method{
	Name: LoRAName, Build: lora, About: aboutLoRA, Less: withoutWarmStart(LoRAName),
	Uses: append([]advice.Option{advice.State, advice.ScheduleOver}, loraUses...),
	Rows: func(o Options) []Row { return loraRow(LoRAName, o) },
}

// loraUses are the options of methods that train LoRA on all layers.
var loraUses = []advice.Option{
	advice.Rank, advice.Alpha, advice.RankStabilized, advice.LoRATargets, advice.AdapterLR, advice.AdapterWeightDecay,
	advice.TrainEmbedding, advice.TrainHead, advice.TrainNorms, advice.WarmStart, advice.Rewarm,
}

// lora trains LoRA alone on all linears, which stay as they began, with embedding, norms and head; with a warm
// start all parameters train before it.
func lora(o Options) (Recipe, error) {
	r, warm, err := o.loraRun(LoRAName, 0)
	if err != nil {
		return r, err
	}
	s, err := o.NewStage(len(r.Stages), o.Model.Layers, o.Steps-warm, o.Steps-warm)
	if err != nil {
		return r, err
	}
	s.Entry = o.wrapping(warm > 0, s.Entry.Verbs)
	r.Stages = append(r.Stages, s)
	if o.Over == OverRun && warm > 0 {
		err = o.overRun(&r)
	}
	return r, err
}

// loraRun begins the recipe of a method with LoRA on all layers: with the stage of the warm start, of so many
// steps, if there is one; share is of the steps, where the options do not say.
func (o *Options) loraRun(method string, share float64) (r Recipe, warm int, err error) {
	r = o.Base(method)
	r.LoRA = o.LoRA
	r.TrainEmbedding, r.TrainHead, r.TrainNorms = o.TrainEmbedding, o.TrainHead, o.TrainNorms
	if !o.wraps() {
		return r, 0, advice.With(
			fmt.Errorf("method %s without frozen layers and LoRA: nothing would be left of it", method),
			advice.Way{{How: advice.LeaveOut, Option: advice.NoLoRA}, {How: advice.LeaveOut, Option: advice.NoFreeze}},
		)
	}
	if err := o.LoRA.Validate(o.Model); err != nil {
		return r, 0, err
	}
	if o.WarmStart != nil {
		share = *o.WarmStart
	}
	if !(share >= 0 && share < 1) { // so that NaN fails
		return r, 0, fmt.Errorf("warm start over the share %g of the steps: it must be at least 0 and below 1", share)
	}
	o.Stages = 1
	warm = int(math.Round(float64(share * float64(o.Steps))))
	if warm == 0 && share == 0 {
		return r, 0, nil
	}
	if o.Stages = 2; warm < 1 || warm >= o.Steps {
		return r, 0, fmt.Errorf(
			"%d steps are too few for a warm start over %g of them: it would get %d and LoRA %d, and "+
				"each needs at least one",
			o.Steps,
			share,
			warm,
			o.Steps-warm,
		)
	}
	s, err := o.NewStage(0, o.Model.Layers, warm, o.Steps)
	r.Stages = []Stage{s}
	return r, warm, err
}

// wrapping is the transition into training LoRA: the first of a run, or after a warm start.
func (o Options) wrapping(warmed bool, rewarm []Verb) Transition {
	t := Transition{Verbs: []Verb{{Do: Freeze}, {Do: Wrap}}, Save: warmed, Evaluate: warmed}
	if warmed && o.State == StateFresh {
		t.Verbs = append(t.Verbs, Verb{Do: Reset, Params: AllParams})
	}
	t.Verbs = append(t.Verbs, rewarm...)
	return t
}

func aboutLoRA(r Recipe) string {
	return fmt.Sprintf("%sthe linears of all %d layers freeze%s under LoRA of rank %d (scale %.3g), which alone "+
		"trains%s, to the end of the %d steps", warmStartText("LoRA only", r), r.Model.Layers, asTheyBegan(r),
		r.LoRA.Rank, r.LoRA.Scale(), besides(r), r.Steps())
}

func warmStartText(name string, r Recipe) string {
	if first := r.Stages[0]; !first.Entry.wraps() {
		return fmt.Sprintf("%s: all parameters train for a warm start of %d steps at a rate of %g; then ", name,
			first.Steps, first.LR)
	}
	return name + ": "
}

func asTheyBegan(r Recipe) string {
	if r.Stages[0].Entry.wraps() {
		return " at their initial values"
	}
	return ""
}

// besides lists what trains besides LoRA.
func besides(r Recipe) (text string) {
	for _, x := range []struct {
		name   string
		trains bool
	}{{"embedding", r.TrainEmbedding}, {"norms", r.TrainNorms}, {"head", r.TrainHead}} {
		if x.trains {
			text += ", " + x.name
		}
	}
	if text != "" {
		text = " with" + text[1:]
	}
	return text
}

// loraRow is the run that a plan shows of a method with LoRA on all layers.
func loraRow(method string, o Options) []Row {
	if o.LoRA.Rank == 0 || !o.wraps() {
		return nil
	}
	o.Storage.Frozen = o.Storage.Precision
	return []Row{{method, method, o}}
}

// withoutWarmStart leaves out the stage that trains everything.
func withoutWarmStart(method string) func(Options) []Change {
	return func(o Options) []Change {
		none := 0.0
		way := advice.Way{{How: advice.Use, Option: advice.WarmStart, Value: "0"}}
		return []Change{o.Change(method, way, func(c *Options) { c.WarmStart = &none })}
	}
}
