package model

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Role is what a tensor is in the model. Whatever differs between tensors but their
// shapes follows from it, see roles. The zero Role is none.
type Role uint8

// The roles.
const (
	RoleEmbedding Role = iota + 1
	RoleHead
	RoleLinear // of a block: carries LoRA, may be int8
	RoleBias
	RoleNorm
	RoleLoRAA
	RoleLoRAB
)

// roles says all there is to say of each, and an unknown one has no entry: Role.known
// refuses it before anything is computed.
var roles = map[Role]struct {
	name  string
	dims  int  // of its shape
	block bool // may stand in the table of a block's tensors
	// decays: weight decay applies.
	decays bool
	// trains, of a layout, in a block that is frozen or not; outside the blocks it is.
	trains func(l Layout, frozen bool) bool
	// begin makes a fresh tensor's next value.
	begin func(shape []int, g *rand.Rand) func() float32
}{
	RoleEmbedding: {"embedding", 2, false, true, func(l Layout, _ bool) bool { return l.TrainEmbedding }, normal},
	RoleHead:      {"head", 2, false, true, func(l Layout, _ bool) bool { return l.TrainHead }, normal},
	RoleLinear:    {"linear", 2, true, true, unlessFrozen, normal},
	RoleBias:      {"bias", 1, true, false, unlessFrozen, constant(0)},
	RoleNorm: {"norm", 1, true, false, func(l Layout, frozen bool) bool { return !frozen || l.TrainNorms },
		constant(1)},
	RoleLoRAA: {"LoRA's A", 2, false, true, always, kaiming},
	RoleLoRAB: {"LoRA's B", 2, false, true, always, constant(0)},
}

func (r Role) String() string {
	if what, ok := roles[r]; ok {
		return what.name
	}
	return fmt.Sprintf("Role(%d)", r)
}

// Decays reports whether weight decay applies: to matrices, not to norms and biases.
func (r Role) Decays() bool { return roles[r].decays }

// LoRA reports whether the tensor belongs to a linear's LoRA.
func (r Role) LoRA() bool { return r == RoleLoRAA || r == RoleLoRAB }

func always(Layout, bool) bool { return true }

func unlessFrozen(_ Layout, frozen bool) bool { return !frozen }

// InitStd is the standard deviation of fresh weights (the ReLoRA and GaLore
// baselines' value).
const InitStd = 0.02

func normal(_ []int, g *rand.Rand) func() float32 {
	return func() float32 { return float32(g.NormFloat64() * InitStd) }
}

func constant(x float32) func([]int, *rand.Rand) func() float32 {
	return func([]int, *rand.Rand) func() float32 { return func() float32 { return x } }
}

// kaiming is uniform within 1/sqrt(in): kaiming-uniform with a = sqrt 5.
func kaiming(shape []int, g *rand.Rand) func() float32 {
	bound := 1 / math.Sqrt(float64(shape[1]))
	return func() float32 { return float32((2*g.Float64() - 1) * bound) }
}
