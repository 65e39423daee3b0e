package clitest

import (
	"testing"

	"steplm/model/hf"
	"steplm/model/modeltest"
)

// Tensors reads a model's tensors by name; the model must be whole.
func Tensors(t *testing.T, dir string) map[string][]float32 {
	t.Helper()
	_, f, err := hf.OpenWhole(dir)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return modeltest.ReadTensors(t, dir)
}
