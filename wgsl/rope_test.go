package wgsl

import (
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

func TestRope(t *testing.T) {
	for _, size := range [][4]int{{1, 1, 1, 2}, {6, 3, 3, 14}, {8, 8, 4, 64}, {130, 65, 5, 26}} {
		rows, positions, heads, d := size[0], size[1], size[2], size[3]
		x := random(1, rows*heads*d, 1)
		cos, sin := RopeTables(positions, d, 10000)
		forward, backward := slices.Clone(x), slices.Clone(x)
		ref.RopeForward(forward, cos, sin, rows, positions, heads, d)
		ref.RopeBackward(backward, cos, sin, rows, positions, heads, d)
		gputest.EachDevice(t, func(t *testing.T, d0 gpu.Device) {
			tc, ts := gputest.Tensor(t, d0, "cos", cos, positions, d/2), gputest.Tensor(t, d0, "sin", sin, positions, d/2)
			tf, tb := gputest.Tensor(t, d0, "forward", x, rows, heads, d), gputest.Tensor(t, d0, "backward", x, rows, heads, d)
			run(t, d0, func(p *gpu.Pass) {
				RopeForward(p, tf, tc, ts, rows, positions, heads, d)
				RopeBackward(p, tb, tc, ts, rows, positions, heads, d)
			})
			tol := tolerance{5e-7, 1e-6}
			compare(t, "forward", gputest.Read(t, d0, tf), forward, tol)
			compare(t, "backward", gputest.Read(t, d0, tb), backward, tol)
			unchanged(t, d0, tc, cos)
			unchanged(t, d0, ts, sin)
		})
	}
}

func TestRopeRefusesOddHeads(t *testing.T) {
	p := gpu.NewHost().Begin("refuse")
	RopeForward(p, gpu.Tensor{}, gpu.Tensor{}, gpu.Tensor{}, 1, 1, 1, 5)
	if err := p.End(); err == nil || !strings.Contains(err.Error(), "head size 5") {
		t.Errorf("error %v", err)
	}
}
