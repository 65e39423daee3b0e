package stage

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"steplm/data"
	"steplm/gpu"
	"steplm/model/checkpoint"
	"steplm/stage/recipe"
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
}

// saveChunk is about how many values are read and written at once: 4 MiB of f32.
const saveChunk = 1 << 20

// Files of a checkpoint.
const (
	stateFile     = "state.json"
	modelFile     = "model.safetensors"
	optimizerFile = "optimizer.safetensors"
)

// Save writes a checkpoint under parent/name, whole or not at all. metrics is
// the length of metrics.jsonl up to the last step's line.
func (t *Trainer) Save(parent, name string, metrics int64) error {
	d, err := checkpoint.Begin(parent, name)
	if err != nil {
		return err
	}
	planes, numbers := t.opt.State()
	s := state{
		Recipe: t.hash, Step: t.step, Stage: t.stage, Optimizer: numbers,
		Cursor: t.batches.Cursor(), Metrics: metrics, Device: t.dev.Name(),
	}
	for _, b := range t.layout().Blocks {
		s.Order = append(s.Order, b.ID)
	}
	s.Variants = map[string]string{}
	for class, use := range t.dev.Choices().Used() {
		s.Variants[class] = use.Variant
	}
	err = d.WriteJSON(stateFile, s)
	if err == nil {
		err = t.saveTensors(d, modelFile, t.weights())
	}
	if err == nil {
		err = t.saveTensors(d, optimizerFile, planes)
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

func (t *Trainer) weights() []gpu.Tensor {
	var list []gpu.Tensor
	for _, p := range t.Model.Params() {
		for _, x := range []gpu.Tensor{p.Weight, p.Scales, p.Master} {
			if !x.None() {
				list = append(list, x)
			}
		}
	}
	return list
}

// info is how a tensor is kept in a file: numbers as such, without padding, so
// that other programs can read them; all else as plain words.
func info(x gpu.Tensor) checkpoint.Info {
	switch x.DType {
	case gpu.F32:
		return checkpoint.Info{Name: x.Name, DType: checkpoint.F32, Shape: x.Shape}
	case gpu.BF16:
		return checkpoint.Info{Name: x.Name, DType: checkpoint.BF16, Shape: x.Shape}
	}
	return checkpoint.Info{Name: x.Name, DType: checkpoint.U32, Shape: []int{x.Words()}}
}

func (t *Trainer) saveTensors(d *checkpoint.Dir, file string, tensors []gpu.Tensor) error {
	f, err := d.Create(file)
	if err != nil {
		return err
	}
	var infos []checkpoint.Info
	for _, x := range tensors {
		infos = append(infos, info(x))
	}
	w, err := checkpoint.Create(f, infos)
	if err != nil {
		return err
	}
	for _, x := range tensors {
		err := pieces(x, func(row int, buf []float32) error {
			if info(x).DType.Float() {
				if err := gpu.ReadRows(t.dev, x, row, buf); err != nil {
					return err
				}
				return w.WriteF32(x.Name, buf)
			}
			if err := t.dev.Read(x, row, gpu.Words(buf)); err != nil {
				return err
			}
			return w.WriteRaw(x.Name, littleEndian(gpu.Words(buf)))
		})
		if err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}

// pieces calls do for pieces of a tensor in a shared buffer: whole rows of
// numbers from row on, or words.
func pieces(x gpu.Tensor, do func(row int, buf []float32) error) error {
	rows, cols := x.Words(), 1
	if info(x).DType.Float() {
		rows, cols = x.Rows(), x.Cols()
	}
	most := max(1, saveChunk/cols)
	buf := make([]float32, min(rows, most)*cols)
	for row := 0; row < rows; row += most {
		if err := do(row, buf[:min(most, rows-row)*cols]); err != nil {
			return err
		}
	}
	return nil
}

// littleEndian is words as files have them.
func littleEndian(words []uint32) []byte {
	b := make([]byte, 0, 4*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// LoadTrainer continues from a checkpoint directory. The recipe must be the
// one that the checkpoint was saved under.
func LoadTrainer(dev gpu.Device, r recipe.Recipe, b Batches, dir string) (t *Trainer, metrics int64, err error) {
	return loadTrainer(dev, r, r.Hash(), b, dir)
}

// loadTrainer is LoadTrainer of a recipe that its checkpoints know by another hash, as that of an
// older format is.
func loadTrainer(dev gpu.Device, r recipe.Recipe, hash string, b Batches, dir string) (t *Trainer, metrics int64, err error) {
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
	parent := filepath.Join(runDir, checkpointsDir)
	name, err := checkpoint.Latest(parent)
	if err != nil {
		return
	}
	raw, err := os.ReadFile(filepath.Join(parent, name, stateFile))
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
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(dir, stateFile), err)
	}
	if s.Recipe != hash && !slices.Contains(r.Earlier, s.Recipe) {
		return s, fmt.Errorf("checkpoint %s was saved under another recipe (hash %.12s, this run's is %.12s)",
			dir, s.Recipe, hash)
	}
	if s.Optimizer == nil {
		s.Optimizer = fmt.Appendf(nil, `{"updates": %s}`, s.Updates)
	}
	if s.Stage < 0 || s.Stage >= len(r.Stages) || s.Step < 0 || s.Step > r.Steps() {
		return s, fmt.Errorf("checkpoint %s: stage %d and step %d of a run with %d stages and %d steps", dir, s.Stage+1, s.Step, len(r.Stages), r.Steps())
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
	if err := loadTensors(t.dev, filepath.Join(dir, modelFile), t.weights()); err != nil {
		return err
	}
	planes, _ := t.opt.State()
	if err := loadTensors(t.dev, filepath.Join(dir, optimizerFile), planes); err != nil {
		return err
	}
	if err := t.opt.Restore(s.Optimizer); err != nil {
		return fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	t.step = s.Step
	return t.batches.Seek(s.Cursor)
}

func loadTensors(dev gpu.Device, path string, tensors []gpu.Tensor) error {
	f, err := checkpoint.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if n := len(f.Names()); n != len(tensors) {
		return fmt.Errorf("%s holds %d tensors, %d are needed", path, n, len(tensors))
	}
	for _, x := range tensors {
		want := info(x)
		if i, ok := f.Info(x.Name); !ok || i.DType != want.DType || !slices.Equal(i.Shape, want.Shape) {
			return fmt.Errorf("%s: tensor %s is %s %v, needed is %s %v", path, x.Name, i.DType, i.Shape, want.DType, want.Shape)
		}
		err := pieces(x, func(row int, buf []float32) error {
			if want.DType.Float() {
				if err := f.ReadF32(x.Name, row*x.Cols(), buf); err != nil {
					return err
				}
				return gpu.WriteRows(dev, x, row, buf)
			}
			raw := make([]byte, 4*len(buf))
			if err := f.ReadRaw(x.Name, 4*int64(row), raw); err != nil {
				return err
			}
			words := gpu.Words(buf)
			for i := range words {
				words[i] = binary.LittleEndian.Uint32(raw[4*i:])
			}
			return dev.Write(x, row, words)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
