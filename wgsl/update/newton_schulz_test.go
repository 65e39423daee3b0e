package update

import (
	"fmt"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/update/ref"
	"steplm/wgsl/wgsltest"
)

// Both orientations, squares and vectors against the iteration in float64.
func TestNewtonSchulz(t *testing.T) {
	for _, shape := range [][2]int{{1, 1}, {1, 9}, {7, 3}, {16, 16}, {24, 65}, {65, 24}} {
		m, n := shape[0], shape[1]
		x := wgsltest.Random(1, m*n, 1e-3)
		want := wgsltest.Narrowed(ref.NewtonSchulz(wgsltest.Widened(x), m, n, newtonSchulzSteps))
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tx := gputest.Tensor(t, d, "x", x, m, n)
				var room []gpu.Tensor
				for _, s := range NewtonSchulzRoom(m, n) {
					room = append(room, wgsltest.Dirty(t, d, gpu.F32, "room", s...))
				}
				var got gpu.Tensor
				wgsltest.Run(t, d, func(p *gpu.Pass) { got = NewtonSchulz(p, tx, room) })
				wgsltest.Compare(t, "x", gputest.Read(t, d, got), want, wgsltest.Tolerance{Abs: 2e-5, Rel: 2e-5})
				wgsltest.ZeroPadding(t, d, got)
			})
		})
	}
}

func TestScaleVectors(t *testing.T) {
	for _, shape := range [][2]int{{1, 1}, {3, 5}, {65, 130}} {
		rows, cols := shape[0], shape[1]
		x := wgsltest.Random(1, rows*cols, 1)
		for by, n := range map[By]int{ByTensor: 1, ByRow: rows, ByColumn: cols} {
			factors := wgsltest.Random(2, n, 1)
			for i, f := range factors {
				factors[i] = f * f
			}
			want := make([]float32, len(x))
			for i, v := range x {
				want[i] = v * factors[map[By]int{ByTensor: 0, ByRow: i / cols, ByColumn: i % cols}[by]]
			}
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tx, tf := gputest.Tensor(t, d, "x", x, rows, cols), gputest.Tensor(t, d, "factors", factors, n)
				wgsltest.Run(t, d, func(p *gpu.Pass) { ScaleVectors(p, tx, tf, by) })
				wgsltest.Compare(t, "x", gputest.Read(t, d, tx), want, wgsltest.Tolerance{Abs: 0, Rel: 1e-7})
				wgsltest.ZeroPadding(t, d, tx)
			})
		}
	}
}
