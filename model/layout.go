package model

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/wgsl"
	"steplm/wgsl/matmul"
)

// Layout is what a model consists of at some moment of a run, with no device:
// enough to list every tensor. Config.Layers is the depth of the target;
// the depth now is len(Blocks).
type Layout struct {
	Config
	Blocks []BlockLayout `json:"blocks"`
	LoRA   LoRALayout    `json:"adapter"`
	// What trains besides the blocks' linears and LoRA. Head says nothing
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
	Frozen  bool `json:"frozen"`  // linears and biases do not train
	Wrapped bool `json:"wrapped"` // linears carry the layout's LoRA
	Int8    bool `json:"int8"`    // linears are kept in 8 bits, which are frozen
	// NoRope: queries and keys are not turned by their positions. A block keeps it wherever it stands.
	NoRope bool `json:"no_rope,omitempty"`
}

// Name is the run-wide name of one of the block's tensors.
func (b BlockLayout) Name(tensor string) string { return fmt.Sprintf("blocks.%d.%s", b.ID, tensor) }

// LoRALayout is LoRA on some of a block's linears: y += scale B A x, see Scale.
type LoRALayout struct {
	Rank    int      `json:"rank"`
	Alpha   float64  `json:"alpha"`
	Targets []string `json:"targets"`
	// RankStabilized: scaled by the root of the rank, as rsLoRA is (Kalajdzievski, 2023).
	RankStabilized bool `json:"rank_stabilized,omitempty"`
}

// Scale is alpha / rank, or alpha / sqrt(rank) where it is rank-stabilized.
func (a LoRALayout) Scale() float64 {
	if a.RankStabilized {
		return a.Alpha / math.Sqrt(float64(a.Rank))
	}
	return a.Alpha / float64(a.Rank)
}

// Plain is the layout of a whole model of depth layers with IDs 0, 1, ...,
// everything trainable, in f32.
func Plain(c Config, depth int) Layout {
	l := Layout{Config: c, TrainEmbedding: true, TrainHead: true, TrainNorms: true, Storage: FullStorage}
	for i := range depth {
		l.Blocks = append(l.Blocks, BlockLayout{ID: i, NoRope: c.noRope(i)})
	}
	return l
}

// RopePattern is the layers that turn queries and keys by their positions, as Config.RopeLayers has them.
func (l Layout) RopePattern() string {
	pattern := []byte(strings.Repeat("1", len(l.Blocks)))
	for i, b := range l.Blocks {
		if b.NoRope {
			pattern[i] = '0'
		}
	}
	if !bytes.ContainsRune(pattern, '0') {
		return ""
	}
	return string(pattern)
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
		return l.LoRA.Validate(l.Config)
	}
	return nil
}

// wraps reports whether a linear of a block carries LoRA.
func (l Layout) wraps(b BlockLayout, linear string) bool {
	return b.Wrapped && slices.Contains(l.LoRA.Targets, linear)
}

// wrapped reports whether any block carries LoRA.
func (l Layout) wrapped() bool {
	return slices.ContainsFunc(l.Blocks, func(b BlockLayout) bool { return b.Wrapped })
}

// hasInt8 reports whether any block is kept in 8 bits.
func (l Layout) hasInt8() bool {
	return slices.ContainsFunc(l.Blocks, func(b BlockLayout) bool { return b.Int8 })
}

// largestLinear is the words, in a type, of the linear that takes the most memory.
func (l Layout) largestLinear(dtype gpu.DType) (words int) {
	for _, s := range l.LinearShapes() {
		words = max(words, gpu.Spec{DType: dtype, Shape: []int{s.Out, s.In}}.Words())
	}
	return words
}

// largestOfBlock is largestLinear over all of a block's tensors.
func (l Layout) largestOfBlock(dtype gpu.DType) (words int) {
	for _, t := range l.blockTensors() {
		words = max(words, gpu.Spec{DType: dtype, Shape: t.shape(l.Config)}.Words())
	}
	return words
}

