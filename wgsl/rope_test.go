package wgsl

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/attention"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

func TestRope(t *testing.T) {
	// Head sizes whose halves are odd and even, rows of whole and of broken eights.
	for _, size := range []attention.Shape{
		{B: 1, T: 1, H: 1, KV: 1, D: 2}, {B: 1, T: 5, H: 3, KV: 1, D: 4}, {B: 2, T: 3, H: 3, KV: 2, D: 14},
		{B: 2, T: 4, H: 3, KV: 3, D: 6}, {B: 1, T: 4, H: 5, KV: 1, D: 12},
		{B: 1, T: 8, H: 4, KV: 2, D: 64}, {B: 2, T: 35, H: 5, KV: 1, D: 16}, {B: 3, T: 3, H: 2, KV: 2, D: 48},
		{B: 2, T: 65, H: 1, KV: 5, D: 26},
	} {
		rows, d := size.B*size.T, size.D
		cos, sin := RopeTables(size.T, RopeFrequencies(d, 10000), 1)
		for _, s := range wgsltest.PairStorages {
			// What is turned forward and backward, of q and of k.
			heads := [4]int{size.H, size.KV, size.H, size.KV}
			var x, want [4][]float32
			for i, h := range heads {
				x[i] = wgsltest.Stored(s.Pair, wgsltest.Random(uint64(i), rows*h*d, 1))
				want[i] = slices.Clone(x[i])
				if i < 2 {
					ref.RopeForward(want[i], cos, sin, rows, size.T, h, d)
				} else {
					ref.RopeBackward(want[i], cos, sin, rows, size.T, h, d)
				}
			}
			t.Run(fmt.Sprint(size, s.Suffix()), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, dev gpu.Device) {
					tc, ts := gputest.Tensor(t, dev, "cos", cos, size.T, d/2), gputest.Tensor(t, dev, "sin", sin,
						size.T, d/2)
					var tx [4]gpu.Tensor
					names := [4]string{"q", "k", "dq", "dk"}
					for i, h := range heads {
						tx[i] = gputest.TensorOf(t, dev, s.Pair, names[i], x[i], rows, h*d)
					}
					wgsltest.Run(t, dev, func(p *gpu.Pass) {
						RopeForward(p, tx[0], tx[1], tc, ts, size)
						RopeBackward(p, tx[2], tx[3], tc, ts, size)
					})
					for i := range tx {
						wgsltest.Compare(t, names[i], gputest.Read(t, dev, tx[i]), want[i],
							wgsltest.Tolerance{Abs: 5e-7, Rel: 1e-6}.In(s.Pair))
					}
					wgsltest.ZeroPadding(t, dev, tx[:]...)
					wgsltest.Unchanged(t, dev, tc, cos)
					wgsltest.Unchanged(t, dev, ts, sin)
				})
			})
		}
	}
}

// However many heads an invocation turns, also some of q and some of k, the bits are
// the same.
func TestRopeOfSomeHeads(t *testing.T) {
	dev := gputest.Adapter(t)
	for _, units := range []ropeUnits{ropePairs, ropeEights} {
		s := attention.Shape{B: 2, T: 5, H: 5, KV: 2, D: 6 * units.size}
		rows := s.B * s.T
		cos, sin := RopeTables(s.T, RopeFrequencies(s.D, 10000), 1)
		tc, ts := gputest.Tensor(t, dev, "cos", cos, s.T, s.D/2), gputest.Tensor(t, dev, "sin", sin, s.T, s.D/2)
		for _, x := range wgsltest.PairStorages {
			turned := func(some int) (q, k gpu.Tensor) {
				q = gputest.TensorOf(t, dev, x.Pair, fmt.Sprint("q of ", some), wgsltest.Random(1, rows*s.H*s.D, 1),
					rows, s.H*s.D)
				k = gputest.TensorOf(t, dev, x.Pair, fmt.Sprint("k of ", some), wgsltest.Random(2, rows*s.KV*s.D, 1),
					rows, s.KV*s.D)
				wgsltest.Run(t, dev, func(p *gpu.Pass) { units.turn(p, q, k, tc, ts, s, some, 1) })
				return q, k
			}
			allQ, allK := turned(s.H + s.KV)
			for _, some := range []int{1, 2, 3, 4} {
				q, k := turned(some)
				wgsltest.SameWords(t, dev, q, allQ)
				wgsltest.SameWords(t, dev, k, allK)
			}
		}
	}
}

func TestRopeRefuses(t *testing.T) {
	d := gpu.NewHost()
	q, k, table := gputest.Tensor(t, d, "q", nil, 3, 24), gputest.Tensor(t, d, "k", nil, 3, 8), gputest.Tensor(t, d,
		"table", nil, 3, 4)
	of := func(h, kv, d int) attention.Shape { return attention.Shape{B: 1, T: 3, H: h, KV: kv, D: d} }
	for want, record := range map[string]func(p *gpu.Pass){
		"head size 5": func(p *gpu.Pass) { RopeForward(p, q, k, table, table, of(1, 1, 5)) },
		"rope: tensor q is (3, 24) where (3, 32) is": func(p *gpu.Pass) {
			RopeForward(p, q, k, table, table, of(4, 1, 8))
		},
		"rope: tensor k is (3, 8) where (3, 16) is": func(p *gpu.Pass) {
			RopeForward(p, q, k, table, table, of(3, 2, 8))
		},
		"rope: tensor table is (3, 4) where (3, 6) is ne": func(p *gpu.Pass) {
			RopeBackward(p, q, q, table, table, of(2, 2, 12))
		},
		"bound at 0 and 1 and written":     func(p *gpu.Pass) { RopeForward(p, q, q, table, table, of(3, 3, 8)) },
		"head size 131078, at most 131070": ropeWide,
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
	const d = 2 * (kernel.MaxLoop + 4)
	x := gpu.Tensor{Spec: gpu.Spec{Name: "x", Shape: []int{1, d}}}
	table := gpu.Tensor{Spec: gpu.Spec{Name: "table", Shape: []int{1, d / 2}}}
	RopeForward(p, x, x, table, table, attention.Shape{B: 1, T: 1, H: 1, KV: 1, D: d})
}
