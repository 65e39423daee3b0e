package trainer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"steplm/data"
	"steplm/gpu"
	"steplm/stage/eval"
	"steplm/stage/guard"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// State is what a checkpoint holds besides tensors.
type State struct {
	Kept
	Step   int         `json:"step"`
	Stage  int         `json:"stage"`  // 0-based
	Order  []int       `json:"order"`  // block IDs from the embedding's side on
	Cursor data.Cursor `json:"cursor"` // of the next batch
	Device string      `json:"device"` // losses repeat bit for bit on the same one
	// Variants of kernels that ran, by class.
	Variants map[string]string `json:"variants,omitempty"`
	// Optimizer is its numbers; up to format 2 they were its updates alone.
	Optimizer json.RawMessage `json:"optimizer,omitempty"`
	Updates   json.Number     `json:"updates,omitempty"`
	// Padding is how many of the tokens that so many steps would have were padding.
	Padding int64 `json:"padding,omitempty"`
	// Rounds is the step up to which the outer optimizer's are done, if there is one.
	Rounds int `json:"rounds,omitempty"`
}

// Kept is what a run keeps in a checkpoint besides its trainer.
type Kept struct {
	Recipe  string       `json:"recipe"`         // its hash, as the run's folder has it
	Metrics int64        `json:"metrics"`        // bytes of metrics.jsonl up to the step's line
	Best    eval.Best    `json:"best,omitzero"`  // of a run with patience
	Guard   guard.Memory `json:"guard,omitzero"` // of a run that has one
}

// ReadState reads the state of a run's checkpoint in a folder, whose other files it does not look at. The run's
// checkpoints know its recipe by a hash.
func ReadState(dir string, r recipe.Recipe, hash string) (s State, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, record.StateFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(dir, record.StateFile), err)
	}
	if s.Recipe != hash && !slices.Contains(r.Earlier, s.Recipe) {
		return s, fmt.Errorf("checkpoint %s was saved under another recipe (hash %.12s, this run's is %.12s)",
			dir, s.Recipe, hash)
	}
	if s.Optimizer == nil {
		s.Optimizer = fmt.Appendf(nil, `{"updates": %s}`, s.Updates)
	}
	if s.Stage < 0 || s.Stage >= len(r.Stages) || s.Step < 0 || s.Step > r.Steps() {
		return s, fmt.Errorf("checkpoint %s: stage %d and step %d of a run with %d stages and %d steps", dir, s.Stage+1,
			s.Step, len(r.Stages), r.Steps())
	}
	return s, nil
}

// Choose has a device run the variants that ran before the save, if it is the same.
func (s State) Choose(dev gpu.Device) {
	if s.Device != dev.Name() {
		return
	}
	for class, variant := range s.Variants {
		dev.Choices().Set(class, variant)
	}
}

// state is the trainer's.
func (t *Trainer) state(k Kept) State {
	_, numbers := t.opt.State()
	s := State{
		Kept: k, Step: t.step, Stage: t.stage, Order: t.order(), Cursor: t.Cursor(), Device: t.dev.Name(),
		Variants: map[string]string{}, Optimizer: numbers, Padding: t.padding,
	}
	if t.outer != nil {
		s.Rounds = t.outer.Done()
	}
	for class, use := range t.dev.Choices().Used() {
		s.Variants[class] = use.Variant
	}
	return s
}

// order is the IDs of the stage's blocks, from the embedding's side on.
func (t *Trainer) order() (ids []int) {
	for _, b := range t.layout().Blocks {
		ids = append(ids, b.ID)
	}
	return ids
}
