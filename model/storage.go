package model

import (
	"fmt"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/wgsl/update"
)

// The precisions of weights and activations.
const (
	F32  = "f32"
	BF16 = "bf16"
	Int8 = "int8" // of frozen linears only
)

// The states: what training keeps of a parameter besides its working weight
// and its gradient. What completes the weight to its master is kept here, the rest by
// the optimizer, as precisely as the states say. FullStates go with f32 weights, the
// others with bf16 ones.
const (
	FullStates   = "f32"    // f32; the weight is its own master
	PaperStates  = "paper"  // f32, and an f32 master
	SplitStates  = "split"  // f32, and the master's lower half (its upper one is the weight)
	Flash8States = "flash8" // 8 bits, and the master's third byte
	// StochasticStates are f32 and no master: the bf16 weight is all there is, and every
	// update rounds it up or down at random, so that on average nothing is lost.
	StochasticStates = "stochastic"
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

// master is what completes a weight to its f32 master. It lives as long as the
// parameter trains.
type master struct {
	precision string // of the weights that it goes with
	plane     string // its name; none: the weight is its own master
	bits      int    // per element of the weight's storage
}

// masters lists them by states. The optimizer's planes are its own, see package optim.
var masters = map[string]master{
	FullStates:       {F32, "", 0},
	PaperStates:      {BF16, "master", 32},
	SplitStates:      {BF16, "low", 16},
	StochasticStates: {BF16, "", 0},
	Flash8States:     {BF16, "low", 8},
}

// spec is the master's plane of a weight; no name: nothing.
func (m master) spec(w gpu.Spec) gpu.Spec {
	if m.plane == "" {
		return gpu.Spec{}
	}
	s := gpu.Spec{Name: w.Name + "." + m.plane, Class: gpu.Optimizer, DType: gpu.U32}
	switch m.bits {
	case 32:
		s.DType, s.Shape = gpu.F32, w.Shape
	case 16: // the words of the weight that it belongs to
		s.Shape = []int{w.Words()}
	case 8: // bytes in whole groups of 32, see wgsl.AdamWFlash8
		n, _ := update.Flash8Words(w.Rows() * w.Stride())
		s.Shape = []int{n}
	}
	return s
}

// StateNames lists the states, those first that take the most bytes with AdamW.
func StateNames() []string {
	return []string{FullStates, PaperStates, SplitStates, StochasticStates, Flash8States}
}

// SmallerStates lists the states that take fewer bytes and go with the same
// precision.
func SmallerStates(states string) []string {
	list := statesOf(masters[states].precision)
	return list[slices.Index(list, states)+1:]
}

// Validate refuses what does not go together.
func (s Storage) Validate() error {
	if s.Precision != F32 && s.Precision != BF16 {
		return fmt.Errorf("precision %q: choose %s or %s", s.Precision, BF16, F32)
	}
	set, ok := masters[s.States]
	switch {
	case !ok:
		return fmt.Errorf("states %q: choose one of %s", s.States, strings.Join(StateNames(), ", "))
	case set.precision != s.Precision:
		return fmt.Errorf("states %q go with precision %s, not %s: choose %s", s.States, set.precision, s.Precision,
			strings.Join(statesOf(s.Precision), ", "))
	case s.Gradients != F32 && s.Gradients != BF16:
		return fmt.Errorf("gradients of %q: choose %s or %s", s.Gradients, BF16, F32)
	case s.Precision == F32 && s.Gradients != F32:
		return fmt.Errorf("gradients of %s with precision %s: they can be %s only", s.Gradients, s.Precision, F32)
	case s.Frozen != s.Precision && s.Frozen != Int8:
		return fmt.Errorf("frozen weights of %q with precision %s: choose %s or %s", s.Frozen, s.Precision, s.Precision,
			Int8)
	}
	return nil
}

// statesOf lists the states that go with a precision.
func statesOf(precision string) []string {
	return slices.DeleteFunc(StateNames(), func(name string) bool { return masters[name].precision != precision })
}

func dtypeOf(precision string) gpu.DType {
	if precision == BF16 {
		return gpu.BF16
	}
	return gpu.F32
}

// Sample is a parameter of 1024 x 1024, of which nothing is padded, so that it shows what
// a storage takes for each element of one that trains, or of a frozen linear.
func (s Storage) Sample(trains bool) ParamSpec {
	p := Layout{Storage: s}.param("sample", RoleLinear, NoBlock, trains, 1024, 1024)
	if !trains && s.Frozen == Int8 {
		return p.int8()
	}
	return p
}

// FrozenBytes is the bytes that a parameter of a frozen linear takes.
func (s Storage) FrozenBytes() float64 {
	p := s.Sample(false)
	bytes := p.Weight.Bytes()
	if p.Scales.Name != "" {
		bytes += p.Scales.Bytes()
	}
	return float64(bytes) / float64(p.Weight.Elements())
}
