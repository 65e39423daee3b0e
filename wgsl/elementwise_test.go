package wgsl

import (
	"math"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

// Each call covers n of n+3 elements; the last three must stay.
func TestElementwise(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 1000} {
		a, b, out := random(1, n+3, 1), random(2, n+3, 1), random(3, n+3, 1)
		sum, mixed, scaled, filled := slices.Clone(out), slices.Clone(out), slices.Clone(out), slices.Clone(out)
		ref.Add(sum, a, n)
		ref.Mix(mixed, a, b, 0.25, 0.75, n)
		ref.Mix(scaled, a, b, 3, 0, n)
		ref.Fill(filled, 2.5, n)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			ta, tb := gputest.Tensor(t, d, "a", a, n+3), gputest.Tensor(t, d, "b", b, n+3)
			ts, tm := gputest.Tensor(t, d, "sum", out, n+3), gputest.Tensor(t, d, "mixed", out, n+3)
			tx, tf := gputest.Tensor(t, d, "scaled", out, n+3), gputest.Tensor(t, d, "filled", out, n+3)
			run(t, d, func(p *gpu.Pass) {
				Add(p, ts, ta, n)
				Mix(p, tm, ta, tb, 0.25, 0.75, n)
				Mix(p, tx, ta, tb, 3, 0, n)
				Fill(p, tf, 2.5, n)
			})
			exact := tolerance{1e-30, 0}
			compare(t, "sum", gputest.Read(t, d, ts), sum, exact)
			compare(t, "mixed", gputest.Read(t, d, tm), mixed, tolerance{1e-7, 2e-7})
			compare(t, "scaled", gputest.Read(t, d, tx), scaled, tolerance{0, 2e-7})
			compare(t, "filled", gputest.Read(t, d, tf), filled, exact)
			unchanged(t, d, ta, a)
			unchanged(t, d, tb, b)
		})
	}
}

// special holds every kind of value that arithmetic might not pass on as it is.
var special = []uint32{
	0, 0x80000000, 1, 0x807fffff, 0x00800000, // zeros, denormals, the least normal
	0x7f7fffff, 0x7f800000, 0xff800000, // the greatest, infinities
	0x7fc00000, 0xffc12345, 0x7f800001, 0xff812345, // NaNs, quiet and signalling
	0x3f800000, 0xbf800001,
}

func TestMixCopiesBits(t *testing.T) {
	n := len(special)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		b := make([]float32, n)
		for i := range b {
			b[i] = float32(math.NaN())
		}
		ta, tb := gputest.Tensor(t, d, "a", gpu.Floats(special), n), gputest.Tensor(t, d, "b", b, n)
		to, same := gputest.Tensor(t, d, "out", nil, n), gputest.Tensor(t, d, "same", nil, n)
		run(t, d, func(p *gpu.Pass) {
			Mix(p, to, ta, tb, 1, 0, n)
			Mix(p, same, ta, ta, 1, 0, n)
		})
		unchanged(t, d, to, gpu.Floats(special))
		unchanged(t, d, same, gpu.Floats(special))
	})
}
