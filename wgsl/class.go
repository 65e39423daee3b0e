package wgsl

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"steplm/gpu"
)

// Class is a class of calls for which a device has a choice among variants, all of
// which give the same bits there. Its word is what gpu.Choices knows it by.
type Class interface {
	fmt.Stringer
	// Variants are worth trying on a device with such limits. The first is what runs
	// when nothing was chosen.
	Variants(gpu.Limits) []string
	// Kernel is the kernel of a variant, as the trial calls it.
	Kernel(variant string) *gpu.Kernel
	// Trial makes tensors to try variants on.
	Trial(gpu.Device) (*Trial, error)
}

// ParseClass finds the class that a word stands for.
func ParseClass(word string) (Class, error) {
	if c, ok := parseMatmulClass(word); ok {
		return c, nil
	}
	if c, ok := parseAttentionClass(word); ok {
		return c, nil
	}
	return nil, fmt.Errorf("%q is no class of kernels that this version knows", word)
}

// Cut is the class that c's calls fall into on a device with such limits: that of a
// smaller shape, where one call of c is more than one submission.
func Cut(c Class, l gpu.Limits) Class {
	if m, ok := c.(matmulClass); ok {
		return m.cut(l)
	}
	return c
}

// Trial is a call of a class on tensors of its own.
type Trial struct {
	Outputs []gpu.Tensor
	Work    float64                           // operations of one run
	Run     func(p *gpu.Pass, variant string) // records one
	Check   func() error                      // compares a sample of what the last run left with the same in float64
	dev     gpu.Device
	tensors []gpu.Tensor
	err     error
}

// Free releases the tensors.
func (t *Trial) Free() {
	for _, x := range t.tensors {
		t.dev.Free(x)
	}
	t.tensors = nil
}

// tensor adds one to the trial, filled with values from -0.5 to 0.5, next to none of them
// so small that a device would take longer over it. The first error sticks.
func (t *Trial) tensor(name string, dtype gpu.DType, seed uint64, rows, cols int) (x gpu.Tensor, values []float32) {
	if t.err != nil {
		return x, nil
	}
	if x, t.err = t.dev.New(gpu.Spec{Name: "trial." + name, Class: gpu.Scratch, DType: dtype, Shape: []int{rows, cols}}); t.err != nil {
		return x, nil
	}
	t.tensors = append(t.tensors, x)
	values = make([]float32, rows*cols)
	for i := range values {
		seed = seed*6364136223846793005 + 1442695040888963407
		v := float32(seed>>40)/(1<<24) - 0.5
		if dtype == gpu.BF16 {
			v = gpu.FromBF16(gpu.BF16Bits(v))
		}
		values[i] = v
	}
	t.err = gpu.WriteF32(t.dev, x, values)
	return x, values
}

// done is the trial, or the error that stuck.
func (t *Trial) done() (*Trial, error) {
	if t.err != nil {
		t.Free()
		return nil, t.err
	}
	return t, nil
}

// TextHash names the kernels' text: what was measured of other text says nothing.
func TextHash() string {
	h := sha256.New()
	h.Write([]byte(matmulText))
	for kind := range attentionKinds {
		for _, x := range []head{{8, gpu.BF16}, {8, gpu.F32}} {
			h.Write([]byte(attentionVariant{attentionBlock{1, 8, 8, true}.of(attentionKind(kind)), x, attentionKind(kind)}.source()))
		}
	}
	for _, types := range [][3]gpu.DType{{gpu.F32, gpu.F32, gpu.F32}, {gpu.BF16, gpu.BF16, gpu.BF16}} {
		for _, step := range []int{2, 4, 8} {
			h.Write([]byte(matmulVariant{matmulTile: matmulTile{TM: 4, TN: 4, GX: 8, GY: 1, Step: step}, Transpose: "nt", Types: types}.prelude()))
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
