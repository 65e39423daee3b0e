package stage

import (
	"cmp"
	"slices"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/optim"
)

// Plan is what a STEP run keeps in memory, stage by stage, and what vanilla
// training of the same model with the same batch would keep. It is made with no
// device.
type Plan struct {
	Model      model.Config        `json:"model"`
	Parameters int64               `json:"parameters"` // of the whole model
	Batch      model.Size          `json:"micro_batch"`
	Split      []int               `json:"split"`
	Adapter    model.AdapterLayout `json:"adapter"`

	Stages []StagePlan `json:"stages"`
	// By the formula of STEP's paper: states of the blocks' parameters only, see
	// PaperStageBytes.
	PaperVanillaBytes int64   `json:"paper_vanilla_bytes"`
	PaperReduction    float64 `json:"paper_reduction"` // 1 - largest stage / vanilla
	// By what this program allocates on a GPU.
	Vanilla      map[string]int64 `json:"vanilla"` // by class
	VanillaBytes int64            `json:"vanilla_bytes"`
	Reduction    float64          `json:"reduction"` // 1 - largest stage / vanilla
}

// StagePlan is one stage of a Plan.
type StagePlan struct {
	NewLayers  int              `json:"new_layers"`
	Layers     int              `json:"layers"` // new and old
	PaperBytes int64            `json:"paper_bytes"`
	Bytes      map[string]int64 `json:"bytes"`      // allocated, by class
	PeakBytes  int64            `json:"peak_bytes"` // their sum: all of it is there at once
}

// MakePlan plans a STEP run. Of the options it reads what memory depends on:
// the model, the micro-batch, stages and split, adapters, and what trains.
func MakePlan(o Options) (Plan, error) {
	o = o.anyTraining()
	step, err := NewRecipe("step", o)
	if err != nil {
		return Plan{}, err
	}
	vanilla, err := NewRecipe("vanilla", o)
	if err != nil {
		return Plan{}, err
	}
	layouts, err := step.Layouts()
	if err != nil {
		return Plan{}, err
	}
	block := o.Model.LayerParams() + o.Model.NormParams()
	adapter := int64(0)
	if o.Stages > 1 {
		if adapter, err = o.Model.AdapterParams(o.Adapter.Rank, o.Adapter.Targets); err != nil {
			return Plan{}, err
		}
	}
	p := Plan{
		Model: o.Model, Parameters: o.Model.TotalParams(), Batch: o.Batch, Adapter: o.Adapter,
		PaperVanillaBytes: PaperVanillaBytes(block, o.Model.Layers),
	}
	before := 0
	for _, l := range layouts {
		added := len(l.Blocks) - before
		ledger := step.ledger(l)
		p.Split = append(p.Split, added)
		p.Stages = append(p.Stages, StagePlan{
			NewLayers: added, Layers: len(l.Blocks), PaperBytes: PaperStageBytes(block, adapter)(added, before),
			Bytes: ledger.ByClass(), PeakBytes: ledger.Total(),
		})
		before = len(l.Blocks)
	}
	whole := vanilla.ledger(model.Plain(o.Model, o.Model.Layers))
	p.Vanilla, p.VanillaBytes = whole.ByClass(), whole.Total()
	p.PaperReduction = reduction(p.Stages, p.PaperVanillaBytes, func(s StagePlan) int64 { return s.PaperBytes })
	p.Reduction = reduction(p.Stages, p.VanillaBytes, func(s StagePlan) int64 { return s.PeakBytes })
	return p, nil
}

// anyTraining fills in what a recipe needs and memory does not depend on.
func (o Options) anyTraining() Options {
	o.Precision, o.GradAccum = "f32", 1
	o.Steps, o.GrowAt, o.Schedule, o.Warmup, o.Rewarm = 1000*max(1, o.Stages), 0.75, "constant", 0, 0
	o.Operator, o.Position = "mean", "upper"
	o.Optimizer = optim.AdamWConfig{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}
	o.LR, o.Decay, o.AdapterLR, o.AdapterDecay = []float64{1}, []float64{0}, 1, 1
	if o.Stages == 1 {
		o.Adapter = model.AdapterLayout{} // nothing is ever frozen
	}
	return o
}

// ledger is what a GPU holds while a layout trains.
func (r Recipe) ledger(l model.Layout) *gpu.Ledger { return gpu.Plan(gpu.OwnSpecs(), r.Specs(l)) }

// reduction is how much less than vanilla the largest stage takes.
func reduction(stages []StagePlan, vanilla int64, bytes func(StagePlan) int64) float64 {
	largest := slices.MaxFunc(stages, func(a, b StagePlan) int { return cmp.Compare(bytes(a), bytes(b)) })
	return 1 - float64(bytes(largest))/float64(vanilla)
}
