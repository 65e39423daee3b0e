package recipe

import (
	"cmp"
	"fmt"
	"math"

	"steplm/model"
	"steplm/model/advice"
	"steplm/model/optim"
)

const reLoRAName = "relora"

// ReLoRA's usual run (5,000 steps of warm start at 5e-4, then LoRA at 1e-3 to step 20,000, merged every 5,000, with
// warm-ups of 500 and 100 steps) in shares, where the options do not say.
const (
	reloraWarmStart = 0.25 // of the steps, which train everything first
	reloraWarmRate  = 0.5  // of the learning rate, in these steps
	reloraFirst     = 10   // of the steps between merges one in so many is LoRA's first warm-up
	reloraRewarm    = 50   // and one in so many that after each merge
)

// maxMerges bounds a recipe's stages.
const maxMerges = 1000

var reloraMethod = Method{
	Name: reLoRAName, Build: relora, About: aboutReLoRA, Less: withoutWarmStart(reLoRAName),
	Decay: new(0.0), Alpha: new(0.25),
	Uses: append([]advice.Option{advice.MergeEvery, advice.MergeKeep, advice.MergeKeepBy, advice.State}, loraUses...),
	Rows: func(o Options) []Row { return loraRow(reLoRAName, o) },
}

// relora is ReLoRA (Lialin et al., 2023), with the numbers of its program where the options do not say, but for
// LoRA's rank and dropout, which is none: after a warm start LoRA trains on all frozen linears, and every so
// many steps it is merged into them and begins anew, with most of its moments forgotten and a rate that rises
// from 0 again.
//
// As in its program a merge follows the update after every R-th, counted from the warm start: that of update
// kR+1, whose rate is 0. A course other than the cosine, which becomes optim.Jagged, goes on through the
// merges, each of which a warm-up follows.
//
// Weights that are bf16 alone would lose what a merge adds wherever it is below half of their last bit:
// merges round them at random, which takes no memory and loses nothing on average.
func relora(o Options) (Recipe, error) {
	r, warm, err := o.loraRun(reLoRAName, reloraWarmStart)
	if err != nil {
		return r, err
	}
	if o.Storage.Frozen == model.Int8 {
		return r, advice.With(
			fmt.Errorf("frozen weights in %s: each of ReLoRA's merges would round them again", model.Int8),
			advice.Way{{How: advice.LeaveOut, Option: advice.Frozen}},
		)
	}
	steps := o.Steps - warm
	every, err := o.mergeEvery(steps)
	if err != nil {
		return r, err
	}
	rewarm := o.Rewarm
	if rewarm < 0 {
		rewarm = max(1, every/reloraRewarm)
	}
	s, err := o.NewStage(len(r.Stages), o.Model.Layers, min(every+1, steps), steps)
	if err != nil {
		return r, err
	}
	first := o.Warmup
	if first < 0 {
		first = max(1, every/reloraFirst)
	}
	if warm > 0 && len(o.LR) == 0 {
		warmed := &r.Stages[0]
		for _, x := range []*float64{&warmed.LR, &warmed.EmbeddingLR, &warmed.LoRALR} {
			*x *= reloraWarmRate
		}
	}
	if s.Schedule.Kind == optim.Cosine {
		s.Schedule = &optim.Course{Kind: optim.Jagged, Steps: steps, MinRatio: o.MinRatio, First: first, Every: every,
			Rewarm: rewarm}
		s.Entry = o.wrapping(warm > 0, nil)
	} else {
		s.Entry = o.wrapping(warm > 0, RewarmOver(first))
	}
	r.Stages = append(r.Stages, s)

	merge := []Verb{{Do: Merge}, {Do: Wrap}, {Do: Reset, Params: LoRAParams, Keep: o.MergeKeep, By: o.MergeKeepBy}}
	if o.Storage.Precision == model.BF16 {
		merge[0].Round = Stochastic
	}
	if s.Schedule.Kind != optim.Jagged {
		merge = append(merge, RewarmOver(rewarm)...)
	}
	for done := s.Steps; done < steps; done += s.Steps {
		s.Steps, s.Schedule, s.Entry = min(every, steps-done), nil, Transition{Verbs: merge}
		r.Stages = append(r.Stages, s)
	}
	return r, nil
}

// mergeEvery is how many steps lie between merges, of so many with LoRA.
func (o Options) mergeEvery(steps int) (int, error) {
	every := min(max(1, int(math.Round(float64(o.Steps)/4))), max(1, steps-2))
	if o.MergeEvery != nil {
		every = *o.MergeEvery
	}
	lower := advice.Way{{How: advice.Lower, Option: advice.MergeEvery}}
	switch {
	case every < 1:
		return 0, fmt.Errorf("merges every %d steps: it must be 1 or more", every)
	case every+1 >= steps:
		return 0, advice.With(
			fmt.Errorf("merges every %d steps, of which LoRA trains %d: the first would come after step %d, "+
				"and none is left", every, steps, every+1),
			lower,
			advice.Way{{How: advice.Use, Option: advice.Method, Value: LoRAName}},
		)
	case (steps-2)/every > maxMerges:
		return 0, advice.With(
			fmt.Errorf("merges every %d of %d steps: that is %d of them, and at most %d are allowed", every,
				steps, (steps-2)/every, maxMerges),
			advice.Way{{How: advice.Raise, Option: advice.MergeEvery}},
		)
	}
	return every, nil
}

func aboutReLoRA(r Recipe) string {
	last := r.Stages[len(r.Stages)-1].Entry.Verbs
	rounds := ""
	if last[0].Round == Stochastic {
		rounds = ", rounded at random so that no merge is lost"
	}
	first, merges := 0, 0
	for _, s := range r.Stages {
		if len(s.Entry.Verbs) > 0 && s.Entry.Verbs[0].Do == Merge {
			merges++
		} else {
			first += s.Steps
		}
	}
	every := r.Stages[len(r.Stages)-merges].Steps
	if s := r.Stages[len(r.Stages)-merges-1]; merges == 1 {
		every = s.Steps - 1
	}
	lora := fmt.Sprintf("the linears of all %d layers freeze%s under LoRA of rank %d (scale %.3g), which trains%s",
		r.Model.Layers, asTheyBegan(r), r.LoRA.Rank, r.LoRA.Scale(), besides(r))
	return warmStartText("ReLoRA", r) + lora + fmt.Sprintf("; %d times, first after step %d and then every %d "+
		"steps, it is merged into them%s and begins anew, %g of its moments are kept (%s), and the learning rate "+
		"rises from 0 again; gradient norm clipped to %g (0: never), weight decay %g",
		merges, first, every, rounds, last[2].Keep, cmp.Or(last[2].By, optim.ByMagnitude), r.Optimizer.MaxNorm,
		r.Stages[0].Decay)
}
