package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"steplm/gpu"
	"steplm/internal/disk"
	"steplm/model"
	"steplm/model/hf"
	"steplm/stage"
	"steplm/stage/record"
)

// Trained is a model on disk.
type Trained struct {
	Dir           string // of its files
	Layout        model.Layout
	SeqLen        int             // positions of the windows that its run trained with; 0: not known
	Context       int             // positions of its run's windows, where no model before it knew more; 0: all
	Documents     model.Documents // what its run made of the documents in them
	Tokenizer     string          // where its tokenizer should be; "": not known
	TokenizerHash string          // what the tokenizer there must hash to; "": not known
	EOS, BOS      string          // its run's special tokens, as Data has them; "": not known
	checkpoint    bool
}

// FindModel finds a model by a name: a run's folder (its final model), run@step-N (a checkpoint of
// it), a checkpoint's folder or a Hugging Face directory.
func FindModel(name string) (Trained, error) {
	info, err := os.Stat(name)
	switch at := strings.LastIndexByte(name, '@'); {
	case disk.Missing(err) && at >= 0:
		return findCheckpoint(name[:at], name[at+1:])
	case disk.Missing(err):
		return Trained{}, fmt.Errorf("%s: there is no such run or model: %w", name, err)
	case err != nil:
		return Trained{}, err
	case !info.IsDir():
		return Trained{}, fmt.Errorf("%s is a file: name the folder that it lies in", name)
	case record.HoldsRun(name):
		return findFinal(name)
	case record.HoldsCheckpoint(name):
		run, err := record.RunOf(name)
		if err != nil {
			return Trained{}, err
		}
		return readCheckpoint(name, run)
	}
	l, err := hf.ReadLayout(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s holds no run, no checkpoint and no Hugging Face model: %w", name, err)
	}
	return Trained{Dir: name, Layout: l, Tokenizer: name}, err
}

// findFinal is a run's final model.
func findFinal(run string) (Trained, error) {
	r, err := stage.ReadRecipe(run)
	if err != nil {
		return Trained{}, err
	}
	dir := filepath.Join(run, record.FinalDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return Trained{}, fmt.Errorf("%s is a run that has not ended: it has no %s model yet%s",
			run, record.FinalDir, checkpointsOf(run))
	}
	l, err := hf.ReadLayout(dir)
	t := Trained{Dir: dir, Layout: l, SeqLen: r.Batch.SeqLen, Documents: r.Batch.Documents, Tokenizer: dir}
	if s, err := Saved(run); err == nil {
		t.EOS, t.BOS = s.Data.EOS, s.Data.BOS
	}
	return t, err
}

// checkpointsOf says how a run's checkpoints are named.
func checkpointsOf(run string) string {
	names := record.CheckpointNames(run)
	if len(names) == 0 {
		return ", and no checkpoint"
	}
	return fmt.Sprintf("; its checkpoints are %s@%s", run, strings.Join(names, ", @"))
}

// findCheckpoint is a checkpoint of a run, by its name.
func findCheckpoint(run, name string) (Trained, error) {
	if !record.HoldsRun(run) {
		_, err := stage.ReadRecipe(run)
		return Trained{}, fmt.Errorf("%s@%s: %w", run, name, err)
	}
	for _, has := range record.CheckpointNames(run) {
		if has == name {
			return readCheckpoint(record.CheckpointAt(run, name), run)
		}
	}
	return Trained{}, fmt.Errorf("%s has no checkpoint %q%s", run, name, checkpointsOf(run))
}

// readCheckpoint is a checkpoint in a folder. Its run, if it still lies there, tells how it trained.
func readCheckpoint(dir, run string) (Trained, error) {
	l, err := stage.SavedLayout(dir)
	t := Trained{Dir: dir, Layout: l, checkpoint: true}
	if err != nil || !record.HoldsRun(run) {
		return t, err
	}
	r, err := stage.ReadRecipe(run)
	if err != nil {
		return t, err
	}
	t.SeqLen, t.Documents = r.Batch.SeqLen, r.Batch.Documents
	if r.Init == nil {
		t.Context = t.SeqLen
	}
	s, err := Saved(run)
	if err == nil {
		t.EOS, t.BOS = s.Data.EOS, s.Data.BOS
	}
	// The tokenizer is what the run left with the model, or what it began with, if that is there still.
	if final := filepath.Join(run, record.FinalDir); holds(final, "tokenizer.json") {
		t.Tokenizer = final
	} else if err == nil {
		t.Tokenizer, t.TokenizerHash = s.Data.Tokenizer, r.Data.Tokenizer
	}
	return t, nil
}

func holds(dir, file string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return err == nil
}

// Notes are what a user should know of the model's files, a sentence each.
func (t Trained) Notes() (list []string, err error) {
	if t.checkpoint {
		return nil, nil
	}
	other, err := hf.OtherHead(t.Dir)
	if other {
		list = append(list, fmt.Sprintf("%s: the files have an lm_head.weight that is not the embedding, and "+
			"config.json says tie_word_embeddings: true; the embedding is the head, as in transformers, and the other "+
			"one is not used", t.Dir))
	}
	return list, err
}

// Open loads the model onto a device, for inference.
func (t Trained) Open(dev gpu.Device) (*model.Model, error) {
	if t.checkpoint {
		return model.OpenCheckpoint(dev, t.Dir, t.Layout)
	}
	return hf.Open(dev, t.Dir)
}
