package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/model/optim"
	"steplm/stage/outer"
	"steplm/stage/recipe"
)

// Plan is what runs of a model keep in memory, method by method, with the same
// states and micro-batch. It is made with no device.
type Plan struct {
	Model      model.Config     `json:"model"`
	Parameters int64            `json:"parameters"` // of the whole model
	Batch      model.Size       `json:"micro_batch"`
	GradAccum  int              `json:"grad_accum"`
	Storage    model.Storage    `json:"storage"`
	LoRA       model.LoRALayout `json:"adapter"`
	Optimizer  string           `json:"optimizer"`
	Outer      *outer.Config    `json:"outer,omitempty"` // of rounds; nil: there are none
	// Bytes per parameter that trains, its optimizer's included, and of a frozen linear.
	TrainableBytes float64 `json:"bytes_per_trainable"`
	FrozenBytes    float64 `json:"bytes_per_frozen"`

	// STEP's, or with one stage vanilla's.
	Split  []int       `json:"split"`
	Stages []StagePlan `json:"stages"`
	// Its largest stage against vanilla's.
	Reduction    float64          `json:"reduction"`
	Vanilla      map[string]int64 `json:"vanilla"` // by class
	VanillaBytes int64            `json:"vanilla_bytes"`

	Methods []MethodPlan `json:"methods"`
	// Of vanilla training by the formula of STEP's paper: states of the blocks'
	// parameters only, see PaperVanillaBytes.
	PaperVanillaBytes int64 `json:"paper_vanilla_bytes"`
	// What STEP saves by that formula, with the split that is best by it.
	PaperReduction float64 `json:"paper_reduction"`
	// What a memory limit made of the micro-batch, if there is one.
	Fitted *Fitted `json:"fitted,omitempty"`
}

// MethodPlan is the stages of one method.
type MethodPlan struct {
	Method    string      `json:"method"`
	Optimizer string      `json:"optimizer"`       // its name
	Split     []int       `json:"split,omitempty"` // of methods that have one
	Stages    []StagePlan `json:"stages"`          // those that take the same as the one before are left out
	// Of the largest stage:
	PeakBytes  int64   `json:"peak_bytes"`
	StateBytes int64   `json:"state_bytes"` // of its weights, adapters, gradients and optimizer
	PaperBytes int64   `json:"paper_bytes"` // 0: the paper has no formula
	Reduction  float64 `json:"reduction"`   // of PeakBytes against vanilla's in this plan
	// Of StateBytes against vanilla's here.
	StateReduction float64 `json:"state_reduction"`
	// Of PaperBytes against vanilla's by the same formula.
	PaperReduction float64 `json:"paper_reduction"`
}

// StagePlan is one stage of a MethodPlan.
type StagePlan struct {
	NewLayers  int              `json:"new_layers"`
	Layers     int              `json:"layers"` // new and old
	PaperBytes int64            `json:"paper_bytes"`
	Bytes      map[string]int64 `json:"bytes"`      // allocated, by class
	PeakBytes  int64            `json:"peak_bytes"` // their sum: all of it is there at once
	// OuterBytes are those that an outer optimizer keeps in the process's memory, whatever the device.
	OuterBytes int64 `json:"outer_bytes,omitempty"`
	Trainable  int64 `json:"trainable_parameters,omitempty"` // where there are rounds
	// RoundBytes travel at the end of each of its rounds, in each direction, for each process but the first.
	RoundBytes int64 `json:"round_bytes,omitempty"`
	// Gradients are the values of each gradient, as model.Layout.GradientValues has them.
	Gradients []int `json:"-"`
	// FLOPs are the operations of a micro-batch.
	FLOPs float64 `json:"-"`
}

// StateBytes is what the paper calls model states: all but activations and
// scratch.
func (s StagePlan) StateBytes() int64 {
	return s.PeakBytes - s.Bytes[gpu.Activations.String()] - s.Bytes[gpu.Scratch.String()]
}

