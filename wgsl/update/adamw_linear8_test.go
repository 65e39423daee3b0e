package update

import (
	_ "embed"
	"math"

	"steplm/gpu"
	"steplm/wgsl/update/ref"
)

//go:embed testdata/linear8.wgsl
var linear8 string

// linear has codes in proportion to the values; linear8 is its kernel's.
var linear = ref.Codec{
	DecodeM: func(code int8, scale float32) float32 { return float32(code) / 127 * scale },
	EncodeM: func(m, scale float32) int8 { return int8(math.RoundToEven(float64(m / scale * 127))) },
	DecodeV: func(code uint8, scale float32) float32 { return float32(code) / 255 * scale },
	EncodeV: func(v, scale float32) uint8 { return uint8(math.RoundToEven(float64(v / scale * 255))) },
	RangeV:  func(v float32) float32 { return v },
}

var adamwLinear8 = flash8("_linear", linear8, linear)

// adamWLinear8 is AdamWFlash8 with codes in proportion to m and to v. It does not
// train: it is the negative control, which the tests must see fail.
func adamWLinear8(p *gpu.Pass, weight, low, m, v, scales, grad, stats gpu.Tensor, o AdamW) {
	updateFlash8(adamwLinear8, p, weight, low, m, v, scales, grad, stats, o)
}
