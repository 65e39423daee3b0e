package wgsl

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

func TestCrossEntropy(t *testing.T) {
	for _, c := range []struct {
		at, rows, v int
		std         float64
		mean        float32
	}{
		{0, 1, 1, 1, 0}, {1, 2, 63, 1, 0}, {3, 5, 64, 2, -500}, {0, 64, 65, 30, 200}, {2, 70, 1000, 1000, 0}, {1, 3, 131072, 2, 0},
	} {
		const scale = 0.5
		all := c.at + c.rows + 2 // rows before and after stay as they are
		g := rand.New(rand.NewPCG(5, 5))
		targets := make([]uint32, all)
		for i := range targets {
			targets[i] = uint32(g.IntN(c.v))
		}
		targets[c.at+c.rows/2] = math.MaxUint32
		logits, losses := random(1, c.rows*c.v, c.std), random(2, all, 1)
		for i := range logits {
			logits[i] += c.mean
		}
		grad, want := slices.Clone(logits), slices.Clone(losses)
		ref.CrossEntropy(grad, want, targets, c.at, c.rows, c.v, scale)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tt := gputest.Indices(t, d, "targets", targets)
			tx, tl := gputest.Tensor(t, d, "logits", logits, c.rows, c.v), gputest.Tensor(t, d, "losses", losses, all)
			run(t, d, func(p *gpu.Pass) { CrossEntropyForward(p, tx, tl, tt, c.at, c.rows, c.v) })
			tol := tolerance{1e-5, 1e-6}
			compare(t, fmt.Sprintf("losses forward, V %d", c.v), gputest.Read(t, d, tl), want, tol)
			unchanged(t, d, tx, logits)
			if err := gpu.WriteF32(d, tl, losses); err != nil {
				t.Fatal(err)
			}
			run(t, d, func(p *gpu.Pass) { CrossEntropy(p, tx, tl, tt, c.at, c.rows, c.v, scale) })
			compare(t, fmt.Sprintf("losses, V %d", c.v), gputest.Read(t, d, tl), want, tol)
			compare(t, fmt.Sprintf("gradient, V %d", c.v), gputest.Read(t, d, tx), grad, tolerance{2e-7, 1e-5})
		})
	}
}
