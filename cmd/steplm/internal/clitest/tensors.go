package clitest

import (
	"testing"

	"steplm/model/hf"
)

// Tensors reads a model's tensors by name; the model must be whole.
func Tensors(t *testing.T, dir string) map[string][]float32 {
	t.Helper()
	_, f, err := hf.OpenWhole(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]float32{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		all[name] = make([]float32, info.Elements())
		if err := f.ReadF32(name, 0, all[name]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
