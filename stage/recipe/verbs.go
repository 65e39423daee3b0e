package recipe

import (
	"fmt"

	"steplm/model"
)

// The verbs of transitions, which are read in order. None is needed. What a transition does not
// say stays: weights, moments, the course of the learning rate.
const (
	Grow   = "grow"   // insert blocks between the old ones
	Merge  = "merge"  // add adapters to their weights, drop them
	Freeze = "freeze" // the blocks there were before: linears no longer train
	Wrap   = "wrap"   // give frozen blocks without adapters new ones
	Reset  = "reset"  // begin the optimizer's state of some parameters anew
	Rewarm = "rewarm" // let the learning rate rise from near 0 again
)

// Verb is one part of a transition: what to do, and its operands.
type Verb struct {
	Do string `json:"do"`
	// Of grow.
	Layers   int    `json:"layers,omitempty"` // blocks afterwards
	Operator string `json:"operator,omitempty"`
	Position string `json:"position,omitempty"`
	Seed     uint64 `json:"seed,omitempty"` // of the random position
	// Of reset.
	Params string  `json:"params,omitempty"` // AllParams or LoRAParams
	Keep   float64 `json:"keep,omitempty"`   // share of each parameter's elements whose moments stay
	// Of rewarm.
	Steps int `json:"steps,omitempty"`
}

// The parameters that a reset selects.
const (
	AllParams  = "all"
	LoRAParams = "lora"
)

// Selects reports whether a reset is of a parameter.
func (v Verb) Selects(p model.ParamSpec) bool {
	return v.Params == AllParams || p.Role.LoRA()
}

// Transition is what happens between two stages. A resume from a checkpoint before it does
// it again, so that it may do without one of its own.
type Transition struct {
	Verbs    []Verb `json:"verbs"`
	Save     bool   `json:"save"`     // before it
	Evaluate bool   `json:"evaluate"` // before and after it
}

// IsZero reports whether there is none, for JSON.
func (t Transition) IsZero() bool { return len(t.Verbs) == 0 && !t.Save && !t.Evaluate }

// Warmup is the steps of its rewarm, 0 without one.
func (t Transition) Warmup() int {
	for _, v := range t.Verbs {
		if v.Do == Rewarm {
			return v.Steps
		}
	}
	return 0
}

// RewarmOver is the verb that warms up for so many steps, if any.
func RewarmOver(steps int) []Verb {
	if steps == 0 {
		return nil
	}
	return []Verb{{Do: Rewarm, Steps: steps}}
}

// validate refuses operands that mean nothing. A run can only begin with a warm-up.
func (t Transition) validate(first bool) error {
	seen := map[string]bool{}
	for _, v := range t.Verbs {
		if seen[v.Do] && v.Do != Reset {
			return fmt.Errorf("%s twice in one transition: leave one out", v.Do)
		}
		seen[v.Do] = true
		rest := v
		rest.Do = ""
		switch v.Do {
		case Grow:
			rest.Layers, rest.Operator, rest.Position, rest.Seed = 0, "", "", 0
		case Reset:
			rest.Params, rest.Keep = "", 0
			if v.Params != AllParams && v.Params != LoRAParams {
				return fmt.Errorf("%s of the parameters %q: choose %s or %s", Reset, v.Params, AllParams, LoRAParams)
			}
			if !(v.Keep >= 0 && v.Keep < 1) {
				return fmt.Errorf("%s that keeps the share %g: it must be at least 0 and below 1", Reset, v.Keep)
			}
		case Rewarm:
			rest.Steps = 0
			if v.Steps < 1 {
				return fmt.Errorf("learning-rate warm-up of %d steps: it needs at least 1", v.Steps)
			}
		case Merge, Freeze, Wrap:
		default:
			return fmt.Errorf("unknown verb %q", v.Do)
		}
		if rest != (Verb{}) {
			return fmt.Errorf("verb %s has operands of another one: %+v", v.Do, rest)
		}
		if first && v.Do != Rewarm {
			return fmt.Errorf("a run cannot begin with %s: nothing is there yet", v.Do)
		}
	}
	if first && (t.Save || t.Evaluate) {
		return fmt.Errorf("a run cannot save or evaluate before it begins")
	}
	return nil
}
