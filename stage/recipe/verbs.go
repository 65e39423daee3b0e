package recipe

import (
	"fmt"

	"steplm/model"
	"steplm/model/optim"
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
	// Of merge: how weights that are bf16 alone, without a master, are rounded.
	Round string `json:"round,omitempty"` // "": to nearest; or Stochastic
	// Of reset.
	Params string  `json:"params,omitempty"` // AllParams or LoRAParams
	Keep   float64 `json:"keep,omitempty"`   // share of each parameter's elements whose moments stay
	By     string  `json:"by,omitempty"`     // which: "": those of the largest first moments; see optim.KeptBy
	// Of rewarm.
	Steps int `json:"steps,omitempty"`
}

// Stochastic rounds up or down at random, so that on average nothing is lost.
const Stochastic = "stochastic"

// The parameters that a reset selects.
const (
	AllParams  = "all"
	LoRAParams = "lora"
)

// Selects reports whether a reset is of a parameter.
func (v Verb) Selects(p model.ParamSpec) bool {
	return v.Params == AllParams || p.Role.LoRA()
}

// Kept is what a reset keeps of the moments; seed is of the random choice.
func (v Verb) Kept(seed uint64) optim.Kept { return optim.Kept{Share: v.Keep, By: v.By, Seed: seed} }

// Transition is what happens between two stages. A resume from a checkpoint before it does
// it again, so that it may do without one of its own.
type Transition struct {
	Verbs    []Verb `json:"verbs"`
	Save     bool   `json:"save"`     // before it
	Evaluate bool   `json:"evaluate"` // before and after it
}

// IsZero reports whether there is none, for JSON.
func (t Transition) IsZero() bool { return len(t.Verbs) == 0 && !t.Save && !t.Evaluate }

// wraps reports whether it gives LoRA to what is frozen.
func (t Transition) wraps() bool { return t.find(Wrap) != nil }

// find is its first verb of a kind, or nil.
func (t Transition) find(do string) *Verb {
	for i := range t.Verbs {
		if t.Verbs[i].Do == do {
			return &t.Verbs[i]
		}
	}
	return nil
}

// Warmup is the steps of its rewarm, 0 without one.
func (t Transition) Warmup() int {
	if v := t.find(Rewarm); v != nil {
		return v.Steps
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

// validate refuses operands that mean nothing. A run can only begin with a warm-up, with LoRA on what is
// frozen, and where there is a model to begin with, with growth.
func (t Transition) validate(first, init bool) error {
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
		case Merge:
			rest.Round = ""
			if v.Round != "" && v.Round != Stochastic {
				return fmt.Errorf(
					"%s that rounds %q: choose %s, or nothing for the nearest",
					Merge,
					v.Round,
					Stochastic,
				)
			}
		case Reset:
			rest.Params, rest.Keep, rest.By = "", 0, ""
			if err := v.Kept(0).Validate(); err != nil {
				return fmt.Errorf("%s: %w", Reset, err)
			}
			if v.Params != AllParams && v.Params != LoRAParams {
				return fmt.Errorf("%s of the parameters %q: choose %s or %s", Reset, v.Params, AllParams, LoRAParams)
			}
		case Rewarm:
			rest.Steps = 0
			if v.Steps < 1 {
				return fmt.Errorf("learning-rate warm-up of %d steps: it needs at least 1", v.Steps)
			}
		case Freeze, Wrap:
		default:
			return fmt.Errorf("unknown verb %q", v.Do)
		}
		if rest != (Verb{}) {
			return fmt.Errorf("verb %s has operands of another one: %+v", v.Do, rest)
		}
		if first && v.Do != Rewarm && v.Do != Freeze && v.Do != Wrap && !(init && v.Do == Grow) {
			return fmt.Errorf("a run cannot begin with %s: nothing is there yet", v.Do)
		}
	}
	if first && (t.Save || t.Evaluate) {
		return fmt.Errorf("a run cannot save or evaluate before it begins")
	}
	return nil
}
