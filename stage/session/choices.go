package session

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"steplm/model"
	"steplm/model/advice"
	"steplm/model/optim"
	"steplm/stage/outer"
	"steplm/stage/recipe"
)

const defaultStages = 2

// Shape is the choices that decide what is in memory and what is computed, with no data: as a plan
// and a benchmark need them. vocab is the tokenizer's number of ids, 0: none.
func (s Spec) Shape(vocab int) (recipe.Options, error) {
	config, err := s.Model.Config(vocab)
	if err != nil {
		return recipe.Options{}, err
	}
	o := recipe.Options{
		Model: config, GradAccum: s.Schedule.GradAccum, Recompute: s.Memory.Recompute,
		Batch: model.Size{Batch: s.Schedule.BatchSize, SeqLen: s.Model.Window(config), HeadRows: s.Memory.HeadRows,
			Documents: model.Documents{Mask: s.Model.Mask, Positions: s.Model.Positions}},
	}
	if _, err := o.Batch.Documents.Resolved(); err != nil {
		return o, err
	}
	if err := s.Model.init(&o); err != nil {
		return o, err
	}
	if s.Memory.HeadRows < 0 {
		return o, badOption("head_rows", s.Memory.HeadRows, "it must be 0 (chosen for you) or more")
	}
	states := s.Memory.States
	if states == "" {
		states = map[string]string{model.F32: model.FullStates, model.BF16: model.SplitStates}[s.Memory.Precision]
	}
	o.Storage = model.Storage{
		Precision: s.Memory.Precision, States: states, Gradients: s.Memory.Gradients, Release: s.Memory.Release,
		Frozen: s.Memory.Frozen,
	}
	if _, err := s.optimizer(&o); err != nil {
		return o, err
	}
	if x := s.Outer; x.Every > 0 {
		o.Outer = &outer.Config{Every: x.Every, LR: x.LR, Momentum: x.Momentum, Wire: x.Wire, Start: x.Start}
	} else if x.Every < 0 {
		return o, badOption("outer_every", x.Every, "it must be 0 (no rounds) or more")
	} else if x.Start != 0 {
		return o, badOption("outer_start", x.Start, "there are no rounds that could begin then: say how many steps "+
			"one has")
	} else if x.Wire != "" {
		return o, badOption("outer_wire", x.Wire, "changes travel in rounds: say how many steps one has")
	}
	return o, s.Method.set(&o)
}

// optimizer writes which one into options, and gives its published learning rate.
func (s Spec) optimizer(o *recipe.Options) (lr float64, err error) {
	m, err := recipe.FindMethod(s.Method.Name)
	if err != nil {
		return 0, err
	}
	fields := map[string]json.RawMessage{}
	for _, f := range s.fields() {
		setting := f.group == optimizerGroup && f.value.Kind() == reflect.Pointer && f.option != optionClipNorm
		if setting && !f.value.IsNil() {
			if fields[f.name], err = json.Marshal(f.value.Interface()); err != nil {
				return 0, err
			}
		}
	}
	name := cmp.Or(s.Optimizer.Name, m.Optimizer, optim.Default)
	if !slices.Contains(optim.Names(), name) {
		return 0, badOption(advice.Optimizer, name, "choose one of %s", strings.Join(optim.Names(), ", "))
	}
	settings, lr, err := optim.Choose(name, o.Model, fields, s.Schedule.Seed)
	var unheeded *optim.UnheededError
	if errors.As(err, &unheeded) {
		return 0, badOption(advice.Option(unheeded.Field), string(fields[unheeded.Field]),
			"optimizer %s has none: leave it out", unheeded.Optimizer)
	}
	o.Optimizer = optim.Config{Settings: settings, MaxNorm: m.MaxNorm()}
	if s.Optimizer.ClipNorm != nil {
		o.Optimizer.MaxNorm = *s.Optimizer.ClipNorm
	}
	return lr, err
}

const (
	optimizerGroup               = "optimizer"
	optionClipNorm advice.Option = "clip_norm"
)

// set writes growth and LoRA into options.
func (m Method) set(o *recipe.Options) error {
	o.Stages = defaultStages
	switch m.Split {
	case recipe.SplitReal, recipe.SplitPaper:
		o.SplitBy = m.Split
	default:
		for _, word := range strings.Split(m.Split, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(word))
			if err != nil {
				return badOption("split", m.Split, "give the layers of each stage, such as 13,11, or %s or %s",
					recipe.SplitReal, recipe.SplitPaper)
			}
			o.Split = append(o.Split, n)
		}
		o.Stages = len(o.Split)
	}
	if m.Stages != nil {
		o.Stages = *m.Stages
	}
	o.LoRA = model.LoRALayout{Rank: recipe.DefaultRank(o.Model), Targets: m.LoRATargets}
	if m.Rank != nil {
		o.LoRA.Rank = *m.Rank
	}
	o.LoRA.Alpha = recipe.DefaultAlpha(m.Name, o.LoRA.Rank)
	if m.Alpha != nil {
		o.LoRA.Alpha = *m.Alpha
	}
	o.TrainEmbedding, o.TrainHead, o.TrainNorms = m.TrainEmbedding, m.TrainHead, m.TrainNorms
	o.GrowAt, o.Operator, o.Position = m.GrowAt, m.Operator, m.Position
	o.LoRA.RankStabilized, o.NoLoRA, o.NoFreeze, o.State = m.RankStabilized, m.NoLoRA, m.NoFreeze, m.GrownState
	o.WarmStart, o.MergeEvery, o.MergeKeep, o.MergeKeepBy = m.WarmStart, m.MergeEvery, m.MergeKeep, m.MergeKeepBy
	if o.MergeKeepBy == optim.ByMagnitude { // as recipes have the default
		o.MergeKeepBy = ""
	}
	o.InitLayers = m.InitLayers
	o.LoRALR, o.LoRADecay, o.KeepLoRA = m.AdapterLR, m.AdapterWeightDecay, m.Adapters == adaptersKeep
	return nil
}

