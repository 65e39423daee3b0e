package wgsl

import (
	"fmt"
	"math"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/wgsltest"
)

// filled makes a tensor whose elements are all value.
func filled(t *testing.T, d gpu.Device, dtype gpu.DType, name string, value float32, shape ...int) gpu.Tensor {
	t.Helper()
	values := make([]float32, gpu.Spec{Shape: shape}.Elements())
	for i := range values {
		values[i] = value
	}
	return gputest.TensorOf(t, d, dtype, name, values, shape...)
}

// The longest walks that calls do not refuse: an old Mesa must get to their ends, with
// all of a kernel's loops.
func TestLongestWalks(t *testing.T) {
	d := gputest.Adapter(t)
	first := func(x gpu.Tensor) float64 { return float64(gputest.Read(t, d, x)[0]) }
	t.Run("sum_losses", func(t *testing.T) {
		const n = 64 * kernel.MaxWalk
		losses, stats := filled(t, d, gpu.F32, "losses", 1, n), filled(t, d, gpu.F32, "stats", 0, StatWords)
		wgsltest.Run(t, d, func(p *gpu.Pass) { SumLosses(p, stats, losses, n) })
		if got := first(stats); got != n {
			t.Errorf("the sum of %d ones is %g", n, got)
		}
	})
	t.Run("cross_entropy", func(t *testing.T) {
		for _, c := range []struct{ v, loops int }{{8 * 64 * kernel.MaxWalk, 1}, {8 * 64 * (kernel.MaxWalk / 2), 2}} {
			logits, losses, targets := filled(t, d, gpu.F32, "logits", 1, 1, c.v), filled(t, d, gpu.F32, "losses", 0,
				1), gputest.Indices(t, d, "targets", []uint32{5})
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				if c.loops == 1 {
					CrossEntropyForward(p, logits, losses, targets, 0, 1, c.v)
				} else {
					CrossEntropy(p, logits, losses, targets, 0, 1, c.v, float32(c.v))
				}
			})
			if got, want := first(losses), math.Log(float64(c.v)); math.Abs(got-want) > 1e-4 {
				t.Errorf("loss of %d equal logits %g, want %g", c.v, got, want)
			}
			if gradient := gputest.Read(t, d, logits); c.loops == 2 && math.Abs(float64(gradient[c.v-1])-1) > 1e-3 {
				t.Errorf("gradient of the last of %d logits %g, want 1", c.v, gradient[c.v-1])
			}
		}
	})
	// by a workgroup, by an invocation
	for _, c := range []int{2 * 64 * (kernel.MaxWalk / 2), 8 * (kernel.MaxWalk / 2)} {
		t.Run(fmt.Sprint("rmsnorm ", c), func(t *testing.T) {
			x, weight, rstd := filled(t, d, gpu.BF16, "x", 2, 1, c), filled(t, d, gpu.BF16, "weight", 3, c), filled(t,
				d, gpu.F32, "rstd", 0, 1)
			y, dx := filled(t, d, gpu.BF16, "y", 0, 1, c), filled(t, d, gpu.BF16, "dx", 1, 1, c)
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				RMSNormForward(p, y, rstd, x, weight, 0)
				RMSNormBackward(p, dx, x, x, weight, rstd) // a constant's gradient goes along it: norms do not change
			})
			if got := first(rstd); math.Abs(got-0.5) > 1e-5 {
				t.Errorf("rstd of twos %g, want 0.5", got)
			}
			if out, grad := gputest.Read(t, d, y), gputest.Read(t, d, dx); out[c-1] != 3 ||
				math.Abs(float64(grad[c-1])-1) > 1e-2 {
				t.Errorf("the last element becomes %g, want 3; its gradient %g, want 1", out[c-1], grad[c-1])
			}
		})
	}
	t.Run("rmsnorm_backward_weight", func(t *testing.T) {
		const rows = 8 * kernel.MaxWalk
		x, rstd, dweight := filled(t, d, gpu.BF16, "x", 1, rows, 1), filled(t, d, gpu.F32, "rstd", 1, rows), filled(t,
			d, gpu.F32, "dweight", 0, 1)
		wgsltest.Run(t, d, func(p *gpu.Pass) { RMSNormBackwardWeight(p, dweight, x, x, rstd, false) })
		if got := first(dweight); got != rows {
			t.Errorf("the sum of %d ones is %g", rows, got)
		}
	})
}
