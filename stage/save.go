package stage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"steplm/data"
	"steplm/gpu"
	"steplm/model/checkpoint"
)

// state is what a checkpoint holds besides tensors.
type state struct {
	Recipe  string      `json:"recipe"` // its hash
	Step    int         `json:"step"`
	Stage   int         `json:"stage"`   // 0-based
	Order   []int       `json:"order"`   // block IDs from the embedding's side on
	Updates int         `json:"updates"` // of the optimizer since its last reset
	Cursor  data.Cursor `json:"cursor"`  // of the next batch
	Metrics int64       `json:"metrics"` // bytes of metrics.jsonl up to the step's line
	Device  string      `json:"device"`  // losses repeat bit for bit on the same one
}

// saveChunk is how many values are read and written at once: 16 MiB.
const saveChunk = 4 << 20

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
	s := state{Recipe: t.Recipe.Hash(), Step: t.step, Stage: t.stage, Updates: t.opt.T, Cursor: t.batches.Cursor(), Metrics: metrics, Device: t.dev.Name()}
	for _, b := range t.layout().Blocks {
		s.Order = append(s.Order, b.ID)
	}
	err = d.WriteJSON(stateFile, s)
	if err == nil {
		err = t.saveTensors(d, modelFile, t.weights())
	}
	if err == nil {
		err = t.saveTensors(d, optimizerFile, t.opt.State())
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
		list = append(list, p.Weight)
	}
	return list
}

func (t *Trainer) saveTensors(d *checkpoint.Dir, file string, tensors []gpu.Tensor) error {
	f, err := d.Create(file)
	if err != nil {
		return err
	}
	var infos []checkpoint.Info
	for _, x := range tensors {
		infos = append(infos, checkpoint.Info{Name: x.Name, DType: checkpoint.F32, Shape: x.Shape})
	}
	w, err := checkpoint.Create(f, infos)
	if err != nil {
		return err
	}
	for _, x := range tensors {
		err := chunks(x.Elements(), func(at int, buf []float32) error {
			if err := t.dev.Read(x, at, gpu.Words(buf)); err != nil {
				return err
			}
			return w.WriteF32(x.Name, buf)
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

// chunks calls do for pieces of n values in a shared buffer.
func chunks(n int, do func(at int, buf []float32) error) error {
	buf := make([]float32, min(n, saveChunk))
	for at := 0; at < n; at += len(buf) {
		buf = buf[:min(len(buf), n-at)]
		if err := do(at, buf); err != nil {
			return err
		}
	}
	return nil
}

// LoadTrainer continues from a checkpoint directory. The recipe must be the
// one that the checkpoint was saved under.
func LoadTrainer(dev gpu.Device, r Recipe, b Batches, dir string) (t *Trainer, metrics int64, err error) {
	s, err := readState(dir, r)
	if err != nil {
		return nil, 0, err
	}
	if t, err = allocate(dev, r, b, s.Stage); err != nil {
		return nil, 0, err
	}
	if err := t.load(dir, s); err != nil {
		t.Free()
		return nil, 0, err
	}
	return t, s.Metrics, nil
}

// readState verifies a checkpoint and reads what it holds besides tensors.
func readState(dir string, r Recipe) (s state, err error) {
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
	if s.Recipe != r.Hash() {
		return s, fmt.Errorf("checkpoint %s was saved under another recipe (hash %.12s, this run's is %.12s)", dir, s.Recipe, r.Hash())
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
	if err := loadTensors(t.dev, filepath.Join(dir, optimizerFile), t.opt.State()); err != nil {
		return err
	}
	t.step, t.opt.T = s.Step, s.Updates
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
		if i, ok := f.Info(x.Name); !ok || !slices.Equal(i.Shape, x.Shape) {
			return fmt.Errorf("%s: tensor %s %v is missing or has shape %v", path, x.Name, x.Shape, i.Shape)
		}
		err := chunks(x.Elements(), func(at int, buf []float32) error {
			if err := f.ReadF32(x.Name, at, buf); err != nil {
				return err
			}
			return dev.Write(x, at, gpu.Words(buf))
		})
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
