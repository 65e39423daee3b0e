package model

import "strconv"

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
	list := []FileTensor{embedTensor.file(c, "", "")}
	for layer := range c.Layers {
		n := strconv.Itoa(layer)
		for _, t := range blockTensors {
			list = append(list, t.file(c, layerPrefix+n+".", "blk."+n+"."))
		}
	}
	list = append(list, normTensor.file(c, "", ""))
	if !c.Tied {
		list = append(list, headTensor.file(c, "", ""))
	}
	return list
}

// file is a tensor in files, where its names stand behind prefixes.
func (t tensorRow) file(c Config, hf, gguf string) FileTensor {
	f := FileTensor{HF: hf + t.hf, Role: t.role, Shape: t.shape(c)}
	if t.gguf != "" {
		f.GGUF = gguf + t.gguf
	}
	if t.turned != nil {
		f.Turned = t.turned(c)
	}
	return f
}
