package hf

import (
	"path/filepath"
	"slices"

	"steplm/model"
	"steplm/model/checkpoint"
)

// OtherHead reports whether a Hugging Face directory's weights have a head that is another than the embedding, although
// config.json ties the two: the model then computes with the embedding, as transformers does, and the head in the file
// is not used.
func OtherHead(dir string) (bool, error) {
	c, err := ReadConfig(filepath.Join(dir, configName))
	if err != nil || !c.Tied {
		return false, err
	}
	t, err := checkpoint.OpenDir(dir)
	if err != nil {
		return false, err
	}
	defer t.Close()
	shape, ok := t.Shape(model.HFHead)
	if embed, there := t.Shape(model.HFEmbed); !ok || !there || !slices.Equal(shape, embed) {
		return false, nil // What is missing or misshapen is said where the model is opened.
	}
	cols := shape[len(shape)-1]
	rows := max(1, model.PieceElements/cols)
	head, embed := make([]float32, rows*cols), make([]float32, rows*cols)
	for at := 0; at < shape[0]*cols; at += rows * cols {
		n := min(rows*cols, shape[0]*cols-at)
		if err := t.ReadF32(model.HFHead, at, head[:n]); err != nil {
			return false, err
		}
		if err := t.ReadF32(model.HFEmbed, at, embed[:n]); err != nil {
			return false, err
		}
		if !slices.Equal(head[:n], embed[:n]) {
			return true, nil
		}
	}
	return false, nil
}
