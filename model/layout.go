package model

import (
	"fmt"
	"math"
	"slices"

	"steplm/gpu"
	"steplm/wgsl"
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
	// Paused: what trains keeps its master but has no gradient, as within a
	// transition.
	Paused  bool    `json:"paused,omitempty"`
	Storage Storage `json:"storage"`
}

// BlockLayout is one Transformer layer of a layout.
type BlockLayout struct {
	ID      int  `json:"id"`
	Frozen  bool `json:"frozen"`  // linears do not train
	Wrapped bool `json:"wrapped"` // linears carry the layout's adapters
	Int8    bool `json:"int8"`    // linears are kept in 8 bits, which are frozen
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
// everything trainable, in f32.
func Plain(c Config, depth int) Layout {
	l := Layout{Config: c, TrainEmbedding: true, TrainHead: true, TrainNorms: true, Storage: FullStorage}
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
	if err := l.Storage.Validate(); err != nil {
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
		if b.Int8 && !b.Frozen {
			return fmt.Errorf("block ID %d trains and is kept in %s: only frozen blocks can be", b.ID, Int8)
		}
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

// hasInt8 reports whether any block is kept in 8 bits.
func (l Layout) hasInt8() bool {
	return slices.ContainsFunc(l.Blocks, func(b BlockLayout) bool { return b.Int8 })
}

// largestLinear is the spec, in a type, of the linear that takes the most memory.
func (l Layout) largestLinear(dtype gpu.DType) (largest gpu.Spec) {
	for _, s := range l.LinearShapes() {
		if x := (gpu.Spec{DType: dtype, Shape: []int{s.Out, s.In}}); largest.Shape == nil || x.Words() > largest.Words() {
			largest = x
		}
	}
	return largest
}

// splitWords is the scratch that adapters' gradients need over so many rows.
func (l Layout) splitWords(rows int) (words int) {
	if !l.wrapped() {
		return 0
	}
	for _, s := range l.LinearShapes() {
		if slices.Contains(l.Adapter.Targets, s.Name) {
			for _, x := range []gpu.Spec{wgsl.SplitSpec(s.Out, l.Adapter.Rank, rows), wgsl.SplitSpec(l.Adapter.Rank, s.In, rows)} {
				if x.Name != "" {
					words = max(words, x.Words())
				}
			}
		}
	}
	return words
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

// ParamSpec is a parameter that need not exist yet; parts without a name are not
// there.
type ParamSpec struct {
	Weight gpu.Spec
	Scales gpu.Spec // of an int8 weight's groups
	Grad   gpu.Spec // without one, frozen (or paused)
	Master gpu.Spec // what completes the weight to its f32 master
	Decay  bool
}

// Trains reports whether the parameter has a gradient.
func (p ParamSpec) Trains() bool { return p.Grad.Name != "" }

func (l Layout) param(name string, class gpu.Class, trains bool, shape ...int) ParamSpec {
	p := ParamSpec{Weight: gpu.Spec{Name: name, Class: class, DType: dtypeOf(l.Storage.Precision), Shape: shape}, Decay: len(shape) > 1}
	if !trains || l.Inference {
		return p
	}
	p.Master = masters[l.Storage.States].spec(p.Weight)
	if !l.Paused {
		p.Grad = gpu.Spec{Name: name + ".grad", Class: gpu.Gradients, DType: dtypeOf(l.Storage.Gradients), Shape: shape}
	}
	return p
}

// int8 keeps a linear's weight in 8 bits, with scales.
func (p ParamSpec) int8() ParamSpec {
	p.Weight.DType = gpu.I8
	p.Scales = gpu.Spec{Name: p.Weight.Name + ".scales", Class: p.Weight.Class, Shape: []int{p.Weight.Rows(), gpu.Groups(p.Weight.Cols(), wgsl.QuantizeGroup)}}
	return p
}

// Params lists every parameter: the embedding, the blocks from the embedding's
// side on, the last norm, the head unless tied.
func (l Layout) Params() []ParamSpec {
	list := []ParamSpec{l.param("embed", gpu.Weights, l.TrainEmbedding, l.Vocab, l.Hidden)}
	for _, b := range l.Blocks {
		list = append(list, l.blockParams(b)...)
	}
	list = append(list, l.param("norm", gpu.Weights, l.TrainNorms, l.Hidden))
	if !l.Tied {
		list = append(list, l.param("head", gpu.Weights, l.TrainHead, l.Vocab, l.Hidden))
	}
	return list
}

func (l Layout) blockParams(b BlockLayout) []ParamSpec {
	norms := !b.Frozen || l.TrainNorms
	var list []ParamSpec
	for i, s := range l.LinearShapes() {
		switch i {
		case 0:
			list = append(list, l.param(b.Name("attn_norm"), gpu.Weights, norms, l.Hidden))
		case 4:
			list = append(list, l.param(b.Name("ffn_norm"), gpu.Weights, norms, l.Hidden))
		}
		linear := l.param(b.Name(s.Name), gpu.Weights, !b.Frozen, s.Out, s.In)
		if b.Int8 {
			linear = linear.int8()
		}
		list = append(list, linear)
		if b.Wrapped && slices.Contains(l.Adapter.Targets, s.Name) {
			list = append(list,
				l.param(b.Name(s.Name)+".lora_a", gpu.Adapters, true, l.Adapter.Rank, s.In),
				l.param(b.Name(s.Name)+".lora_b", gpu.Adapters, true, s.Out, l.Adapter.Rank))
		}
	}
	return list
}

// ownGradient reports whether a parameter's gradient has memory of its own under
// gradient release: that of a tied embedding, which head and embedding both add
// to, one at each end of the backward pass.
func (l Layout) ownGradient(name string) bool { return !l.Storage.Release || l.Tied && name == "embed" }

// slabSpec is the memory that gradients share under release: the largest's. No
// name: none is needed.
func (l Layout) slabSpec() gpu.Spec {
	words := 0
	for _, p := range l.Params() {
		if p.Trains() && !l.ownGradient(p.Weight.Name) {
			words = max(words, p.Grad.Words())
		}
	}
	if words == 0 {
		return gpu.Spec{}
	}
	return gpu.Spec{Name: "gradients", Class: gpu.Gradients, DType: gpu.U32, Shape: []int{words}}
}

// lowestTrainable is the position of the first block whose backward is needed:
// -1 when the embedding trains, len(Blocks) when no block does.
func (l Layout) lowestTrainable() int {
	if l.TrainEmbedding && !l.Inference {
		return -1
	}
	if i := slices.IndexFunc(l.Blocks, func(b BlockLayout) bool { return slices.ContainsFunc(l.blockParams(b), ParamSpec.Trains) }); i >= 0 {
		return i
	}
	return len(l.Blocks)
}

// Specs lists the tensors of the parameters: weights, masters and gradients.
func (l Layout) Specs() []gpu.Spec {
	var list []gpu.Spec
	add := func(s gpu.Spec) {
		if s.Name != "" {
			list = append(list, s)
		}
	}
	for _, p := range l.Params() {
		add(p.Weight)
		add(p.Scales)
		add(p.Master)
		if l.ownGradient(p.Weight.Name) {
			add(p.Grad)
		}
	}
	add(l.slabSpec())
	return list
}

// Count is the number of trainable and frozen parameters.
func (l Layout) Count() (trainable, frozen int64) {
	for _, p := range l.Params() {
		if p.Trains() {
			trainable += int64(p.Weight.Elements())
		} else {
			frozen += int64(p.Weight.Elements())
		}
	}
	return trainable, frozen
}