// Make plans vanilla training, and STEP with the options' split and with the two that
// are optimal. Of the options it reads what memory depends on: the model, the micro-batch,
// storage, optimizer, stages and split, adapters, and what trains.
func Make(o recipe.Options) (Plan, error) {
	o, err := anyTraining(o).Resolved()
	if err != nil {
		return Plan{}, err
	}
	if err := o.Model.Validate(); err != nil {
		return Plan{}, err
	}
	p := Plan{
		Model: o.Model, Parameters: o.Model.TotalParams(), Batch: o.Batch, GradAccum: o.GradAccum,
		Storage: o.Storage, LoRA: o.LoRA, Optimizer: o.Optimizer.Settings.Title(), Outer: o.Outer,
		TrainableBytes: o.Optimizer.TrainableBytes(o.Storage), FrozenBytes: o.Storage.FrozenBytes(),
		PaperVanillaBytes: recipe.PaperVanillaBytes(o.Model.BlockParams(), o.Model.Layers),
	}
	rows := planRows(o)
	base := recipe.Row{Name: recipe.PlanVanilla, Method: recipe.VanillaName, Options: o}
	base.Options.LoRA = model.LoRALayout{}
	if len(rows) > 0 { // alone it refuses what freezes nothing
		base.Options.Storage.Frozen = o.Storage.Precision
	}
	whole, err := planRecipe(base)
	if err != nil {
		return Plan{}, err
	}
	p.Methods = append(p.Methods, whole)
	var all []string
	for _, row := range rows {
		m, err := planRecipe(row)
		if err != nil {
			return Plan{}, err
		}
		if m.PaperBytes > 0 && row.Options.SplitBy == recipe.SplitPaper && row.Options.Split == nil {
			p.PaperReduction = 1 - float64(m.PaperBytes)/float64(p.PaperVanillaBytes)
		}
		shown := fmt.Sprint(row.Method, m.Split)
		if !slices.Contains(all, shown) { // Two ways may lead to one split.
			p.Methods, all = append(p.Methods, m), append(all, shown)
		}
	}
	for i := range p.Methods {
		m := &p.Methods[i]
		m.Reduction = 1 - float64(m.PeakBytes)/float64(whole.PeakBytes)
		m.StateReduction = 1 - float64(m.StateBytes)/float64(whole.StateBytes)
		if m.PaperBytes > 0 {
			m.PaperReduction = 1 - float64(m.PaperBytes)/float64(p.PaperVanillaBytes)
		}
	}
	chosen := p.Methods[min(1, len(p.Methods)-1)]
	p.Vanilla, p.VanillaBytes = whole.Stages[0].Bytes, whole.PeakBytes
	p.Split, p.Stages, p.Reduction = chosen.Split, chosen.Stages, chosen.Reduction
	if p.Split == nil {
		p.Split = []int{o.Model.Layers}
	}
	return p, nil
}

// planRows are those of all methods.
func planRows(o recipe.Options) (rows []recipe.Row) {
	for _, m := range recipe.Methods {
		if m.Rows != nil {
			rows = append(rows, m.Rows(o)...)
		}
	}
	return rows
}

// FitPlan is Fit for the run that a plan shows first, beside vanilla training or alone.
func FitPlan(o recipe.Options, limit, overhead int64) (recipe.Options, Fitted, error) {
	method := recipe.VanillaName
	if rows := planRows(o); len(rows) > 0 {
		method = rows[0].Method
	}
	return FitShape(method, o, limit, overhead)
}

// planned completes a method by its largest stage.
func planned(method string, split []int, stages []StagePlan) MethodPlan {
	m := MethodPlan{Method: method, Split: split, Stages: stages}
	m.PeakBytes = slices.MaxFunc(stages, func(a, b StagePlan) int {
		return cmp.Compare(a.PeakBytes,
			b.PeakBytes)
	}).PeakBytes
	for _, s := range stages {
		m.StateBytes = max(m.StateBytes, s.StateBytes())
		m.PaperBytes = max(m.PaperBytes, s.PaperBytes)
	}
	return m
}

