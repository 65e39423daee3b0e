package wgsl

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

func TestCrossEntropy(t *testing.T) {
	for _, c := range []struct {
		at, rows, v int
		std         float64
		mean        float32
	}{
		{0, 1, 1, 1, 0}, {0, 3, 5, 1, 0}, {2, 4, 8, 3, 10}, {1, 2, 63, 1, 0}, {3, 5, 64, 2, -500}, {0, 64, 65, 30, 200},
		{2, 70, 1000, 1000, 0}, {1, 3, 131071, 2, 0},
	} {
		const scale = 0.5
		all := c.at + c.rows + 2 // rows before and after stay as they are
		g := rand.New(rand.NewPCG(5, 5))
		targets := make([]uint32, all)
		for i := range targets {
			targets[i] = uint32(g.IntN(c.v))
		}
		targets[c.at+c.rows/2] = math.MaxUint32
		// a row more than asked for
		logits, losses := wgsltest.Random(1, (c.rows+1)*c.v, c.std), wgsltest.Random(2, all, 1)
		for i := range logits {
			logits[i] += c.mean
		}
		grad, want := slices.Clone(logits), slices.Clone(losses)
		ref.CrossEntropy(grad, want, targets, c.at, c.rows, c.v, scale)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tt := gputest.Indices(t, d, "targets", targets)
			tx, tl := gputest.Tensor(t, d, "logits", logits, c.rows+1, c.v), gputest.Tensor(t, d, "losses", losses, all)
			wgsltest.Run(t, d, func(p *gpu.Pass) { CrossEntropyForward(p, tx, tl, tt, c.at, c.rows, c.v) })
			tol := wgsltest.Tolerance{Abs: 1e-5, Rel: 1e-6}
			wgsltest.Compare(t, fmt.Sprintf("losses forward, V %d", c.v), gputest.Read(t, d, tl), want, tol)
			wgsltest.Unchanged(t, d, tx, logits)
			if err := gpu.WriteF32(d, tl, losses); err != nil {
				t.Fatal(err)
			}
			wgsltest.Run(t, d, func(p *gpu.Pass) { CrossEntropy(p, tx, tl, tt, c.at, c.rows, c.v, scale) })
			wgsltest.Compare(t, fmt.Sprintf("losses, V %d", c.v), gputest.Read(t, d, tl), want, tol)
			wgsltest.Compare(t, fmt.Sprintf("gradient, V %d", c.v), gputest.Read(t, d, tx), grad,
				wgsltest.Tolerance{Abs: 2e-7, Rel: 1e-5})
			wgsltest.ZeroPadding(t, d, tx, tl)
		})
	}
}

func TestCrossEntropyRefuses(t *testing.T) {
	d := gpu.NewHost()
	logits, half := gputest.Tensor(t, d, "logits", nil, 3, 10), gputest.TensorOf(t, d, gpu.BF16, "half", nil, 3, 10)
	losses, targets := gputest.Tensor(t, d, "losses", nil, 5), gputest.Indices(t, d, "targets", make([]uint32, 5))
	for want, record := range map[string]func(p *gpu.Pass){
		"cross_entropy_forward: logits are (3, 10), 4 rows of 10 asked for": func(p *gpu.Pass) {
			CrossEntropyForward(p, logits, losses, targets, 0, 4, 10)
		},
		"cross_entropy: logits are (3, 10), 3 rows of 9 asked for": func(p *gpu.Pass) {
			CrossEntropy(p, logits, losses, targets, 0, 3, 9, 1)
		},
		"cross_entropy: rows 3 to 6 of 5 losses and targets": func(p *gpu.Pass) {
			CrossEntropy(p, logits, losses, targets, 3, 3, 10, 1)
		},
		"cross_entropy: tensor half is bf16, binding 0 takes f32": func(p *gpu.Pass) {
			CrossEntropy(p, half, losses, targets, 0, 3, 10, 1)
		},
	} {
		p := d.Begin("refuse")
		record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
