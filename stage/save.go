package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"steplm/data"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/reduce"
)

// state is what a checkpoint holds besides tensors.
type state struct {
	Recipe  string      `json:"recipe"` // its hash
	Step    int         `json:"step"`
	Stage   int         `json:"stage"`   // 0-based
	Order   []int       `json:"order"`   // block IDs from the embedding's side on
	Cursor  data.Cursor `json:"cursor"`  // of the next batch
	Metrics int64       `json:"metrics"` // bytes of metrics.jsonl up to the step's line
	Device  string      `json:"device"`  // losses repeat bit for bit on the same one
	// Variants of kernels that ran, by class.
	Variants map[string]string `json:"variants,omitempty"`
	// Optimizer is its numbers; up to format 2 they were its updates alone.
	Optimizer json.RawMessage `json:"optimizer,omitempty"`
	Updates   json.Number     `json:"updates,omitempty"`
	// Padding is how many of the tokens that so many steps would have were padding.
	Padding int64 `json:"padding,omitempty"`
	Best    best  `json:"best,omitzero"` // of a run with patience
	// Rounds is the step up to which the outer optimizer's are done, if there is one.
	Rounds int `json:"rounds,omitempty"`
	// Guard is what the run's guard remembers, if it has one.
	Guard watched `json:"guard,omitzero"`
}

// optimizerFile has the tensors of a checkpoint besides the model's.
const optimizerFile = "optimizer.safetensors"

// outerFile has what the outer optimizer keeps, if there is one.
const outerFile = "outer.safetensors"

// Save writes a checkpoint under parent/name, whole or not at all. metrics is
// the length of metrics.jsonl up to the last step's line.
func (t *Trainer) Save(parent, name string, metrics int64) error {
	d, err := checkpoint.Begin(parent, name)
	if err != nil {
		return err
	}
	if t.outer != nil {
		if err := t.outer.Anchor(); err != nil { // A resume would take other weights for it.
			d.Abort()
			return err
		}
	}
	planes, numbers := t.opt.State()
	s := state{
		Recipe: t.hash, Step: t.step, Stage: t.stage, Optimizer: numbers,
		Cursor: t.batches.Cursor(), Metrics: metrics, Device: t.dev.Name(), Guard: t.watched,
		Padding: t.padding, Best: t.best,
	}
	if t.outer != nil {
		s.Rounds = t.outer.Done()
	}
	for _, b := range t.layout().Blocks {
		s.Order = append(s.Order, b.ID)
	}
	s.Variants = map[string]string{}
	for class, use := range t.dev.Choices().Used() {
		s.Variants[class] = use.Variant
	}
	err = d.WriteJSON(record.StateFile, s)
	if err == nil {
		err = t.Model.Save(d)
	}
	if err == nil {
		err = model.SaveTensors(t.dev, d, optimizerFile, planes)
	}
	if err == nil && t.outer != nil {
		err = model.SaveTensors(t.outer.Home(), d, outerFile, t.outer.Tensors())
	}
	if err != nil {
		d.Abort()
		return err
	}
	if err := d.Commit(); err != nil {
		return err
	}
	return checkpoint.SetLatest(parent, name)
}

// LoadTrainer continues from a checkpoint directory. The recipe must be the
// one that the checkpoint was saved under.
func LoadTrainer(dev gpu.Device, r recipe.Recipe, b Batches, dir string) (t *Trainer, metrics int64, err error) {
	return loadTrainer(dev, r, r.Hash(), b, dir)
}

// loadTrainer is LoadTrainer of a recipe that its checkpoints know by another hash, as that of an
// older format is.
func loadTrainer(dev gpu.Device, r recipe.Recipe, hash string, b Batches, dir string) (t *Trainer, metrics int64,
	err error) {
	s, err := readState(dir, r, hash)
	if err != nil {
		return nil, 0, err
	}
	s.choose(dev)
	if t, err = allocate(dev, r, b, s.Stage); err != nil {
		return nil, 0, err
	}
	if err := t.load(dir, s); err != nil {
		t.Free()
		return nil, 0, err
	}
	t.hash = hash
	return t, s.Metrics, nil
}

// choose has the device run the variants that ran before the save, if it is the same.
func (s state) choose(dev gpu.Device) {
	if s.Device != dev.Name() {
		return
	}
	for class, variant := range s.Variants {
		dev.Choices().Set(class, variant)
	}
}

// RestoreChoices makes a device's choices those of a run's last checkpoint. A run
// without one, or of another device, says nothing; one that cannot be read is for
// Resume to complain of.
func RestoreChoices(dev gpu.Device, runDir string) {
	name, _, err := record.LastCheckpoint(runDir)
	if err != nil {
		return
	}
	raw, err := os.ReadFile(filepath.Join(record.CheckpointAt(runDir, name), record.StateFile))
	var s state
	if err == nil && json.Unmarshal(raw, &s) == nil {
		s.choose(dev)
	}
}

