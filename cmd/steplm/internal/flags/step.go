package flags

import (
	"steplm/model/advice"
	"steplm/stage/recipe"
)

// StepFlags are the choices of STEP that decide what is in memory.
type StepFlags struct {
	Stages         *int     `placeholder:"K" help:"Stages. Default: 2, or as many as --split names."`
	Split          string   `default:"${split}" placeholder:"SPLIT" help:"Layers that each stage adds: 13,11 for instance, or the split with the smallest largest stage by the paper's formula (paper) or by all that is allocated at this micro-batch (real). Default: ${default}."`
	Rank           *int     `placeholder:"R" help:"LoRA rank. Default: a sixteenth of the hidden size, at least 4."`
	Alpha          *float64 `placeholder:"A" help:"LoRA alpha; adapters are scaled by alpha/rank. Default: the rank."`
	LoraTargets    []string `default:"${lora_targets}" placeholder:"NAME" help:"Linears that carry adapters. Default: all seven (${default})."`
	TrainEmbedding bool     `default:"true" negatable:"" help:"Train the embedding after stage 1 too (default)."`
	TrainHead      bool     `default:"true" negatable:"" help:"Train the head after stage 1 too (default)."`
	TrainNorms     bool     `default:"true" negatable:"" help:"Train the norms of frozen layers too (default)."`
}

// Check refuses stages of a method that has one.
func (f StepFlags) Check(method string) error {
	m, err := recipe.FindMethod(method)
	if err != nil {
		return err
	}
	if !m.Heeds(advice.Stages) && (f.Stages != nil && *f.Stages != 1 || f.Split != recipe.SplitPaper) {
		return Usagef("--stages and --split say nothing with --method %s, which has one stage: leave them out", method)
	}
	return nil
}
