package model_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/modeltest"
)

// A checkpoint read in pieces from its files is, bit for bit, what the model on the host device is written as: LoRA
// merged, int8 as it is multiplied by, blocks by position.
func TestStoredIsMerged(t *testing.T) {
	for _, c := range []struct {
		name    string
		storage model.Storage
		lora    bool
	}{
		{"f32", model.FullStorage, false}, {"f32 with LoRA", model.FullStorage, true},
		{"bf16 with LoRA", model.Storage{model.BF16, model.SplitStates, model.BF16, false, model.BF16}, true},
		{"int8 with LoRA", model.Storage{model.BF16, model.SplitStates, model.BF16, false, model.Int8}, true},
		{"int8", model.Storage{model.BF16, model.StochasticStates, model.BF16, false, model.Int8}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := model.Plain(modeltest.SmallConfig(false), 3)
			l.Storage = c.storage
			l.LoRA = model.LoRALayout{Rank: 3, Alpha: 5, Targets: []string{"wq", "wv", "down"}, RankStabilized: true}
			l.Blocks = []model.BlockLayout{{ID: 4, Frozen: true, Wrapped: c.lora}, {ID: 7, NoRope: true},
				{ID: 1, Frozen: true, Wrapped: c.lora}}
			for i := range l.Blocks {
				l.Blocks[i].Int8 = c.storage.Frozen == model.Int8 && l.Blocks[i].Frozen
			}
			d := gpu.NewHost()
			m := modeltest.NewStored(t, d, l)
			dir := saved(t, m)
			s, err := model.OpenStored(dir, l)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			w, err := m.Merged()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Free()
			if s.Config() != w.Config || s.Adapted() != c.lora || !c.lora && s.DType() != w.DType {
				t.Errorf("%+v, LoRA %v, %s; on the device %+v, %s", s.Config(), s.Adapted(), s.DType(), w.Config,
					w.DType)
			}
			sameWeights(t, s.Merged(), w)
			if got := len(s.LoRA()); got != map[bool]int{true: 6, false: 0}[c.lora] {
				t.Errorf("%d linears carry LoRA", got)
			}
		})
	}
}

// saved is a checkpoint of a model.
func saved(t *testing.T, m *model.Model) string {
	t.Helper()
	parent := t.TempDir()
	d, err := checkpoint.Begin(parent, "saved")
	if err == nil {
		err = m.Save(d)
	}
	if err == nil {
		err = d.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "saved")
}

// sameWeights compares all tensors to the bit, read whole and in pieces of rows.
func sameWeights(t *testing.T, got, want model.Weights) {
	t.Helper()
	if a, b := slices.Sorted(slices.Values(got.Names())), want.Names(); !slices.Equal(a, b) || len(b) == 0 {
		t.Fatalf("tensors %v, want %v", a, b)
	}
	for _, name := range want.Names() {
		shape, _ := want.Shape(name)
		if have, _ := got.Shape(name); !slices.Equal(have, shape) {
			t.Fatalf("%s has shape %v, want %v", name, have, shape)
		}
		cols := shape[len(shape)-1]
		n := cols
		if len(shape) == 2 {
			n *= shape[0]
		}
		a, b := make([]float32, n), make([]float32, n)
		if err := want.ReadF32(name, 0, b); err != nil {
			t.Fatal(err)
		}
		for at := 0; at < n; at += cols {
			if err := got.ReadF32(name, at, a[at:at+cols]); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
}

// What a checkpoint lacks, or has otherwise than its layout says, is named.
func TestOpenStoredRefuses(t *testing.T) {
	l := model.Plain(modeltest.SmallConfig(true), 1)
	m := modeltest.New(t, gpu.NewHost(), l, 3)
	dir := saved(t, m)
	other := l
	other.FFN *= 2
	if _, err := model.OpenStored(dir, other); err == nil || !strings.Contains(err.Error(), "blocks.0.gate is F32 ") ||
		!strings.Contains(err.Error(), model.WeightsFile) {
		t.Errorf("another layout: %v", err)
	}
	s, err := model.OpenStored(dir, l)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Merged().ReadF32("none", 0, make([]float32, 1)); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a tensor that is not there: %v", err)
	}
	path := filepath.Join(dir, model.WeightsFile)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := model.OpenStored(dir, l); err == nil || !strings.Contains(err.Error(), "changed after it was saved") {
		t.Errorf("a damaged checkpoint: %v", err)
	}
}