// readState verifies a checkpoint and reads what it holds besides tensors.
func readState(dir string, r recipe.Recipe, hash string) (s state, err error) {
	if err := checkpoint.Verify(dir); err != nil {
		return s, err
	}
	return parseState(dir, r, hash)
}

// parseState reads a checkpoint's state of a run.
func parseState(dir string, r recipe.Recipe, hash string) (s state, err error) {
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

// load fills a stage that was allocated for a checkpoint.
func (t *Trainer) load(dir string, s state) error {
	var order []int
	for _, b := range t.layout().Blocks {
		order = append(order, b.ID)
	}
	if !slices.Equal(order, s.Order) {
		return fmt.Errorf("checkpoint %s has blocks %v, the recipe's stage %d has %v", dir, s.Order, s.Stage+1, order)
	}
	if err := t.Model.Restore(dir); err != nil {
		return err
	}
	planes, _ := t.opt.State()
	if err := model.LoadTensors(t.dev, filepath.Join(dir, optimizerFile), planes, 0); err != nil {
		return err
	}
	if err := t.opt.Restore(s.Optimizer); err != nil {
		return fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	if t.outer != nil {
		err := model.LoadTensors(t.outer.Home(), filepath.Join(dir, outerFile), t.outer.Tensors(), 0)
		if err != nil {
			return err
		}
		t.outer.Restored(s.Rounds)
	}
	t.step, t.watched, t.padding, t.best = s.Step, s.Guard, s.Padding, s.Best
	return t.batches.Seek(s.Cursor)
}

// SavedLayout is what the model in a checkpoint folder consists of. An early checkpoint, which does
// not say so itself, must lie in its run's folder.
func SavedLayout(dir string) (model.Layout, error) {
	l, err := model.ReadLayout(dir)
	if !errors.Is(err, fs.ErrNotExist) || checkpoint.Lists(dir, model.LayoutFile) {
		return l, err
	}
	run, err := record.RunOf(dir)
	if err != nil {
		return l, err
	}
	r, hash, err := readRecipe(run)
	if err != nil {
		return l, fmt.Errorf("%s has no %s, as early ones do not: %w", dir, model.LayoutFile, err)
	}
	if err := checkpoint.Verify(dir, record.StateFile); err != nil {
		return l, err
	}
	s, err := parseState(dir, r, hash)
	if err != nil {
		return l, err
	}
	layouts, err := r.Layouts()
	if err != nil {
		return l, err
	}
	return layouts[s.Stage], nil
}

// agree compares what the processes of a run must have in common: where they stand, and all weights, the frozen ones,
// which no sum of gradients would put right, and those that train, which drift apart on devices that compute
// differently.
func (r *Run) agree(t *Trainer) error {
	if r.Reducer.Size() == 1 {
		return nil
	}
	cursor, err := json.Marshal(t.batches.Cursor())
	if err != nil {
		return err
	}
	at, err := json.Marshal(t.at().Step)
	if err != nil {
		return err
	}
	_, numbers := t.opt.State()
	facts := []reduce.Fact{{Name: "recipe", Value: t.hash}, {Name: "number of steps", Value: string(at)},
		{Name: "place in the data", Value: digest(cursor)}, {Name: "count of updates", Value: string(numbers)}}
	for _, p := range t.Model.Params() {
		sum, err := p.Hash(t.dev)
		if err != nil {
			return err
		}
		kind := "weight"
		if !p.Trainable() {
			kind = "frozen weight"
		}
		facts = append(facts, reduce.Fact{Name: kind + " " + p.Weight.Name, Value: sum})
	}
	return r.Reducer.Agree(facts)
}

// digest is a short hash.
func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Point is a checkpoint of a run that has rounds.
type Point struct {
	Name   string `json:"name"`
	Rounds int    `json:"rounds"` // the step up to which they are done
}

// Points lists those of the run in a folder, up to the one that it goes on from, oldest first.
func Points(dir string) (list []Point, err error) {
	r, hash, err := readRecipe(dir)
	if err != nil {
		return nil, err
	}
	last, _, err := record.LastCheckpoint(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, name := range record.CheckpointNames(dir) {
		at := record.CheckpointAt(dir, name)
		if checkpoint.Verify(at, record.StateFile) == nil {
			if s, err := parseState(at, r, hash); err == nil {
				list = append(list, Point{name, s.Rounds})
			}
		}
		if name == last {
			break
		}
	}
	return list, nil
}
