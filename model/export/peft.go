package export

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"steplm/model"
	"steplm/model/advice"
	"steplm/model/checkpoint"
)

// PEFT is LoRA as the library peft loads it, with the model that it stands beside: a folder with
// adapter_config.json and adapter_model.safetensors, and in base/ the model as Hugging Face has it.
type PEFT struct{}

// Names within the folder.
const (
	peftBase    = "base"
	peftConfig  = "adapter_config.json"
	peftWeights = "adapter_model.safetensors"
	peftPrefix  = "base_model.model." // of tensors: peft's own classes around the model
)

// Name is the format's.
func (PEFT) Name() string { return "peft" }

// Single: it is a folder.
func (PEFT) Single() bool { return false }

// Check refuses a model without LoRA, and what the base cannot say.
func (PEFT) Check(m Model, text Text, o Options) error {
	if m.Stored == nil || !m.Stored.Adapted() {
		return advice.With(errors.New("none of the model's linears carries LoRA, so that there is no adapter to "+
			"write: where it was trained with LoRA, it is merged by now, and an earlier checkpoint has it"),
			advice.Way{{How: advice.Use, Option: advice.To, Value: HuggingFace{}.Name()}})
	}
	return HuggingFace{}.Check(baseOf(m), text, o)
}

// baseOf is the model that LoRA stands beside.
func baseOf(m Model) Model {
	c, ok := m.Weights.(checked)
	m.Weights = m.Stored.Base()
	if ok {
		m.Weights = Checked(c.ctx, m.Weights)
	}
	m.DType, m.Stored = m.Stored.DType(), nil
	return m
}

// Write writes both. The adapter is F32, as peft writes it; the options are about the base.
func (f PEFT) Write(d *checkpoint.Dir, m Model, text Text, o Options) error {
	if err := f.Check(m, text, o); err != nil {
		return err
	}
	base, err := d.Within(peftBase)
	if err != nil {
		return err
	}
	defer base.Abort()
	if err := (HuggingFace{}).Write(base, baseOf(m), text, o); err != nil {
		return err
	}
	if err := base.Commit(); err != nil {
		return err
	}
	if err := d.WriteJSON(peftConfig, newPEFTConfig(m.Stored, filepath.Join(d.Target(), peftBase))); err != nil {
		return err
	}
	return writeLoRA(d, m.Stored)
}

// peftFile is adapter_config.json: what peft 0.21 writes of a LoRA.
type peftFile struct {
	AlphaPattern   map[string]float64 `json:"alpha_pattern"`
	Base           string             `json:"base_model_name_or_path"`
	Bias           string             `json:"bias"`
	FanInFanOut    bool               `json:"fan_in_fan_out"`
	Inference      bool               `json:"inference_mode"`
	Init           bool               `json:"init_lora_weights"`
	Layers         []int              `json:"layers_to_transform"`
	LayersPattern  *string            `json:"layers_pattern"`
	Alpha          float64            `json:"lora_alpha"`
	Dropout        float64            `json:"lora_dropout"`
	Saved          []string           `json:"modules_to_save"`
	Kind           string             `json:"peft_type"`
	Version        string             `json:"peft_version"`
	Rank           int                `json:"r"`
	RankPattern    map[string]int     `json:"rank_pattern"`
	Revision       *string            `json:"revision"`
	Targets        []string           `json:"target_modules"`
	Task           string             `json:"task_type"`
	DoRA           bool               `json:"use_dora"`
	RankStabilized bool               `json:"use_rslora"`
}

// newPEFTConfig says which linears carry LoRA: by their names where all of a name do, else by their whole paths, as
// in a model of which only the older layers have it.
func newPEFTConfig(s *model.Stored, base string) peftFile {
	l := s.Layout.LoRA
	c := peftFile{
		AlphaPattern: map[string]float64{}, RankPattern: map[string]int{}, Base: base, Bias: "none", Inference: true,
		Init: true, Alpha: l.Alpha, Kind: "LORA", Version: "0.21.2", Rank: l.Rank, Task: "CAUSAL_LM",
		RankStabilized: l.RankStabilized,
	}
	list := s.LoRA()
	whole := len(list) != len(s.Layout.Blocks)*len(l.Targets)
	for _, x := range list {
		name := module(x.HF)
		if !whole {
			name = name[strings.LastIndexByte(name, '.')+1:]
		}
		if !slices.Contains(c.Targets, name) {
			c.Targets = append(c.Targets, name)
		}
	}
	return c
}

// module is the path of a weight's module.
func module(weight string) string { return strings.TrimSuffix(weight, ".weight") }

// writeLoRA writes the matrices, in pieces.
func writeLoRA(d *checkpoint.Dir, s *model.Stored) error {
	type part struct {
		of   model.StoredLoRA
		b    bool
		info checkpoint.Info
	}
	var parts []part
	var infos []checkpoint.Info
	for _, x := range s.LoRA() {
		for _, p := range []part{
			{x, false, checkpoint.Info{Name: ".lora_A.weight", Shape: []int{x.Rank, x.In}}},
			{x, true, checkpoint.Info{Name: ".lora_B.weight", Shape: []int{x.Out, x.Rank}}},
		} {
			p.info.Name, p.info.DType = peftPrefix+module(x.HF)+p.info.Name, checkpoint.F32
			parts, infos = append(parts, p), append(infos, p.info)
		}
	}
	return create(d, peftWeights, func(out io.Writer) error {
		w, err := checkpoint.Create(out, infos)
		if err != nil {
			return err
		}
		for _, p := range parts {
			for at := 0; at < p.info.Elements(); at += model.PieceElements {
				piece := make([]float32, min(model.PieceElements, p.info.Elements()-at))
				if err := s.ReadLoRA(p.of, p.b, at, piece); err != nil {
					return err
				}
				if err := finite(p.info.Name, at, piece); err != nil {
					return err
				}
				if err := w.WriteF32(p.info.Name, piece); err != nil {
					return err
				}
			}
		}
		return w.Close()
	})
}
