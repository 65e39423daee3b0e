package export

import (
	"fmt"
	"slices"
	"strings"

	"steplm/model/checkpoint"
)

// DType is how weights are written, as a user names it.
type DType string

// The types. Q8 is llama.cpp's Q8_0: blocks of 32 numbers of 8 bits, with a scale.
const (
	F32  DType = "f32"
	F16  DType = "f16"
	BF16 DType = "bf16"
	Q8   DType = "q8_0"
)

// DTypes lists them.
var DTypes = []DType{F32, F16, BF16, Q8}

// choose is the type that is asked for, or the one in which weights are exact.
func (t DType) choose(format string, exact checkpoint.DType, has ...DType) (DType, error) {
	if t == "" {
		t = DType(strings.ToLower(string(exact)))
	}
	if slices.Contains(has, t) {
		return t, nil
	}
	var names, others []string
	for _, h := range has {
		names = append(names, string(h))
	}
	for _, f := range Formats {
		if f.Name() != format && t == Q8 && f.Single() {
			others = append(others, f.Name())
		}
	}
	text := fmt.Sprintf("%s has no weights of %s: choose %s", format, t, strings.Join(names, ", "))
	if len(others) > 0 {
		text += fmt.Sprintf(", or the format %s, which has", strings.Join(others, ", "))
	}
	return "", fmt.Errorf("%s", text)
}

// stored is the type of tensors in safetensors files.
func (t DType) stored() checkpoint.DType { return checkpoint.DType(strings.ToUpper(string(t))) }
