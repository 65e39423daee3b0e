package model

import (
	"fmt"
	"math"
	"slices"

	"steplm/gpu"
)

// Layout is what a model consists of at some moment of a run, with no device:
// enough to list every tensor. Config.Layers is the depth of the target;
// the depth now is len(Blocks).
type Layout struct {
	Config
	Blocks  []BlockLayout `json:"blocks"`
	Adapter AdapterLayout `json:"adapter"`
	// What trains besides the blocks' linears and adapters. Head says nothing
	// when it is tied to the embedding.
	TrainEmbedding bool `json:"train_embedding"`
	TrainHead      bool `json:"train_head"`
	TrainNorms     bool `json:"train_norms"` // those of frozen blocks and the last; others always train
	// Inference: nothing trains, whatever else is said.
	Inference bool `json:"inference,omitempty"`
}

// BlockLayout is one Transformer layer of a layout.
type BlockLayout struct {
	ID      int  `json:"id"`
	Frozen  bool `json:"frozen"`  // linears do not train
	Wrapped bool `json:"wrapped"` // linears carry the layout's adapters
}

// Name is the run-wide name of one of the block's tensors.
func (b BlockLayout) Name(tensor string) string { return fmt.Sprintf("blocks.%d.%s", b.ID, tensor) }

// AdapterLayout is LoRA on some of a block's linears: y += (alpha/rank) B A x.
type AdapterLayout struct {
	Rank    int      `json:"rank"`
	Alpha   float64  `json:"alpha"`
	Targets []string `json:"targets"`
}

// Plain is the layout of a whole model of depth layers with IDs 0, 1, ...,
// everything trainable.
func Plain(c Config, depth int) Layout {
	l := Layout{Config: c, TrainEmbedding: true, TrainHead: true, TrainNorms: true}
	for i := range depth {
		l.Blocks = append(l.Blocks, BlockLayout{ID: i})
	}
	return l
}

// ForInference is the same layout with nothing trainable.
func (l Layout) ForInference() Layout { l.Inference = true; return l }

// Validate refuses a layout that cannot be built.
func (l Layout) Validate() error {
	if err := l.Config.Validate(); err != nil {
		return err
	}
	if len(l.Blocks) < 1 {
		return fmt.Errorf("the model has no blocks")
	}
	seen := map[int]bool{}
	for _, b := range l.Blocks {
		if seen[b.ID] {
			return fmt.Errorf("block ID %d occurs twice", b.ID)
		}
		seen[b.ID] = true
	}
	if l.wrapped() {
		return l.Adapter.Validate(l.Config)
	}
	return nil
}

// wrapped reports whether any block carries adapters.
func (l Layout) wrapped() bool {
	return slices.ContainsFunc(l.Blocks, func(b BlockLayout) bool { return b.Wrapped })
}

// Validate refuses adapters that do not fit the model.
func (a AdapterLayout) Validate(c Config) error {
	if a.Rank < 1 {
		return fmt.Errorf("LoRA rank %d: it must be 1 or more", a.Rank)
	}
	if !(a.Alpha > 0) || math.IsInf(a.Alpha, 1) {
		return fmt.Errorf("LoRA alpha %g: it must be above 0", a.Alpha)
	}
	if len(a.Targets) == 0 {
		return fmt.Errorf("LoRA has no target: choose among %v", LinearNames())
	}
	for _, t := range a.Targets {
		if !slices.Contains(LinearNames(), t) {
			return fmt.Errorf("LoRA target %q is no linear of a block: choose among %v", t, LinearNames())
		}
	}
	for _, s := range c.LinearShapes() {
		if slices.Contains(a.Targets, s.Name) && a.Rank > min(s.Out, s.In) {
			return fmt.Errorf("LoRA rank %d is above what %s (%d x %d) can hold: choose at most %d", a.Rank, s.Name, s.Out, s.In, min(s.Out, s.In))
		}
	}
	return nil
}

// ParamSpec is a parameter that need not exist yet. Without a Grad name it is
// frozen.
type ParamSpec struct {
	Weight gpu.Spec
	Grad   gpu.Spec
	Decay  bool
}

func param(name string, class gpu.Class, trains bool, shape ...int) ParamSpec {
	p := ParamSpec{Weight: gpu.Spec{Name: name, Class: class, Shape: shape}, Decay: len(shape) > 1}
	if trains {
		p.Grad = gpu.Spec{Name: name + ".grad", Class: gpu.Gradients, Shape: shape}
	}
	return p
}

// Params lists every parameter: the embedding, the blocks from the embedding's
// side on, the last norm, the head unless tied.
func (l Layout) Params() []ParamSpec {
	train := !l.Inference
	list := []ParamSpec{param("embed", gpu.Weights, train && l.TrainEmbedding, l.Vocab, l.Hidden)}
	for _, b := range l.Blocks {
		list = append(list, l.blockParams(b)...)
	}
	list = append(list, param("norm", gpu.Weights, train && l.TrainNorms, l.Hidden))
	if !l.Tied {
		list = append(list, param("head", gpu.Weights, train && l.TrainHead, l.Vocab, l.Hidden))
	}
	return list
}

func (l Layout) blockParams(b BlockLayout) []ParamSpec {
	train, norms := !l.Inference && !b.Frozen, !l.Inference && (!b.Frozen || l.TrainNorms)
	var list []ParamSpec
	for i, s := range l.LinearShapes() {
		switch i {
		case 0:
			list = append(list, param(b.Name("attn_norm"), gpu.Weights, norms, l.Hidden))
		case 4:
			list = append(list, param(b.Name("ffn_norm"), gpu.Weights, norms, l.Hidden))
		}
		list = append(list, param(b.Name(s.Name), gpu.Weights, train, s.Out, s.In))
		if b.Wrapped && slices.Contains(l.Adapter.Targets, s.Name) {
			list = append(list,
				param(b.Name(s.Name)+".lora_a", gpu.Adapters, !l.Inference, l.Adapter.Rank, s.In),
				param(b.Name(s.Name)+".lora_b", gpu.Adapters, !l.Inference, s.Out, l.Adapter.Rank))
		}
	}
	return list
}

// lowestTrainable is the position of the first block whose backward is needed:
// -1 when the embedding trains, len(Blocks) when no block does.
func (l Layout) lowestTrainable() int {
	trains := func(p ParamSpec) bool { return p.Grad.Name != "" }
	if l.TrainEmbedding && !l.Inference {
		return -1
	}
	if i := slices.IndexFunc(l.Blocks, func(b BlockLayout) bool { return slices.ContainsFunc(l.blockParams(b), trains) }); i >= 0 {
		return i
	}
	return len(l.Blocks)
}

// Specs lists the tensors of the parameters and their gradients.
func (l Layout) Specs() []gpu.Spec {
	var list []gpu.Spec
	for _, p := range l.Params() {
		list = append(list, p.Weight)
		if p.Grad.Name != "" {
			list = append(list, p.Grad)
		}
	}
	return list
}

// Count is the number of trainable and frozen parameters.
func (l Layout) Count() (trainable, frozen int64) {
	for _, p := range l.Params() {
		if p.Grad.Name != "" {
			trainable += int64(p.Weight.Elements())
		} else {
			frozen += int64(p.Weight.Elements())
		}
	}
	return trainable, frozen
}
