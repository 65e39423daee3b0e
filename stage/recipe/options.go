package recipe

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/model"
	"steplm/model/advice"
	"steplm/model/optim"
	"steplm/stage/outer"
	"steplm/stage/recipe/growth"
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
	Init           *Init  // nil: random weights
	InitLayers     string // InitTrain or InitFreeze, where the method grows; "": InitTrain
	Steps          int    // optimizer steps of the whole run
	Batch          model.Size
	GradAccum      int
	Processes      int // that train together and have a micro-batch each at least; not the recipe's; 0: 1
	Optimizer      optim.Config
	LR             []float64 // per stage, or one for all; none: as published
	PublishedLR    float64   // the optimizer's
	Decay          []float64 // likewise
	EmbeddingLR    float64   // factor on the stage's rate, of embedding and head; 0: 1
	LoRALR         float64   // factor on the stage's rate
	LoRADecay      float64   // factor on the stage's decay
	Schedule       string    // one of optim.Courses; "": the method's
	Over           string    // OverRun or OverStage; "": OverRun for optim.WSD
	DecayShare     float64   // of a course, at its end: optim.WSD's decay
	DecayShape     string    // how, one of optim.Shapes
	Warmup         int       // steps at the start of the run; below 0: 5 % of the stage's schedule
	Rewarm         int       // steps after each growth or merge; likewise
	MinRatio       float64
	Stages         int
	Split          []int  // layers that each stage adds; nil: by SplitBy
	SplitBy        string // SplitReal or SplitPaper
	GrowAt         float64
	Operator       string // "": the method's
	Position       string
	LoRA           model.LoRALayout
	KeepLoRA       bool     // at the next growth, instead of merging them
	NoLoRA         bool     // what is frozen gets none
	NoFreeze       bool     // growth freezes nothing, and so wraps nothing
	State          string   // StateFresh or StateKeep, of what goes on training; "": the method's
	WarmStart      *float64 // share of the steps that train everything before LoRA; nil: the method's
	MergeEvery     *int     // steps between ReLoRA's merges; nil: a quarter of the run
	MergeKeep      float64  // share of LoRA's moments that stay at each
	MergeKeepBy    string   // which, one of optim.KeptBy
	TrainEmbedding bool
	TrainHead      bool
	TrainNorms     bool
	Guard          *Guard        // nil: none
	Outer          *outer.Config // nil: none
	Data           Data
}

// What becomes of the optimizer's state of parameters that go on training through a transition.
const (
	StateFresh = "fresh" // begins anew
	StateKeep  = "keep"
)

// What one course of the learning rate is of.
const (
	OverStage = "stage"
	OverRun   = "run"
)

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
	var err error
	if o.Batch.Documents, err = o.Batch.Documents.Resolved(); err != nil {
		return o, err
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
		Format: Format, Method: method, Model: o.Model, Storage: o.Storage, Seed: o.Seed, Init: o.Init, Batch: o.Batch,
		GradAccum: o.GradAccum,
		Optimizer: o.Optimizer, TrainEmbedding: true, TrainHead: true, TrainNorms: true, Guard: o.Guard, Outer: o.Outer,
		Data: o.Data,
	}
}

// NewStage fills in what does not depend on the method: a course of its own that begins with a
// warm-up.
func (o Options) NewStage(i, layers, steps, schedule int) (Stage, error) {
	warmup := WarmupOf(o.Warmup, schedule)
	if i > 0 {
		warmup = WarmupOf(o.Rewarm, schedule)
	}
	rates := o.LR
	if len(rates) == 0 && o.PublishedLR != 0 {
		rates = []float64{o.PublishedLR}
	}
	lr, err := perStage("learning rates", rates, i, o.Stages)
	if err != nil {
		return Stage{}, err
	}
	decay, err := perStage("weight decays", o.Decay, i, o.Stages)
	if err != nil {
		return Stage{}, err
	}
	course, err := o.course(schedule)
	if err != nil {
		return Stage{}, err
	}
	s := Stage{
		Entry: Transition{Verbs: RewarmOver(warmup)}, Layers: layers, Steps: steps,
		LR: lr, Decay: decay, LoRALR: lr * o.LoRALR, LoRADecay: decay * o.LoRADecay,
		Schedule: course,
	}
	if o.EmbeddingLR != 1 {
		s.EmbeddingLR = lr * o.EmbeddingLR
	}
	return s, nil
}