// choices are all of a run's, but for what it reads.
func (s Spec) choices(vocab int) (recipe.Options, error) {
	o, err := s.Shape(vocab)
	if err != nil {
		return o, err
	}
	if s.Method.Adapters != adaptersMerge && s.Method.Adapters != adaptersKeep {
		return o, badOption("adapters", s.Method.Adapters, "choose %s or %s", adaptersMerge, adaptersKeep)
	}
	per := int64(o.Batch.Rows()) * int64(o.GradAccum)
	if per < 1 {
		return o, fmt.Errorf("batch size %d, sequence length %d and gradient accumulation %d must be 1 or more",
			o.Batch.Batch, o.Batch.SeqLen, o.GradAccum)
	}
	if o.Steps, err = s.steps(per); err != nil {
		return o, err
	}
	o.Seed = s.Schedule.Seed
	if o.PublishedLR, err = s.optimizer(&o); err != nil {
		return o, err
	}
	if o.LR, o.Decay = s.Schedule.LR, s.Optimizer.WeightDecay; len(o.Decay) == 0 {
		m, err := recipe.FindMethod(s.Method.Name)
		if err != nil {
			return o, err
		}
		o.Decay = []float64{m.WeightDecay()}
	}
	if o.Guard, err = s.Guard.guard(); err != nil {
		return o, err
	}
	if err := s.setCourse(&o); err != nil || s.Schedule.FLOPs == 0 {
		return o, err
	}
	o.Steps, err = recipe.StepsWithin(s.Method.Name, o, s.Schedule.FLOPs)
	return o, err
}

// guard is the run's; nil: it has none, and then nothing may be said of spikes.
func (g Guard) guard() (*recipe.Guard, error) {
	if g.OnSpike != "" {
		return &recipe.Guard{OnSpike: g.OnSpike, Loss: g.SpikeLoss, Norm: g.SpikeNorm, Window: g.SpikeWindow,
			Most: g.MaxRollbacks}, nil
	}
	usual := Default().Guard
	for _, x := range []struct {
		option       advice.Option
		value, usual any
	}{{"spike_loss", g.SpikeLoss, usual.SpikeLoss}, {"spike_norm", g.SpikeNorm, usual.SpikeNorm},
		{"spike_window", g.SpikeWindow, usual.SpikeWindow}, {advice.MaxRollbacks, g.MaxRollbacks, usual.MaxRollbacks}} {
		if x.value != x.usual {
			return nil, badOption(x.option, x.value, "nobody looks for spikes: say what becomes of one, %s",
				strings.Join(recipe.OnSpike(), " or "))
		}
	}
	return nil, nil
}

// setCourse writes the learning rate's course into options.
func (s Spec) setCourse(o *recipe.Options) error {
	m, err := recipe.FindMethod(s.Method.Name)
	if err != nil {
		return err
	}
	c := s.Schedule
	if o.EmbeddingLR = c.EmbeddingLR; !(c.EmbeddingLR > 0) {
		return badOption(advice.EmbeddingLR, c.EmbeddingLR, "it must be above 0")
	}
	o.Schedule, o.Warmup, o.Rewarm = cmp.Or(c.Name, m.DefaultSchedule()), stepsOr(c.Warmup), stepsOr(c.Rewarm)
	if o.Schedule == optim.Jagged {
		return badOption(advice.Schedule, c.Name, "it is what method relora makes of %s", optim.Cosine)
	}
	o.Over, o.DecayShare, o.DecayShape, o.MinRatio = c.Over, c.DecayShare, c.DecayShape, optim.MinRatio(o.Schedule)
	if c.MinLRRatio != nil {
		o.MinRatio = *c.MinLRRatio
	}
	return nil
}

// steps is the run's length: as it is given, or as many as its tokens fill, of so many in each step.
func (s Spec) steps(perStep int64) (int, error) {
	if s.Schedule.Tokens < 0 {
		return 0, badOption(optionTokens, s.Schedule.Tokens, "it must be 1 or more")
	}
	if s.Schedule.Tokens == 0 {
		return s.Schedule.Steps, nil
	}
	return int((s.Schedule.Tokens-1)/perStep + 1), nil
}

// stepsOr is a number of warm-up steps, below 0 where nobody chose one.
func stepsOr(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}
