package optim

import (
	"encoding/json"

	"steplm/gpu"
	"steplm/model"
)

// Rates are a parameter's learning rate and weight decay in one step.
type Rates struct{ LR, Decay float64 }

// RatesOf says which they are.
type RatesOf func(*model.Param) Rates

// Optimizer turns the gradients of what trains into updates. It is there before it has
// memory, so that plan and allocation are one code.
//
// What it keeps are planes on the device, each of one parameter, and numbers on the host.
// Both are in every checkpoint, and a step that was not finite leaves both as they were.
// A parameter without a gradient has neither.
type Optimizer interface {
	// Specs lists the planes of a parameter that trains, named after its weight. They may
	// have any type and shape.
	Specs(s model.Storage, p model.ParamSpec) []gpu.Spec
	// Scratch lists what it allocates for all parameters of a layout together.
	Scratch(l model.Layout) []gpu.Spec

	// Allocate makes scratch and what planes the model's trainable parameters lack, all
	// zero; planes that are there stay. It fails where nothing trains.
	Allocate(m *model.Model) error
	// Reset begins the planes of the parameters that which selects by name anew, but for what
	// keep says of their elements: with nothing kept the planes are freed. What cannot be kept
	// in part is an error. Scratch is freed, and Allocate must follow: so a transition frees
	// before it takes.
	Reset(which func(name string) bool, keep Kept) error
	// Free releases everything.
	Free()

	// Step records the clip scale and every parameter's update, after all gradients are
	// complete. Nothing is written when the gradients' norm is not finite.
	Step(p *gpu.Pass, stats gpu.Tensor, rates RatesOf)
	// Release begins a step that updates each parameter as soon as its gradient is
	// complete: the function that it returns does, and FinishRelease ends the step,
	// leaving the norm of the whole gradient in the stats.
	//
	// That norm is not known before. Each parameter's gradient is clipped by itself, to the
	// maximum times the root of the parameter's share of all that train: so the whole never
	// exceeds it either. A parameter whose gradient, or the loss, is not finite is not
	// updated; those before it have been.
	Release(stats gpu.Tensor, rates RatesOf) func(*gpu.Pass, *model.Param)
	FinishRelease(p *gpu.Pass, stats gpu.Tensor)
	// Undo takes the numbers of the last step back, once, when it was not finite.
	Undo()

	// State is everything that a checkpoint holds: the planes, and the numbers as JSON.
	State() (planes []gpu.Tensor, numbers json.RawMessage)
	// Restore sets the numbers to what State gave; the planes are written by the caller.
	Restore(numbers json.RawMessage) error
}
