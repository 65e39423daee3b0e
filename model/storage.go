package model

import (
	"fmt"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/wgsl"
)

// The precisions of weights and activations.
const (
	F32  = "f32"
	BF16 = "bf16"
	Int8 = "int8" // of frozen linears only
)

// The states: what training keeps of a parameter besides its working weight
// and its gradient. FullStates go with f32 weights, the others with bf16 ones.
const (
	FullStates   = "f32"    // moments; the weight is its own master
	PaperStates  = "paper"  // f32 master and moments
	SplitStates  = "split"  // the master's lower half (its upper one is the weight) and f32 moments
	Flash8States = "flash8" // the master's third byte, and moments of 8 bits
)

// Storage is how a training run keeps its numbers. Computation is in f32
// whatever it says.
type Storage struct {
	Precision string `json:"precision"` // of weights and activations: f32 or bf16
	States    string `json:"states"`
	Gradients string `json:"gradients"` // f32 or bf16
	// Release: a parameter is updated as soon as its gradient is complete, and all
	// gradients borrow one slab of memory.
	Release bool   `json:"release"`
	Frozen  string `json:"frozen"` // of frozen blocks' linears: the precision, or int8
}

// FullStorage is f32 throughout.
var FullStorage = Storage{Precision: F32, States: FullStates, Gradients: F32, Frozen: F32}

// plane is one of the arrays that training keeps of a parameter.
type plane struct {
	name string
	bits float64 // per parameter
	spec func(w gpu.Spec) (dtype gpu.DType, shape []int)
}

func floats(name string) plane {
	return plane{name, 32, func(w gpu.Spec) (gpu.DType, []int) { return gpu.F32, w.Shape }}
}

// half has the words of the bf16 weight that it belongs to.
func half(name string) plane {
	return plane{name, 16, func(w gpu.Spec) (gpu.DType, []int) { return gpu.U32, []int{w.Words()} }}
}

// codes are bytes in whole groups of 32, see wgsl.AdamWFlash8.
func codes(name string) plane {
	return plane{name, 8, func(w gpu.Spec) (gpu.DType, []int) {
		n, _ := wgsl.Flash8Words(w.Rows() * w.Stride())
		return gpu.U32, []int{n}
	}}
}

// groupScales are two 16-bit scales for each group of 32.
func groupScales(name string) plane {
	return plane{name, 1, func(w gpu.Spec) (gpu.DType, []int) {
		_, n := wgsl.Flash8Words(w.Rows() * w.Stride())
		return gpu.U32, []int{n}
	}}
}

// stateSet is the planes of one kind of states: what completes the master,
// which lives as long as the parameter trains, and the optimizer's moments, which
// a reset clears.
type stateSet struct {
	precision string
	master    []plane // none or one
	moments   []plane
}

// stateSets is the one place that says how many bytes training takes per
// parameter: plans, allocations and the solver of splits all read it.
var stateSets = map[string]stateSet{
	FullStates:   {F32, nil, []plane{floats("m"), floats("v")}},
	PaperStates:  {BF16, []plane{floats("master")}, []plane{floats("m"), floats("v")}},
	SplitStates:  {BF16, []plane{half("low")}, []plane{floats("m"), floats("v")}},
	Flash8States: {BF16, []plane{codes("low")}, []plane{codes("m"), codes("v"), groupScales("scales")}},
}

// StateNames lists the states, smallest last.
func StateNames() []string { return []string{FullStates, PaperStates, SplitStates, Flash8States} }

// SmallerStates lists the states that take fewer bytes and go with the same
// precision.
func SmallerStates(states string) []string {
	list := statesOf(stateSets[states].precision)
	return list[slices.Index(list, states)+1:]
}

// Validate refuses what does not go together.
func (s Storage) Validate() error {
	if s.Precision != F32 && s.Precision != BF16 {
		return fmt.Errorf("precision %q: choose %s or %s", s.Precision, BF16, F32)
	}
	set, ok := stateSets[s.States]
	switch {
	case !ok:
		return fmt.Errorf("states %q: choose one of %s", s.States, strings.Join(StateNames(), ", "))
	case set.precision != s.Precision:
		return fmt.Errorf("states %q go with precision %s, not %s: choose %s", s.States, set.precision, s.Precision, strings.Join(statesOf(s.Precision), ", "))
	case s.Gradients != F32 && s.Gradients != BF16:
		return fmt.Errorf("gradients of %q: choose %s or %s", s.Gradients, BF16, F32)
	case s.Precision == F32 && s.Gradients != F32:
		return fmt.Errorf("gradients of %s with precision %s: they can be %s only", s.Gradients, s.Precision, F32)
	case s.Frozen != s.Precision && s.Frozen != Int8:
		return fmt.Errorf("frozen weights of %q with precision %s: choose %s or %s", s.Frozen, s.Precision, s.Precision, Int8)
	}
	return nil
}

// statesOf lists the states that go with a precision.
func statesOf(precision string) []string {
	return slices.DeleteFunc(StateNames(), func(name string) bool { return stateSets[name].precision != precision })
}

func dtypeOf(precision string) gpu.DType {
	if precision == BF16 {
		return gpu.BF16
	}
	return gpu.F32
}

func bitsOf(precision string) float64 {
	switch precision {
	case BF16:
		return 16
	case Int8:
		return 8 + 32.0/wgsl.QuantizeGroup
	}
	return 32
}

// TrainableBytes is the bytes that a trainable parameter takes, but for the
// padding of rows: weight, gradient (of a slab that all share, none), master and
// moments.
func (s Storage) TrainableBytes() float64 {
	bits := bitsOf(s.Precision)
	if !s.Release {
		bits += bitsOf(s.Gradients)
	}
	set := stateSets[s.States]
	for _, p := range append(slices.Clone(set.master), set.moments...) {
		bits += p.bits
	}
	return bits / 8
}

// FrozenBytes is the bytes that a parameter of a frozen linear takes.
func (s Storage) FrozenBytes() float64 { return bitsOf(s.Frozen) / 8 }

// masterSpec is what completes a weight to its master; no name: nothing.
func (s Storage) masterSpec(w gpu.Spec) gpu.Spec {
	for _, p := range stateSets[s.States].master {
		return p.of(w)
	}
	return gpu.Spec{}
}

// masterBits is the bits per parameter of what completes a weight to its master.
func (s Storage) masterBits() (n int) {
	for _, p := range stateSets[s.States].master {
		n += int(p.bits)
	}
	return n
}

// MomentSpecs lists the optimizer's moments of a trainable weight, in the order in
// which the kernels of its states take them.
func (s Storage) MomentSpecs(w gpu.Spec) []gpu.Spec {
	var list []gpu.Spec
	for _, p := range stateSets[s.States].moments {
		list = append(list, p.of(w))
	}
	return list
}

func (p plane) of(w gpu.Spec) gpu.Spec {
	dtype, shape := p.spec(w)
	return gpu.Spec{Name: w.Name + "." + p.name, Class: gpu.Optimizer, DType: dtype, Shape: shape}
}