func stagePlan(added, layers int, paper int64, specs []gpu.Spec) StagePlan {
	ledger := gpu.Plan(gpu.OwnSpecs(), specs)
	return StagePlan{NewLayers: added, Layers: layers, PaperBytes: paper, Bytes: ledger.ByClass(),
		PeakBytes: ledger.Total()}
}

// planRecipe plans a run.
func planRecipe(row recipe.Row) (MethodPlan, error) {
	by, err := recipe.FindMethod(row.Method)
	if err != nil {
		return MethodPlan{}, err
	}
	o := row.Options
	if !by.Heeds(advice.Split) { // shown beside what grows: of the whole model, from the start
		o.Init, o.InitLayers = nil, ""
	}
	r, err := recipe.NewRecipe(by.Name, o)
	if err != nil {
		return MethodPlan{}, err
	}
	layouts, err := r.Layouts()
	if err != nil {
		return MethodPlan{}, err
	}
	paper := func(added, before int) int64 { return 0 } // it has no formula for other methods
	if by.Name == recipe.VanillaName || by.Heeds(advice.Stages) {
		if paper, err = o.PaperBytes(); err != nil {
			return MethodPlan{}, err
		}
	}
	split := r.LayersAdded()
	var stages []StagePlan
	for i, added := range split {
		layers := r.Stages[i].Layers
		s := stagePlan(added, layers, paper(added, layers-added), r.Specs(layouts[i]))
		if r.Outer != nil {
			s.Trainable, _ = layouts[i].Count()
			s.OuterBytes, s.RoundBytes = r.Outer.Bytes(layouts[i]), r.Outer.WireBytes(layouts[i])
		}
		if s.Gradients, err = layouts[i].GradientValues(); err != nil {
			return MethodPlan{}, err
		}
		s.FLOPs = layouts[i].FLOPs(r.Batch).Total()
		if i == 0 || added != 0 || !maps.Equal(s.Bytes, stages[len(stages)-1].Bytes) {
			stages = append(stages, s)
		}
	}
	if !by.Heeds(advice.Split) {
		split = nil
	}
	m := planned(row.Name, split, stages)
	m.Optimizer = r.Optimizer.Settings.Name()
	return m, nil
}

// ShapeRecipe is the recipe of a run of which the shapes alone matter: how it trains
// is filled in.
func ShapeRecipe(method string, o recipe.Options) (recipe.Recipe, error) {
	o, err := shape(o, method)
	if err != nil {
		return recipe.Recipe{}, err
	}
	return recipe.NewRecipe(method, o)
}

// FitShape is Fit for such a run.
func FitShape(method string, o recipe.Options, limit, overhead int64) (recipe.Options, Fitted, error) {
	o, err := shape(o, method)
	if err != nil {
		return o, Fitted{}, err
	}
	return Fit(method, o, limit, overhead)
}

func shape(o recipe.Options, method string) (recipe.Options, error) {
	m, err := recipe.FindMethod(method)
	if lora := o.LoRA; !m.Heeds(advice.Stages) {
		o.Stages = 1
		if o = anyTraining(o); m.Heeds(advice.Rank) {
			o.LoRA = lora
		}
		return o, err
	}
	return anyTraining(o), err
}

// anyTraining fills in what a recipe needs and memory does not depend on.
func anyTraining(o recipe.Options) recipe.Options {
	o.GradAccum = max(1, o.GradAccum)
	o.Steps, o.GrowAt, o.Schedule, o.Warmup, o.Rewarm = 1000*max(1, o.Stages), 0.75, "constant", 0, 0
	o.Operator, o.Position = "", "upper"
	if o.Optimizer.Settings == nil {
		o.Optimizer.Settings = optim.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}
	}
	o.LR, o.Decay, o.LoRALR, o.LoRADecay = []float64{1}, []float64{0}, 1, 1
	if o.Stages == 1 {
		o.LoRA = model.LoRALayout{} // nothing is ever frozen
	}
	return o
}
