package wgsl

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

func TestRope(t *testing.T) {
	// Head sizes whose halves are odd and even, rows of whole and of broken eights.
	for _, size := range [][4]int{{1, 1, 1, 2}, {5, 5, 3, 4}, {6, 3, 3, 14}, {7, 4, 3, 6}, {4, 4, 5, 12}, {8, 8, 4, 64}, {70, 35, 5, 16}, {9, 3, 2, 48}, {130, 65, 5, 26}} {
		rows, positions, heads, d := size[0], size[1], size[2], size[3]
		cos, sin := RopeTables(positions, d, 10000)
		for _, s := range pairStorages {
			x := stored(s.pair, random(1, rows*heads*d, 1))
			forward, backward := slices.Clone(x), slices.Clone(x)
			ref.RopeForward(forward, cos, sin, rows, positions, heads, d)
			ref.RopeBackward(backward, cos, sin, rows, positions, heads, d)
			t.Run(fmt.Sprint(size, s.suffix()), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d0 gpu.Device) {
					tc, ts := gputest.Tensor(t, d0, "cos", cos, positions, d/2), gputest.Tensor(t, d0, "sin", sin, positions, d/2)
					tf, tb := gputest.TensorOf(t, d0, s.pair, "forward", x, rows, heads*d), gputest.TensorOf(t, d0, s.pair, "backward", x, rows, heads*d)
					run(t, d0, func(p *gpu.Pass) {
						RopeForward(p, tf, tc, ts, positions, heads, d)
						RopeBackward(p, tb, tc, ts, positions, heads, d)
					})
					tol := tolerance{5e-7, 1e-6}.in(s.pair)
					compare(t, "forward", gputest.Read(t, d0, tf), forward, tol)
					compare(t, "backward", gputest.Read(t, d0, tb), backward, tol)
					zeroPadding(t, d0, tf, tb)
					unchanged(t, d0, tc, cos)
					unchanged(t, d0, ts, sin)
				})
			})
		}
	}
}

// However many heads an invocation turns, the bits are the same.
func TestRopeOfSomeHeads(t *testing.T) {
	const rows, positions, heads, d = 10, 5, 5, 48
	dev := gputest.Adapter(t)
	cos, sin := RopeTables(positions, d, 10000)
	tc, ts := gputest.Tensor(t, dev, "cos", cos, positions, d/2), gputest.Tensor(t, dev, "sin", sin, positions, d/2)
	for _, s := range pairStorages {
		turned := func(some int) gpu.Tensor {
			x := gputest.TensorOf(t, dev, s.pair, fmt.Sprint(some, " heads"), random(1, rows*heads*d, 1), rows, heads*d)
			run(t, dev, func(p *gpu.Pass) { runRopeEights(p, x, tc, ts, positions, heads, d, some, 1) })
			return x
		}
		all := turned(heads)
		for _, some := range []int{1, 2, 3} {
			sameWords(t, dev, turned(some), all)
		}
	}
}

func TestRopeRefuses(t *testing.T) {
	d := gpu.NewHost()
	x, table := gputest.Tensor(t, d, "x", nil, 3, 24), gputest.Tensor(t, d, "table", nil, 3, 4)
	for want, record := range map[string]func(p *gpu.Pass){
		"head size 5": func(p *gpu.Pass) { RopeForward(p, x, table, table, 3, 1, 5) },
		"rope: tensor x is (3, 24) where (3, 32) is":      func(p *gpu.Pass) { RopeForward(p, x, table, table, 3, 4, 8) },
		"rope: tensor table is (3, 4) where (3, 6) is ne": func(p *gpu.Pass) { RopeBackward(p, x, table, table, 3, 2, 12) },
		"head size 131078, at most 131070":                func(p *gpu.Pass) { ropeWide(p) },
	} {
		p := d.Begin("refuse")
		record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// ropeWide turns one head that one invocation cannot walk.
func ropeWide(p *gpu.Pass) {
	const d = 2 * (maxLoop + 4)
	x := gpu.Tensor{Spec: gpu.Spec{Name: "x", Shape: []int{1, d}}}
	table := gpu.Tensor{Spec: gpu.Spec{Name: "table", Shape: []int{1, d / 2}}}
	RopeForward(p, x, table, table, 1, 1, d)
}