// WarmupOf is the steps of a warm-up: what is asked for, or where that is below 0, 5 % of a schedule's.
func WarmupOf(asked, schedule int) int {
	if asked < 0 {
		return schedule / 20
	}
	return asked
}

// course is the one that the options ask for, of so many steps.
func (o Options) course(steps int) (*optim.Course, error) {
	c := optim.Course{Kind: o.Schedule, Steps: steps, MinRatio: o.MinRatio}
	if c.Kind == optim.WSD {
		if !(o.DecayShare > 0 && o.DecayShare <= 1) { // so that NaN fails
			return nil, fmt.Errorf("decay over the share %g of a %s schedule: it must be above 0 and at most 1",
				o.DecayShare, optim.WSD)
		}
		c.Decay, c.Shape = max(1, int(math.Round(float64(o.DecayShare*float64(steps))))), o.DecayShape
	}
	return &c, nil
}

// overRun makes the first stage's course that of the whole run. Under WSD every transition that grows must come
// before the decay: none is decayed twice.
func (o Options) overRun(r *Recipe) error {
	course, err := o.course(o.Steps)
	if err != nil {
		return err
	}
	done := 0
	for i := range r.Stages {
		if r.Stages[i].Schedule = nil; i > 0 && course.Kind == optim.WSD && done > course.Stable() {
			return advice.With(
				fmt.Errorf(
					"growth after step %d of %d: the learning rate decays from step %d on, and it must grow before",
					done,
					o.Steps,
					course.Stable(),
				),
				advice.Way{{How: advice.Lower, Option: advice.GrowAt}},
				advice.Way{{How: advice.Lower, Option: advice.DecayShare}},
			)
		}
		done += r.Stages[i].Steps
	}
	r.Stages[0].Schedule = course
	if o.Warmup < 0 { // is of the course
		entry := &r.Stages[0].Entry
		entry.Verbs = slices.DeleteFunc(entry.Verbs, func(v Verb) bool { return v.Do == Rewarm })
		entry.Verbs = append(entry.Verbs, RewarmOver(WarmupOf(o.Warmup, o.Steps))...)
	}
	return nil
}

// oneOf is an error unless a choice is among those that there are.
func oneOf(what, got string, among ...string) error {
	if slices.Contains(among, got) {
		return nil
	}
	return fmt.Errorf("%s %q: choose one of %s", what, got, strings.Join(among, ", "))
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
	o.Schedule, o.Operator = cmp.Or(o.Schedule, m.DefaultSchedule()),
		cmp.Or(o.Operator, m.Operator, growth.DefaultOperator())
	o.State = cmp.Or(o.State, m.State, StateFresh)
	o.Over = cmp.Or(o.Over, m.Over)
	if o.Over == "" {
		o.Over = OverStage
		if o.Schedule == optim.WSD {
			o.Over = OverRun
		}
	}
	if err := oneOf("learning-rate schedule over", o.Over, OverStage, OverRun); err != nil {
		return Recipe{}, err
	}
	if err := oneOf("state of what goes on training", o.State, StateFresh, StateKeep); err != nil {
		return Recipe{}, err
	}
	if err := o.validInit(m); err != nil {
		return Recipe{}, err
	}
	if !(o.EmbeddingLR >= 0) || math.IsInf(o.EmbeddingLR, 1) {
		return Recipe{}, fmt.Errorf("factor %g on the learning rate of embedding and head: it must be above 0",
			o.EmbeddingLR)
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
	if r.Init != nil && r.Init.RopeLayers != "" { // which layers of the grown model turn is what growth makes of it
		layouts, err := r.Layouts()
		if err != nil {
			return Recipe{}, err
		}
		r.Model.RopeLayers = layouts[len(layouts)-1].RopePattern()
	}
	return r, r.Validate()
}
