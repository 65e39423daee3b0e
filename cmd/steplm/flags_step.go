package main

import (
	"strconv"
	"strings"

	"steplm/model"
	"steplm/model/advice"
	"steplm/stage"
)

// StepFlags are the choices of STEP that decide what is in memory.
type StepFlags struct {
	Stages         *int     `placeholder:"K" help:"Stages. Default: 2, or as many as --split names."`
	Split          string   `default:"paper" placeholder:"SPLIT" help:"Layers that each stage adds: 13,11 for instance, or the split with the smallest largest stage by the paper's formula (paper) or by all that is allocated at this micro-batch (real). Default: ${default}."`
	Rank           *int     `placeholder:"R" help:"LoRA rank. Default: a sixteenth of the hidden size, at least 4."`
	Alpha          *float64 `placeholder:"A" help:"LoRA alpha; adapters are scaled by alpha/rank. Default: the rank."`
	LoraTargets    []string `default:"${targets}" placeholder:"NAME" help:"Linears that carry adapters. Default: all seven (${targets})."`
	TrainEmbedding bool     `default:"true" negatable:"" help:"Train the embedding after stage 1 too (default)."`
	TrainHead      bool     `default:"true" negatable:"" help:"Train the head after stage 1 too (default)."`
	TrainNorms     bool     `default:"true" negatable:"" help:"Train the norms of frozen layers too (default)."`
}

const defaultStages = 2

// check refuses stages of a method that has one.
func (f StepFlags) check(method string) error {
	m, err := stage.FindMethod(method)
	if err != nil {
		return err
	}
	if !m.Heeds(advice.Stages) && (f.Stages != nil && *f.Stages != 1 || f.Split != stage.SplitPaper) {
		return usagef("--stages and --split say nothing with --method %s, which has one stage: leave them out", method)
	}
	return nil
}

// Set writes the choices into options for a model.
func (f StepFlags) Set(o *stage.Options, c model.Config) error {
	o.Stages = defaultStages
	switch f.Split {
	case stage.SplitReal, stage.SplitPaper:
		o.SplitBy = f.Split
	default:
		for _, s := range strings.Split(f.Split, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil {
				return usagef("--split %s: give the layers of each stage, such as 13,11, or %s or %s", f.Split, stage.SplitReal, stage.SplitPaper)
			}
			o.Split = append(o.Split, n)
		}
		o.Stages = len(o.Split)
	}
	if f.Stages != nil {
		o.Stages = *f.Stages
	}
	o.Adapter = model.LoRALayout{Rank: stage.DefaultRank(c), Targets: f.LoraTargets}
	if f.Rank != nil {
		o.Adapter.Rank = *f.Rank
	}
	o.Adapter.Alpha = float64(o.Adapter.Rank)
	if f.Alpha != nil {
		o.Adapter.Alpha = *f.Alpha
	}
	o.TrainEmbedding, o.TrainHead, o.TrainNorms = f.TrainEmbedding, f.TrainHead, f.TrainNorms
	return nil
}
