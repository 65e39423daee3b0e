package hf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"steplm/model"
	"steplm/model/checkpoint"
)

// OpenTensors opens a Hugging Face directory: config.json and model.safetensors, or
// shards with their index. Every tensor that the configuration requires is
// there with its shape and a floating-point type; the error names the first
// that is not and counts them. Where checksums.json is there, as it is in what was
// written here, every file must be what it says. Close the tensors after use. Unused lists what
// else the files hold.
func OpenTensors(dir string) (model.Config, *checkpoint.Tensors, error) {
	if err := checkpoint.VerifyIfListed(dir); err != nil {
		return model.Config{}, nil, err
	}
	c, err := ReadConfig(filepath.Join(dir, configName))
	if err != nil {
		return model.Config{}, nil, err
	}
	t, err := checkpoint.OpenDir(dir)
	if err != nil {
		return model.Config{}, nil, err
	}
	if err := checkTensors(c, t); err != nil {
		t.Close()
		return model.Config{}, nil, fmt.Errorf("%s: %w", dir, err)
	}
	return c, t, nil
}

func checkTensors(c model.Config, t *checkpoint.Tensors) error {
	required := c.HFTensors(checkpoint.F32)
	var first error
	wrong := 0
	for _, want := range required {
		got, ok := t.Info(want.Name)
		var err error
		switch {
		case !ok && want.Name == model.HFHead:
			err = fmt.Errorf("%s is missing and tie_word_embeddings is false", want.Name)
		case !ok:
			err = fmt.Errorf("%s is missing", want.Name)
		case !slices.Equal(got.Shape, want.Shape):
			err = fmt.Errorf("%s has shape %v, %s requires %v", want.Name, got.Shape, configName, want.Shape)
		case !got.DType.Float():
			err = fmt.Errorf("%s is %s: F32, F16 and BF16 can be read", want.Name, got.DType)
		default:
			continue
		}
		wrong++
		if first == nil {
			first = err
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d of the %d tensors that %s requires are missing or wrong: %w", wrong, len(required),
			configName, first)
	}
	if c.Tied {
		embedding := []int{c.Vocab, c.Hidden}
		if shape, ok := t.Shape(model.HFHead); ok && !slices.Equal(shape, embedding) {
			return fmt.Errorf("%s has shape %v, but is tied to the embedding of %v", model.HFHead, shape, embedding)
		}
	}
	return nil
}

// Unused lists the tensors that no part of the model reads, for a warning.
// Two kinds are not listed, as they say nothing new: rotary_emb.inv_freq,
// which follows from rope_theta, and lm_head beside a tied embedding.
func Unused(c model.Config, w model.Weights) []string {
	used := map[string]bool{model.HFHead: true}
	for _, i := range c.HFTensors(checkpoint.F32) {
		used[i.Name] = true
	}
	var unused []string
	for _, name := range w.Names() {
		if !used[name] && !strings.HasSuffix(name, ".rotary_emb.inv_freq") {
			unused = append(unused, name)
		}
	}
	return unused
}

// WriteTensors writes the safetensors of a model of c into d, streaming from w, rounded to dtype (F32, F16 or BF16), in
// shards of at most shardBytes (0: one file). The caller commits.
func WriteTensors(d *checkpoint.Dir, c model.Config, w model.Weights, dtype checkpoint.DType, shardBytes int64) error {
	if !slices.Contains([]checkpoint.DType{checkpoint.F32, checkpoint.F16, checkpoint.BF16}, dtype) {
		return fmt.Errorf("a model cannot be written as %q: choose F32, F16 or BF16", dtype)
	}
	infos := c.HFTensors(dtype)
	out, err := checkpoint.CreateTensors(d, infos, shardBytes)
	if err != nil {
		return err
	}
	var piece []float32
	for _, i := range infos {
		if shape, ok := w.Shape(i.Name); !ok || !slices.Equal(shape, i.Shape) {
			return fmt.Errorf("writing a model: %s has shape %v, %v is required", i.Name, shape, i.Shape)
		}
		for at := 0; at < i.Elements(); at += len(piece) {
			cols := i.Shape[len(i.Shape)-1]
			n := min(i.Elements()-at, max(1, model.PieceElements/cols)*cols)
			piece = slices.Grow(piece[:0], n)[:n]
			if err := w.ReadF32(i.Name, at, piece); err != nil {
				return err
			}
			if err := out.WriteF32(i.Name, piece); err != nil {
				return err
			}
		}
	}
	return out.Close()
}
