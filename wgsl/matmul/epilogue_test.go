package matmul

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

// What a product starts from and ends with, against float64, in aligned and edge
// kernels; every tile gives the same bits.
func TestMatmulEpilogues(t *testing.T) {
	tiles := []tile{{8, 8, 8, 1, 2, 0}, {16, 4, 2, 4, 4, 0}, {8, 4, 2, 4, 8, 0}, {4, 4, 8, 8, 4, 16}}
	for _, transpose := range everyTranspose {
		for _, types := range uniformTypes {
			for _, c := range []struct{ m, n, k, rank int }{{37, 70, 53, 6}, {64, 64, 32, 16}} {
				for _, low := range []bool{false, true} {
					a, b := pair(transpose, types, c.m, c.n, c.k, 1)
					u, v := pair(transpose, types, c.m, c.n, c.rank, 3)
					residual := wgsltest.Stored(types[0], wgsltest.Random(5, c.m*c.n, 1))
					s := Shape{M: c.m, N: c.n, K: c.k, Scale: 0.5}
					want := exact(transpose, residual, a.values, b.values,
						Shape{M: c.m, N: c.n, K: c.k, Scale: 0.5, Accumulate: true})
					if low {
						want = exact(transpose, want, u.values, v.values,
							Shape{M: c.m, N: c.n, K: c.rank, Scale: 1, Accumulate: true})
					}
					t.Run(fmt.Sprintf("%s %s %v low rank %t", transpose, types, c, low), func(t *testing.T) {
						gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
							x, y := a.on(t, d, "a"), b.on(t, d, "b")
							start := gputest.TensorOf(t, d, types[0], "residual", residual, c.m, c.n)
							s := s
							s.Residual = start
							piece := piece{transposed: transposedOf(transpose), m: c.m, n: c.n, k: c.k, scale: 0.5,
								a: block{t: &x}, b: block{t: &y}, residual: block{t: &start}}
							if low {
								s.Second = Product{u.on(t, d, "second a"), v.on(t, d, "second b"), c.rank}
								piece.second, piece.secondA, piece.secondB = c.rank, block{t: &s.Second.A},
									block{t: &s.Second.B}
							}
							out := wgsltest.Dirty(t, d, types[0], "out", c.m, c.n)
							wgsltest.Run(t, d, func(p *gpu.Pass) { products[transpose](p, out, x, y, s) })
							wgsltest.Compare(t, "out", gputest.Read(t, d, out), want, toleranceOf(c.k+c.rank, types[0]))
							wgsltest.ZeroPadding(t, d, out)
							wgsltest.Unchanged(t, d, start, residual)
							for _, tile := range gputest.Sample(tiles) {
								again := wgsltest.Dirty(t, d, types[0], tile.String(), c.m, c.n)
								piece.out = block{t: &again}
								wgsltest.Run(t, d, func(p *gpu.Pass) { piece.runTile(p, tile) })
								wgsltest.SameWords(t, d, again, out)
							}
						})
					})
				}
			}
		}
	}
}

// matrix is the values of a matrix and what they are stored as.
type matrix struct {
	values     []float32
	rows, cols int
	dtype      gpu.DType
}

func (x matrix) on(t *testing.T, d gpu.Device, name string) gpu.Tensor {
	return gputest.TensorOf(t, d, x.dtype, name, x.values, x.rows, x.cols)
}

// pair makes the operands of a product.
func pair(transpose string, types dtypes, m, n, k int, seed uint64) (a, b matrix) {
	sa, sb := shapesOf(transpose, Shape{M: m, N: n, K: k})
	return matrix{wgsltest.Stored(types[1], wgsltest.Random(seed, m*k, 1)), sa[0], sa[1], types[1]},
		matrix{wgsltest.Stored(types[2], wgsltest.Random(seed+1, k*n, 1)), sb[0], sb[1], types[2]}
}

