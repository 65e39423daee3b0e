package wgsl

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/attention"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/matmul"
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
	if c, ok := matmul.ParseClass(word); ok {
		return c, nil
	}
	if c, ok := attention.ParseClass(word); ok {
		return c, nil
	}
	if c, ok := matmul.ParseLanesClass(word); ok {
		return c, nil
	}
	if c, ok := attention.ParseCachedClass(word); ok {
		return c, nil
	}
	return nil, fmt.Errorf("%q is no class of kernels that this version knows", word)
}

// Cut is the class that c's calls fall into on a device with such limits: that of a
// smaller shape, where one call of c is more than one submission.
func Cut(c Class, l gpu.Limits) Class {
	if m, ok := c.(matmul.Class); ok {
		return m.Cut(l)
	}
	return c
}

// Trial is a call of a class on tensors of its own.
type Trial = kernel.Trial

// TextHash names the kernels' text: what was measured of other text says nothing.
func TextHash() string {
	h := sha256.New()
	h.Write([]byte(matmul.Text()))
	h.Write([]byte(attention.Text()))
	h.Write([]byte(matmul.Preludes()))
	return hex.EncodeToString(h.Sum(nil))[:16]
}
