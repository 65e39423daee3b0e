package recipe

import (
	"fmt"
	"math"

	"steplm/model"
	"steplm/model/optim"
)

// Whether blocks are run a second time in backward.
const (
	RecomputeNone  = "none"
	RecomputeBlock = "block"
	RecomputeAuto  = "auto" // where a memory limit asks for it
)

// Options are a user's choices; a method turns them into a Recipe.
type Options struct {
	Model          model.Config
	Storage        model.Storage // Gradients may be GradientsAuto, Frozen "" (the precision)
	Recompute      string        // RecomputeNone, RecomputeBlock or RecomputeAuto
	Seed           uint64
	Steps          int // optimizer steps of the whole run
	Batch          model.Size
	GradAccum      int
	Optimizer      optim.Config
	LR             []float64 // per stage, or one for all
	Decay          []float64 // likewise
	LoRALR         float64   // factor on the stage's rate
	LoRADecay      float64   // factor on the stage's decay
	Schedule       string    // cosine or constant
	Warmup         int       // steps at the start of the run; below 0: 5 % of the stage's schedule
	Rewarm         int       // steps after each growth; likewise
	MinRatio       float64
	Stages         int
	Split          []int  // layers that each stage adds; nil: by SplitBy
	SplitBy        string // SplitReal or SplitPaper
	GrowAt         float64
	Operator       string
	Position       string
	LoRA           model.LoRALayout
	KeepLoRA       bool // at the next growth, instead of merging them
	TrainEmbedding bool
	TrainHead      bool
	TrainNorms     bool
	Data           Data
}

// DefaultRank is the LoRA rank when the user gives none: a sixteenth of the
// hidden size, at least 4 (64 for the 368M model, 128 for the 1.2B one).
func DefaultRank(c model.Config) int { return max(4, c.Hidden/16) }

// GradientsAuto keeps gradients in the weights' precision while each step has one
// micro-batch, and in f32 where several are added up.
const GradientsAuto = "auto"

// Resolved fills in what follows from other choices.
func (o Options) Resolved() (Options, error) {
	if o.Storage.Gradients == GradientsAuto {
		o.Storage.Gradients = o.Storage.Precision
		if o.GradAccum > 1 {
			o.Storage.Gradients = model.F32
		}
	}
	if o.Storage.Frozen == "" {
		o.Storage.Frozen = o.Storage.Precision
	}
	switch o.Recompute {
	case RecomputeNone, RecomputeAuto:
		o.Batch.Recompute = false
	case RecomputeBlock:
		o.Batch.Recompute = true
	default:
		return o, fmt.Errorf("recomputation %q: choose %s, %s or %s", o.Recompute, RecomputeNone, RecomputeBlock,
			RecomputeAuto)
	}
	if err := o.Storage.Validate(); err != nil {
		return o, err
	}
	if err := o.Optimizer.Validate(o.Storage); err != nil {
		return o, err
	}
	return o, o.Optimizer.Fits(o.Model)
}

// Base is what all methods share.
func (o Options) Base(method string) Recipe {
	return Recipe{
		Format: Format, Method: method, Model: o.Model, Storage: o.Storage, Seed: o.Seed, Batch: o.Batch,
		GradAccum: o.GradAccum,
		Optimizer: o.Optimizer, TrainEmbedding: true, TrainHead: true, TrainNorms: true, Data: o.Data,
	}
}

// NewStage fills in what does not depend on the method: a course of its own that begins with a
// warm-up.
func (o Options) NewStage(i, layers, steps, schedule int) (Stage, error) {
	warmup := o.Warmup
	if i > 0 {
		warmup = o.Rewarm
	}
	if warmup < 0 {
		warmup = schedule / 20
	}
	lr, err := perStage("learning rates", o.LR, i, o.Stages)
	if err != nil {
		return Stage{}, err
	}
	decay, err := perStage("weight decays", o.Decay, i, o.Stages)
	if err != nil {
		return Stage{}, err
	}
	s := Stage{
		Entry: Transition{Verbs: RewarmOver(warmup)}, Layers: layers, Steps: steps,
		LR: lr, Decay: decay, LoRALR: lr * o.LoRALR, LoRADecay: decay * o.LoRADecay,
		Schedule: &optim.Course{Kind: o.Schedule, Steps: schedule, MinRatio: o.MinRatio},
	}
	return s, nil
}

func perStage(what string, list []float64, i, stages int) (float64, error) {
	switch len(list) {
	case 1:
		return list[0], nil
	case stages:
		return list[i], nil
	}
	return 0, fmt.Errorf("%d %s for %d stages: give one for all or one for each", len(list), what, stages)
}

// NewRecipe builds the recipe of a method and validates it.
func NewRecipe(method string, o Options) (Recipe, error) {
	m, err := FindMethod(method)
	if err != nil {
		return Recipe{}, err
	}
	if o.Steps < 1 {
		return Recipe{}, fmt.Errorf("%d steps: a run needs at least one", o.Steps)
	}
	if err := o.Model.Validate(); err != nil { // methods count its parameters
		return Recipe{}, err
	}
	if o, err = o.Resolved(); err != nil {
		return Recipe{}, err
	}
	if !(o.LoRALR > 0) || math.IsInf(o.LoRALR, 1) {
		return Recipe{}, fmt.Errorf("factor %g on the adapters' learning rate: it must be above 0", o.LoRALR)
	}
	if !(o.LoRADecay >= 0) || math.IsInf(o.LoRADecay, 1) {
		return Recipe{}, fmt.Errorf("factor %g on the adapters' weight decay: it must be 0 or more", o.LoRADecay)
	}
	r, err := m.Build(o)
	if err != nil {
		return Recipe{}, err
	}
	return r, r.Validate()
}
