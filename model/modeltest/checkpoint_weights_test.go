package modeltest

import (
	"fmt"
	"path/filepath"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
)

// A checkpoint read in pieces is, to the bit, the model in it: with LoRA or without, in f32, bf16 and int8.
func TestCheckpointWeights(t *testing.T) {
	bf16 := model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.BF16}
	int8s := bf16
	int8s.Frozen = model.Int8
	paper := bf16
	paper.States = model.PaperStates
	plain := model.Plain(Unlike(false), 3)
	plain.Blocks[0].ID, plain.Blocks[1].NoRope = 7, true
	for name, l := range map[string]model.Layout{
		"plain": plain, "LoRA": Partly(true), "bf16": WithStorage(plain, bf16),
		"bf16 LoRA": WithStorage(Partly(false), paper),
		"int8 LoRA": WithStorage(Partly(false), int8s), "options": WithStorage(partlyWith(allOptions), int8s),
	} {
		t.Run(name, func(t *testing.T) {
			m := NewStored(t, gpu.NewHost(), l)
			parent := t.TempDir()
			d, err := checkpoint.Begin(parent, "saved")
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Save(d); err != nil {
				t.Fatal(err)
			}
			if err := d.Commit(); err != nil {
				t.Fatal(err)
			}
			want, err := m.Merged()
			if err != nil {
				t.Fatal(err)
			}
			defer want.Free()
			got, err := model.OpenCheckpointWeights(filepath.Join(parent, "saved"), l)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			if got.DType != want.DType || got.Config != want.Config {
				t.Errorf("%s of %+v, want %s of %+v", got.DType, got.Config, want.DType, want.Config)
			}
			if fmt.Sprint(got.Names()) != fmt.Sprint(want.Names()) {
				t.Fatalf("tensors %v, want %v", got.Names(), want.Names())
			}
			for _, name := range want.Names() {
				shape, _ := want.Shape(name)
				cols := shape[len(shape)-1]
				rows := 1
				if len(shape) == 2 {
					rows = shape[0]
				}
				all, pieces := make([]float32, rows*cols), make([]float32, rows*cols)
				if err := want.ReadF32(name, 0, all); err != nil {
					t.Fatal(err)
				}
				for row := 0; row < rows; row += 5 {
					if err := got.ReadF32(name, row*cols, pieces[row*cols:min(row+5, rows)*cols]); err != nil {
						t.Fatal(err)
					}
				}
				Bits(t, "in pieces", map[string][]float32{name: pieces}, map[string][]float32{name: all})
			}
		})
	}
}
