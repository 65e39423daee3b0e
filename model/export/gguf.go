package export

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"steplm/model"
	"steplm/model/advice"
	"steplm/model/checkpoint"
)

// GGUF is a file as llama.cpp reads it: weights of every type that there is, and the tokenizer.
type GGUF struct{}

// Name is the format's.
func (GGUF) Name() string { return "gguf" }

// Single: it is one file.
func (GGUF) Single() bool { return true }

// Check says a model as the file does, which refuses what it has no place for.
func (g GGUF) Check(m Model, text Text, o Options) error {
	if _, err := o.DType.choose(g.Name(), m.DType, DTypes...); err != nil {
		return err
	}
	f, err := familyOf(m.Config, positions(m.Config, text))
	if err == nil {
		_, err = ggufTensors(m.Config, f, ggufKinds[F32])
	}
	if err != nil {
		return err
	}
	_, err = vocabularyOf(m.Config, text)
	return err
}

// Notes are what a user should know of a tokenizer in such a file, a sentence each.
func (GGUF) Notes(m Model, text Text) []string {
	v, err := vocabularyOf(m.Config, text)
	if err != nil {
		return nil
	}
	return v.notes
}

// vocabularyOf is the vocabulary, with a token for each row of the embedding.
func vocabularyOf(c model.Config, text Text) (*ggufVocabulary, error) {
	if text.Tokenizer == nil {
		return nil, advice.With(errors.New("a GGUF file needs a tokenizer, and the model brings none that can be read"),
			advice.Way{{How: advice.Name, Option: advice.Tokenizer}})
	}
	if text.EOS == nil {
		return nil, advice.With(errors.New("a GGUF file needs the token that ends a text, and none is known"),
			advice.Way{{How: advice.Name, Option: advice.EOS}})
	}
	v, err := newVocabulary(text.Tokenizer, text)
	if err != nil {
		return nil, err
	}
	return v, v.fill(c.Vocab)
}

// Write writes the file.
func (g GGUF) Write(d *checkpoint.Dir, m Model, text Text, o Options) error {
	f, err := familyOf(m.Config, positions(m.Config, text))
	if err != nil {
		return err
	}
	dtype, err := o.DType.choose(g.Name(), m.DType, DTypes...)
	if err != nil {
		return err
	}
	v, err := vocabularyOf(m.Config, text)
	if err != nil {
		return err
	}
	tensors, err := ggufTensors(m.Config, f, ggufKinds[dtype])
	if err != nil {
		return err
	}
	var h ggufHead
	f.describe(&h, m.Config, positions(m.Config, text), ggufKinds[dtype], o.Name)
	v.write(&h, text)
	out, err := d.Create("model.gguf")
	if err != nil {
		return err
	}
	var infos []ggufInfo
	for _, t := range tensors {
		infos = append(infos, t.info)
	}
	file, err := writeHead(out, &h, infos)
	if err != nil {
		return err
	}
	for _, t := range tensors {
		if err := t.write(file, m.Weights); err != nil {
			return err
		}
	}
	return out.Close()
}

// ggufTensor is a tensor of the model and of the file.
type ggufTensor struct {
	model.FileTensor
	info ggufInfo
	made []float32 // what it holds, where the model has no such tensor
}

// ggufTensors lists them. Vectors are F32, and so that blocks fit, matrices with other rows F16 in place of Q8_0.
func ggufTensors(c model.Config, f ggufFamily, kind ggufKind) ([]ggufTensor, error) {
	var list []ggufTensor
	if factors := ropeFactors(c); factors != nil {
		i := ggufInfo{name: "rope_freqs.weight", dims: []int{len(factors)}, kind: ggufKinds[F32]}
		list = append(list, ggufTensor{model.FileTensor{}, i, factors})
	}
	for _, t := range c.FileTensors() {
		if t.GGUF == "" {
			return nil, fmt.Errorf("llama.cpp has no name for the tensor %s", t.HF)
		}
		dims := slices.Clone(t.Shape)
		slices.Reverse(dims)
		i := ggufInfo{name: t.GGUF, dims: dims, kind: kind}
		switch {
		case len(dims) == 1:
			i.kind = ggufKinds[F32]
		case !kind.fits(dims[0]):
			i.kind = ggufKinds[F16]
		}
		if !f.pairs {
			t.Turned = 0
		}
		list = append(list, ggufTensor{t, i, nil})
	}
	return list, nil
}

