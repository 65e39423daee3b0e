package model

import (
	"strconv"

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

// FileTensor is one of a model's tensors as files know it.
type FileTensor struct {
	HF, GGUF string // its names: Hugging Face's, and llama.cpp's, "" where it has none
	Role     Role
	Shape    []int
	// Turned is how many heads the rows belong to, where rotary embeddings turn what the tensor gives; 0: they do not.
	Turned int
}

// FileTensors lists what a file of this configuration holds, in the order in which it is written: embedding, blocks
// from the embedding's side on, last norm, head unless tied.
func (c Config) FileTensors() []FileTensor {
	list := []FileTensor{embedTensor.file(c)}
	for layer := range c.Layers {
		for _, t := range c.blockTensors() {
			f := t.file(c)
			f.HF = t.inFiles(layer)
			if t.gguf != "" {
				f.GGUF = "blk." + strconv.Itoa(layer) + "." + t.gguf
			}
			list = append(list, f)
		}
	}
	list = append(list, normTensor.file(c))
	if !c.Tied {
		list = append(list, headTensor.file(c))
	}
	return list
}

// file is a tensor outside the blocks as files know it.
func (t tensorRow) file(c Config) FileTensor {
	f := FileTensor{HF: t.hf, GGUF: t.gguf, Role: t.role, Shape: t.shape(c)}
	if t.turned != nil {
		f.Turned = t.turned(c)
	}
	return f
}

// HFTensors is FileTensors under Hugging Face's names, in a type.
func (c Config) HFTensors(dtype checkpoint.DType) []checkpoint.Info {
	var list []checkpoint.Info
	for _, t := range c.FileTensors() {
		list = append(list, checkpoint.Info{Name: t.HF, DType: dtype, Shape: t.Shape})
	}
	return list
}

// PieceElements is about what reading and writing models holds at a time, in whole rows: 4 MiB of float32.
const PieceElements = 1 << 20

// Read fills every parameter but LoRA from w, in pieces. A vocabulary may be larger than w's: the rows of the tokens
// that w does not have are the mean of the others, so that they are as likely as a token is on average.
func (m *Model) Read(w Weights) error {
	for name, p := range m.hfParams() {
		if err := m.read(w, name, p); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) read(w Weights, name string, p *Param) error {
	shape, ok := w.Shape(name)
	has, cols := p.Weight.Rows(), p.Weight.Cols()
	if grows := p.Role == RoleEmbedding || p.Role == RoleHead; ok && grows && len(shape) == 2 && shape[1] == cols {
		has = min(has, shape[0])
	}
	rows := max(1, PieceElements/cols)
	piece, sum := make([]float32, min(rows, p.Weight.Rows())*cols), make([]float64, cols)
	for row := 0; row < has; row += rows {
		part := piece[:min(rows, has-row)*cols]
		if err := w.ReadF32(name, row*cols, part); err != nil {
			return err
		}
		if err := m.WriteRows(p, row, part); err != nil {
			return err
		}
		for i := 0; has < p.Weight.Rows() && i < len(part); i++ {
			sum[i%cols] += float64(part[i])
		}
	}
	for row := has; row < p.Weight.Rows(); row += rows {
		part := piece[:min(rows, p.Weight.Rows()-row)*cols]
		for i := range part {
			part[i] = float32(sum[i%cols] / float64(has))
		}
		if err := m.WriteRows(p, row, part); err != nil {
			return err
		}
	}
	return nil
}

// hfParams is the model's weights under Hugging Face's names, in which blocks
// count by position: their IDs stay behind. LoRA has no such name.
func (m *Model) hfParams() map[string]*Param {
	list := map[string]*Param{embedTensor.hf: m.Embed, normTensor.hf: m.Norm}
	if !m.Tied {
		list[headTensor.hf] = m.Head
	}
	for i, b := range m.Blocks {
		for j, t := range m.blockTensors() {
			list[t.inFiles(i)] = b.params[j]
		}
	}
	return list
}