// splitWords is the scratch that LoRA's gradients need over so many rows.
func (l Layout) splitWords(rows int) (words int) {
	if !l.wrapped() {
		return 0
	}
	for _, s := range l.LinearShapes() {
		if slices.Contains(l.LoRA.Targets, s.Name) {
			for _, x := range []gpu.Spec{matmul.SplitSpec(s.Out, l.LoRA.Rank, rows),
				matmul.SplitSpec(l.LoRA.Rank, s.In, rows)} {
				if x.Name != "" {
					words = max(words, x.Words())
				}
			}
		}
	}
	return words
}

// Validate refuses what does not fit the model.
func (a LoRALayout) Validate(c Config) error {
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
			return fmt.Errorf("LoRA rank %d is above what %s (%d x %d) can hold: choose at most %d", a.Rank, s.Name,
				s.Out, s.In, min(s.Out, s.In))
		}
	}
	return nil
}

// ParamSpec is a parameter that need not exist yet; parts without a name are not
// there.
type ParamSpec struct {
	Role   Role
	Block  int // its block's ID; outside the blocks NoBlock
	Weight gpu.Spec
	Scales gpu.Spec // of an int8 weight's groups
	Grad   gpu.Spec // without one, frozen (or paused)
	Master gpu.Spec // what completes the weight to its f32 master
}

// NoBlock is the block ID of what stands outside the blocks.
const NoBlock = -1

// Trains reports whether the parameter has a gradient.
func (p ParamSpec) Trains() bool { return p.Grad.Name != "" }

func (l Layout) param(name string, role Role, block int, trains bool, shape ...int) ParamSpec {
	class := gpu.Weights
	if role.LoRA() {
		class = gpu.LoRA
	}
	p := ParamSpec{Role: role, Block: block}
	p.Weight = gpu.Spec{Name: name, Class: class, DType: dtypeOf(l.Storage.Precision), Shape: shape}
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
	p.Scales = gpu.Spec{Name: p.Weight.Name + ".scales", Class: p.Weight.Class,
		Shape: []int{p.Weight.Rows(), gpu.Groups(p.Weight.Cols(), wgsl.QuantizeGroup)}}
	return p
}

// Params lists every parameter: the embedding, the blocks from the embedding's
// side on, the last norm, the head unless tied.
func (l Layout) Params() []ParamSpec {
	list := []ParamSpec{l.outside(embedTensor)}
	for _, b := range l.Blocks {
		list = append(list, l.blockParams(b)...)
	}
	list = append(list, l.outside(normTensor))
	if !l.Tied {
		list = append(list, l.outside(headTensor))
	}
	return list
}

// outside is a tensor outside the blocks.
func (l Layout) outside(t tensorRow) ParamSpec {
	return l.param(t.name, t.role, NoBlock, roles[t.role].trains(l, true), t.shape(l.Config)...)
}

func (l Layout) blockParams(b BlockLayout) []ParamSpec {
	var list []ParamSpec
	for _, t := range l.blockTensors() {
		name, shape := b.Name(t.name), t.shape(l.Config)
		p := l.param(name, t.role, b.ID, roles[t.role].trains(l, b.Frozen), shape...)
		if b.Int8 && t.role == RoleLinear {
			p = p.int8()
		}
		list = append(list, p)
		if l.wraps(b, t.name) {
			list = append(list,
				l.param(name+loraA, RoleLoRAA, b.ID, true, l.LoRA.Rank, shape[1]),
				l.param(name+loraB, RoleLoRAB, b.ID, true, shape[0], l.LoRA.Rank))
		}
	}
	return list
}

// What follows a linear's name in those of its LoRA.
const (
	loraA = ".lora_a"
	loraB = ".lora_b"
)

// ownGradient reports whether a parameter's gradient has memory of its own under
// gradient release: that of a tied embedding, which head and embedding both add
// to, one at each end of the backward pass.
func (l Layout) ownGradient(name string) bool {
	return !l.Storage.Release || l.Tied && name == embedTensor.name
}

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
	if i := slices.IndexFunc(l.Blocks, func(b BlockLayout) bool {
		return slices.ContainsFunc(l.blockParams(b), ParamSpec.Trains)
	}); i >= 0 {
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
