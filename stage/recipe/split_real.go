package recipe

import (
	"fmt"

	"steplm/gpu"
	"steplm/model"
)

// How a STEP run's layers are shared among its stages when the user does not
// say.
const (
	SplitReal  = "real"  // smallest largest stage by what this program allocates
	SplitPaper = "paper" // by the paper's formula
)

// stageLayout is a STEP stage that adds layers on top of before older ones.
func (o Options) stageLayout(added, before int) model.Layout {
	l := model.Plain(o.Model, added+before)
	l.Storage, l.LoRA = o.Storage, o.LoRA
	if o.NoFreeze {
		return l
	}
	for i := range before {
		l.Blocks[i].Frozen, l.Blocks[i].Wrapped, l.Blocks[i].Int8 = true, o.wraps(), o.Storage.Frozen == model.Int8
	}
	if before > 0 {
		l.TrainEmbedding, l.TrainHead, l.TrainNorms = o.TrainEmbedding, o.TrainHead, o.TrainNorms
	}
	return l
}

// RealStageBytes is every byte that a stage holds on a GPU, for Split: states at
// their real sizes, adapters, embedding and head, activations and scratch. It is
// affine in both numbers of layers (apart from whether there are old ones), so
// five plans give it for all.
func (o Options) RealStageBytes() func(added, before int) int64 {
	at := func(added, before int) int64 {
		r := Recipe{Batch: o.Batch, Optimizer: o.Optimizer}
		return gpu.Plan(gpu.OwnSpecs(), r.Specs(o.stageLayout(added, before))).Total()
	}
	type line struct{ base, added, before int64 }
	lines := [2]line{{base: at(1, 0)}, {base: at(1, 1)}} // without and with old layers
	lines[0].added = at(2, 0) - lines[0].base
	lines[1].added, lines[1].before = at(2, 1)-lines[1].base, at(1, 2)-lines[1].base
	return func(added, before int) int64 {
		l, old := lines[0], 0
		if before > 0 {
			l, old = lines[1], before-1
		}
		return l.base + int64(added-1)*l.added + int64(old)*l.before
	}
}

// PaperBytes is the paper's formula for the model, norms included, without LoRA or freezing where the options
// have none.
func (o Options) PaperBytes() (func(added, before int) int64, error) {
	p := o.Model.BlockParams()
	switch {
	case o.NoFreeze:
		return StatesBytes(16, 16, p, 0, 0), nil
	case o.NoLoRA:
		return PaperStageBytes(p, 0), nil
	}
	e, err := o.Model.LoRAParams(o.LoRA.Rank, o.LoRA.Targets)
	if err != nil {
		return nil, err
	}
	return PaperStageBytes(p, e), nil
}

// split is the user's, or the optimum that SplitBy names.
func (o Options) split() ([]int, error) {
	if o.Split != nil {
		return o.givenSplit()
	}
	var cost func(added, before int) int64
	switch o.SplitBy {
	case SplitReal:
		cost = o.RealStageBytes()
	case SplitPaper:
		var err error
		if cost, err = o.PaperBytes(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("split by %q: choose %s or %s", o.SplitBy, SplitReal, SplitPaper)
	}
	if o.Init != nil {
		return o.initSplit(cost)
	}
	return Split(o.Model.Layers, o.Stages, cost)
}

func (o Options) givenSplit() ([]int, error) {
	sum := 0
	for _, n := range o.Split {
		if n < 1 {
			return nil, fmt.Errorf("split %v: every stage must add at least one layer", o.Split)
		}
		sum += n
	}
	if sum != o.Model.Layers || len(o.Split) != o.Stages {
		return nil, fmt.Errorf("split %v adds %d layers in %d stages; the model has %d layers and the run %d stages",
			o.Split, sum, len(o.Split), o.Model.Layers, o.Stages)
	}
	return o.Split, o.fitsInit()
}