// A residual goes with slices too, and comes once; the second product comes last, by
// itself where the device does not bind all of it.
func TestMatmulEpiloguesInSlices(t *testing.T) {
	const m, n, k = 40, 31, 90
	for _, transpose := range everyTranspose {
		for _, second := range []int{5, 60} {
			types := uniformTypes[0]
			a, b := pair(transpose, types, m, n, k, 1)
			u, v := pair(transpose, types, m, n, second, 3)
			t.Run(fmt.Sprint(transpose, second), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					s := Shape{M: m, N: n, K: k, Residual: gputest.Tensor(t, d, "residual", wgsltest.Random(5, m*n, 1),
						m, n), Second: Product{u.on(t, d, "second a"), v.on(t, d, "second b"), second}}
					x, y := a.on(t, d, "a"), b.on(t, d, "b")
					whole, sliced := wgsltest.Dirty(t, d, gpu.F32, "whole", m, n), wgsltest.Dirty(t, d, gpu.F32,
						"slices", m, n)
					wgsltest.Run(t, d, func(p *gpu.Pass) { products[transpose](p, whole, x, y, s) })
					defer gpu.RestrictBinding(d, 4096)()
					wgsltest.Run(t, d, func(p *gpu.Pass) { products[transpose](p, sliced, x, y, s) })
					wgsltest.SameWords(t, d, sliced, whole)
				})
			})
		}
	}
}

// Products whose k is split, around the least slice.
func TestMatmulSplit(t *testing.T) {
	for _, c := range []struct{ m, n, k, slices int }{{9, 6, 255, 1}, {9, 6, 256, 2}, {70, 8, 520, 4},
		{6, 70, 515, 4}, {6, 6, 16641, 129}} { // 130 slices would leave the last one empty
		if n := slicesOf(c.m, c.n, c.k); n != c.slices {
			t.Errorf("%v: %d slices", c, n)
		}
		for _, s := range kernel.Storages {
			for _, accumulate := range []bool{false, true} {
				types := dtypes{s.Grad, s.Pair, s.Pair}
				a, b := pair("tn", types, c.m, c.n, c.k, 1)
				before := wgsltest.Stored(s.Grad, wgsltest.Random(7, c.m*c.n, 1))
				want := exact("tn", before, a.values, b.values,
					Shape{M: c.m, N: c.n, K: c.k, Scale: 2, Accumulate: accumulate})
				t.Run(fmt.Sprint(c, s.Suffix(), accumulate), func(t *testing.T) {
					gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
						x, y, out := a.on(t, d, "a"), b.on(t, d, "b"), gputest.TensorOf(t, d, s.Grad, "out", before,
							c.m, c.n)
						scratch := gpu.Tensor{}
						if spec := SplitSpec(c.m, c.n, c.k); spec.Name != "" {
							scratch = wgsltest.Dirty(t, d, gpu.F32, "scratch", spec.Words())
						}
						wgsltest.Run(t, d, func(p *gpu.Pass) {
							TNSplit(p, out, scratch, x, y,
								Shape{M: c.m, N: c.n, K: c.k, Scale: 2, Accumulate: accumulate})
						})
						// of twice the products
						wgsltest.Compare(t, "out", gputest.Read(t, d, out), want,
							wgsltest.Tolerance{Abs: 2.5e-6 * math.Sqrt(float64(c.k)), Rel: 1e-5}.In(s.Grad))
						wgsltest.ZeroPadding(t, d, out)
					})
				})
			}
		}
	}
	if n := slicesOf(1024, 512, 4096); n != 1 {
		t.Errorf("many outputs: %d slices", n)
	}
}

// Every slice has something to sum: an empty one would be what was in the scratch before.
func TestNoSliceIsEmpty(t *testing.T) {
	for _, outputs := range []int{1, 2, 8, 36, 576, 1024, 2016} {
		for k := 1; k < 70_000; k++ {
			if n := slicesOf(1, outputs, k); n < 1 || n > 1 && (n-1)*gpu.Groups(k, n) >= k {
				t.Fatalf("%d outputs over %d: the last of %d slices of %d is empty", outputs, k, n, gpu.Groups(k, n))
			}
		}
	}
}

func TestSumSlices(t *testing.T) {
	out, parts := []float32{1, 2}, []float32{10, 20, 100, 200}
	ref.SumSlices(out, parts, 2, true)
	if !slices.Equal(out, []float32{111, 222}) {
		t.Errorf("accumulated %v", out)
	}
	ref.SumSlices(out, parts, 2, false)
	if !slices.Equal(out, []float32{110, 220}) {
		t.Errorf("sum %v", out)
	}
}
