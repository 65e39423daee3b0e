package model

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"steplm/model/checkpoint"
)

const layerPrefix = "model.layers."

// inFiles is the name in files of a block's tensor.
func (t tensorRow) inFiles(layer int) string {
	return layerPrefix + strconv.Itoa(layer) + "." + t.hf
}

// Weights are the named tensors of a model in Hugging Face's names, wherever
// they are: on the disk (checkpoint.Tensors) or on a device.
type Weights interface {
	Shape(name string) ([]int, bool)
	// ReadF32 fills dst with the elements at, at+1, ... in row-major order.
	ReadF32(name string, at int, dst []float32) error
	Names() []string
}

// HFTensors lists what a file of this configuration holds, in the order in
// which it is written: embedding, blocks from the embedding's side on, last
// norm, head unless tied.
func (c Config) HFTensors(dtype checkpoint.DType) []checkpoint.Info {
	info := func(name string, t tensorRow) checkpoint.Info {
		return checkpoint.Info{Name: name, DType: dtype, Shape: t.shape(c)}
	}
	list := []checkpoint.Info{info(embedTensor.hf, embedTensor)}
	for layer := range c.Layers {
		for _, t := range c.blockTensors() {
			list = append(list, info(t.inFiles(layer), t))
		}
	}
	list = append(list, info(normTensor.hf, normTensor))
	if !c.Tied {
		list = append(list, info(headTensor.hf, headTensor))
	}
	return list
}

// OpenHF opens a Hugging Face directory: config.json and model.safetensors, or
// shards with their index. Every tensor that the configuration requires is
// there with its shape and a floating-point type; the error names the first
// that is not and counts them. Where checksums.json is there, as it is in what was
// written here, every file must be what it says. Close the tensors after use. Unused lists what
// else the files hold.
func OpenHF(dir string) (Config, *checkpoint.Tensors, error) {
	if err := checkpoint.VerifyIfListed(dir); err != nil {
		return Config{}, nil, err
	}
	c, err := ReadConfig(filepath.Join(dir, configName))
	if err != nil {
		return Config{}, nil, err
	}
	t, err := checkpoint.OpenDir(dir)
	if err != nil {
		return Config{}, nil, err
	}
	if err := checkTensors(c, t); err != nil {
		t.Close()
		return Config{}, nil, fmt.Errorf("%s: %w", dir, err)
	}
	return c, t, nil
}

func checkTensors(c Config, t *checkpoint.Tensors) error {
	required := c.HFTensors(checkpoint.F32)
	var first error
	wrong := 0
	for _, want := range required {
		got, ok := t.Info(want.Name)
		var err error
		switch {
		case !ok && want.Name == headTensor.hf:
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
		if shape, ok := t.Shape(headTensor.hf); ok && !slices.Equal(shape, headTensor.shape(c)) {
			return fmt.Errorf("%s has shape %v, but is tied to the embedding of %v", headTensor.hf, shape,
				embedTensor.shape(c))
		}
	}
	return nil
}

// Unused lists the tensors that no part of the model reads, for a warning.
// Two kinds are not listed, as they say nothing new: rotary_emb.inv_freq,
// which follows from rope_theta, and lm_head beside a tied embedding.
func Unused(c Config, w Weights) []string {
	used := map[string]bool{headTensor.hf: true}
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

// pieceElements is about what reading and writing models holds at a time, in whole
// rows: 4 MiB of float32.
const pieceElements = 1 << 20

// WriteTensors writes the safetensors of a model into d, streaming from w, rounded to dtype (F32, F16 or BF16), in
// shards of at most shardBytes (0: one file). The caller commits.
func (c Config) WriteTensors(d *checkpoint.Dir, w Weights, dtype checkpoint.DType, shardBytes int64) error {
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
			n := min(i.Elements()-at, max(1, pieceElements/cols)*cols)
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
