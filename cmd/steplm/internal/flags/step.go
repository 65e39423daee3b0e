package flags

import (
	"steplm/model/advice"
	"steplm/stage/recipe"
)

// StepFlags are the choices of STEP that decide what is in memory.
type StepFlags struct {
	Stages         *int     `placeholder:"K" range:"1..1e5" help:"Stages. Default: 2, or as many as --split names."`
	Split          string   `default:"${split}" placeholder:"SPLIT" help:"Layers that each stage adds: 13,11 for instance, or the split with the smallest largest stage by the paper's formula (paper) or by all that is allocated at this micro-batch (real). Default: ${default}."`
	Rank           *int     `placeholder:"R" range:"1..1e6" help:"LoRA rank. Default: a sixteenth of the hidden size, at least 4."`
	Alpha          *float64 `placeholder:"A" range:"0<..1e6" help:"LoRA alpha; adapters are scaled by alpha/rank. Default: the rank; with --method relora, a quarter of it."`
	LoraTargets    []string `default:"${lora_targets}" placeholder:"NAME" help:"Linears that carry adapters. Default: all seven (${default})."`
	RankStabilized bool     `help:"Scale adapters by alpha/sqrt(rank) instead, as rsLoRA does."`
	NoLora         bool     `name:"no-lora" help:"Give frozen layers no adapters."`
	NoFreeze       bool     `help:"Freeze nothing at growth: all layers go on training, and none gets adapters."`
	WarmStart      *float64 `placeholder:"SHARE" help:"Share of the steps that train everything before LoRA, with --method relora or lora. Default: 0.25 with relora, 0 with lora."`
	InitLayers     string   `placeholder:"WHAT" help:"What becomes of the layers of --init: train first, as stage 1's, or freeze at once, so that the run begins with growth. Default: train."`
	TrainEmbedding bool     `default:"true" negatable:"" help:"Train the embedding after stage 1 too (default)."`
	TrainHead      bool     `default:"true" negatable:"" help:"Train the head after stage 1 too (default)."`
	TrainNorms     bool     `default:"true" negatable:"" help:"Train the norms of frozen layers too (default)."`
}

// Check refuses stages and layers of a method that has none.
func (f StepFlags) Check(method string) error {
	m, err := recipe.FindMethod(method)
	if err != nil {
		return err
	}
	if stages := f.Stages != nil && *f.Stages != 1; !m.Heeds(advice.Split) && (stages || f.Split != recipe.SplitPaper) {
		return Usagef("--stages and --split say nothing with --method %s, which always has all layers: leave them out",
			method)
	} else if !m.Heeds(advice.Stages) && stages {
		return Usagef("--stages says nothing with --method %s, which grows once: leave it out", method)
	}
	return nil
}