// write writes the tensor's data, piece by piece. Rows that rotary embeddings turn in halves of a head are put so that
// they turn in pairs.
func (t ggufTensor) write(f *ggufFile, w model.Weights) error {
	together, cols := 1, 1
	if t.Turned > 0 {
		together = t.Shape[0] / t.Turned
	}
	if len(t.Shape) > 1 {
		cols = t.Shape[1]
	}
	var encoded []byte
	put := func(values []float32) (err error) {
		if encoded, err = t.info.kind.encode(encoded[:0], values); err != nil {
			return fmt.Errorf("%s: %w", t.HF, err)
		}
		return f.write(encoded)
	}
	if t.made != nil {
		return errors.Join(put(t.made), f.end())
	}
	err := eachPiece(w, t.HF, t.Shape, together, func(values []float32) error {
		if t.Turned > 0 {
			values = pairRows(values, together, cols)
		}
		return put(values)
	})
	if err != nil {
		return err
	}
	return f.end()
}

// pairRows puts row j and row j + size/2 of each head of size rows of cols numbers side by side, for j below size/2.
func pairRows(values []float32, size, cols int) []float32 {
	out := make([]float32, len(values))
	for row := range len(values) / cols {
		head, at := row/size*size, row%size
		to := head + at%(size/2)*2 + at/(size/2)
		copy(out[to*cols:][:cols], values[row*cols:][:cols])
	}
	return out
}

// describe writes the keys of a model.
func (f ggufFamily) describe(h *ggufHead, c model.Config, positions int, kind ggufKind, name string) {
	arch := f.arch
	h.add("general.architecture", arch)
	h.add("general.type", "model")
	if name != "" {
		h.add("general.name", name)
	}
	h.add("general.size_label", sizeLabel(c.TotalParams()))
	for _, k := range []struct {
		key   string
		value int
	}{
		{"block_count", c.Layers}, {"context_length", positions}, {"embedding_length", c.Hidden},
		{"feed_forward_length", c.FFN}, {"attention.head_count", c.Heads}, {"attention.head_count_kv", c.KVHeads},
		{"attention.key_length", c.HeadDim()}, {"attention.value_length", c.HeadDim()},
		{"rope.dimension_count", c.HeadDim()}, {"vocab_size", c.Vocab},
	} {
		h.add(arch+"."+k.key, uint32(k.value))
	}
	h.add(arch+".rope.freq_base", float32(c.RopeTheta))
	f.scaling(h, c.RopeScaling)
	h.add(arch+".attention.layer_norm_rms_epsilon", float32(c.NormEps))
	h.add("general.file_type", kind.file)
	h.add("general.quantization_version", uint32(2))
}

// sizeLabel is a number of parameters in short, with two digits or more: 260K, 1.1B.
func sizeLabel(n int64) string {
	unit, letter := 1e3, "K"
	for _, u := range []struct {
		size   float64
		letter string
	}{{1e6, "M"}, {1e9, "B"}, {1e12, "T"}} {
		if float64(n) > u.size {
			unit, letter = u.size, u.letter
		}
	}
	x := float64(n) / unit
	switch whole := math.Round(x); {
	case whole >= 10:
		return fmt.Sprintf("%.0f%s", x, letter)
	case whole >= 1:
		return fmt.Sprintf("%.1f%s", x, letter)
	}
	return fmt.Sprintf("%.2f%s", x, letter)
}
