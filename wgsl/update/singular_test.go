package update

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/update/ref"
	"steplm/wgsl/wgsltest"
)

// spectral makes an (m, n) matrix with singular values that fall by a factor, in bases at random.
func spectral(seed uint64, m, n int, fall float64) []float32 {
	basis := func(seed uint64, rows, k int) *mat.Dense {
		var qr mat.QR
		x := mat.NewDense(rows, k, wgsltest.Widened(wgsltest.Random(seed, rows*k, 1)))
		qr.Factorize(x)
		var q mat.Dense
		qr.QTo(&q)
		return mat.DenseCopyOf(q.Slice(0, rows, 0, k))
	}
	k := min(m, n)
	u, v := basis(seed, m, k), basis(seed+1, n, k)
	u.Apply(func(_, j int, x float64) float64 { return x * math.Pow(fall, float64(j)) }, u)
	var g mat.Dense
	g.Mul(u, v.T())
	return wgsltest.Narrowed(g.RawMatrix().Data)
}

// singular are the vectors of a float64 decomposition on the shorter side, a row each, with our
// signs, and the singular values.
func singular(x []float32, m, n int) ([][]float64, []float64) {
	var svd mat.SVD
	if !svd.Factorize(mat.NewDense(m, n, wgsltest.Widened(x)), mat.SVDThin) {
		panic("no decomposition")
	}
	var side mat.Dense
	if m >= n {
		svd.VTo(&side)
	} else {
		svd.UTo(&side)
	}
	rows, k := side.Dims()
	list := make([][]float64, k)
	for j := range list {
		list[j] = make([]float64, rows)
		most := 0
		for i := range rows {
			if list[j][i] = side.At(i, j); math.Abs(list[j][i]) > math.Abs(list[j][most]) {
				most = i
			}
		}
		if list[j][most] < 0 {
			for i := range list[j] {
				list[j][i] = -list[j][i]
			}
		}
	}
	return list, svd.Values(nil)
}

// singularCase computes a basis on a device and returns its vectors, a row each.
func singularCase(t *testing.T, d gpu.Device, dtype gpu.DType, x []float32, m, n, rank int,
	before []float32) [][]float64 {
	t.Helper()
	shape := []int{rank, n}
	if m < n {
		shape = []int{m, rank}
	}
	basis, g := gputest.Tensor(t, d, "basis", before, shape...), gputest.TensorOf(t, d, dtype, "g", x, m, n)
	var room []gpu.Tensor
	for _, s := range SingularRoom(rank, m, n) {
		room = append(room, wgsltest.Dirty(t, d, gpu.F32, "room", s...))
	}
	stats := clipped(t, d, 1, 1)
	wgsltest.Run(t, d, func(p *gpu.Pass) {
		SingularBasis(p, basis, g, stats, room, before == nil, Draw{Key: 3, Count: 4})
	})
	wgsltest.Unchanged(t, d, g, x)
	wgsltest.ZeroPadding(t, d, basis, room[0], room[1])
	got := gputest.Read(t, d, basis)
	list := make([][]float64, rank)
	for i := range list {
		list[i] = make([]float64, min(m, n))
		for j := range list[i] {
			if m < n {
				list[i][j] = float64(got[j*rank+i])
			} else {
				list[i][j] = float64(got[i*n+j])
			}
		}
	}
	bad, was := clipped(t, d, float32(math.NaN()), 0), wgsltest.Words(t, d, basis)
	wgsltest.Run(t, d, func(p *gpu.Pass) {
		SingularBasis(p, basis, g, bad, room, true, Draw{Key: 5, Count: 4})
	})
	for i, w := range wgsltest.Words(t, d, basis) {
		if w != was[i] {
			t.Fatal("a basis was written without a norm")
		}
	}
	return list
}

// Singular vectors, signs included, are those of a decomposition in float64, both ways round,
// squares, ranks up to the whole, with and without a basis to begin with.
func TestSingularBasis(t *testing.T) {
	for _, c := range []struct {
		m, n, rank int
		fall       float64
	}{{1, 1, 1, 1}, {5, 1, 1, 1}, {16, 16, 16, 0.8}, {24, 16, 4, 0.7}, {16, 40, 4, 0.7}, {70, 33, 9, 0.85},
		{33, 70, 9, 0.85}, {130, 64, 16, 0.9}} {
		for _, dtype := range []gpu.DType{gpu.F32, gpu.BF16} {
			x := wgsltest.Stored(dtype, spectral(7, c.m, c.n, c.fall))
			for i := range x { // as small as gradients are
				x[i] *= 1.0 / 4096
			}
			want, _ := singular(x, c.m, c.n)
			t.Run(fmt.Sprint(c, dtype), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					near := wgsltest.Random(5, c.rank*min(c.m, c.n), 1)
					for _, before := range [][]float32{nil, near} {
						got := singularCase(t, d, dtype, x, c.m, c.n, c.rank, before)
						worst := 0.0
						for i, v := range got {
							for j := range v {
								worst = max(worst, math.Abs(v[j]-want[i][j]))
							}
						}
						if !(worst <= 5e-5) {
							t.Errorf("vectors are off by %g", worst)
						}
					}
				})
			})
		}
	}
}

// A matrix of zeros, and one of fewer singular values than are asked for, give orthogonal
// vectors and no NaN; those that matter are right.
func TestSingularBasisOfLowRank(t *testing.T) {
	const m, n, rank = 24, 16, 6
	low := spectral(9, m, n, 0.5)
	var svd mat.SVD
	svd.Factorize(mat.NewDense(m, n, wgsltest.Widened(low)), mat.SVDThin)
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	var two mat.Dense
	two.Mul(mat.DenseCopyOf(u.Slice(0, m, 0, 2)), mat.DenseCopyOf(v.Slice(0, n, 0, 2)).T())
	for i := range m { // of two singular values, 3 and 1
		for j := range n {
			two.Set(i, j, 3*u.At(i, 0)*v.At(j, 0)+u.At(i, 1)*v.At(j, 1))
		}
	}
	for what, x := range map[string][]float32{"zeros": make([]float32, m*n),
		"rank 2": wgsltest.Narrowed(two.RawMatrix().Data)} {
		t.Run(what, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				got := singularCase(t, d, gpu.F32, x, m, n, rank, nil)
				for i, a := range got {
					for j, b := range got {
						product := 0.0
						for k := range a {
							product += a[k] * b[k]
						}
						want := 0.0
						if i == j {
							want = 1
						}
						if !(math.Abs(product-want) <= 1e-4) {
							t.Errorf("vectors %d and %d have the product %g, want %g", i, j, product, want)
						}
					}
				}
				if what != "zeros" {
					want, _ := singular(x, m, n)
					for i := range 2 {
						for k := range want[i] {
							if math.Abs(got[i][k]-want[i][k]) > 1e-4 {
								t.Fatalf("vector %d: %v, want %v", i, got[i], want[i])
							}
						}
					}
				}
			})
		})
	}
}

// One round and one step against the references, on every device.
func TestSingularKernels(t *testing.T) {
	const rows, cols, other = 5, 70, 9
	x, y := wgsltest.Random(1, rows*cols, 1), wgsltest.Random(2, rows*other, 1)
	for round := range 5 {
		a, b := append([]float32(nil), x...), append([]float32(nil), y...)
		ref.JacobiRound(a, b, rows, 6, round)
		c := append([]float32(nil), x...)
		ref.OrthogonalStep(c, rows, round%rows)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tx, ty := gputest.Tensor(t, d, "x", x, rows, cols), gputest.Tensor(t, d, "y", y, rows, other)
			tc := gputest.Tensor(t, d, "c", x, rows, cols)
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				p.Run(gpu.Call{Kernel: jacobiRound, Groups: [3]int{3, 1, 1}, Tensors: p.Tensors(tx, ty),
					Params: p.Params(rows, 6, uint32(round), uint32(tx.Stride()/4), uint32(ty.Stride()/4))})
				p.Run(gpu.Call{Kernel: orthogonalStep, Groups: [3]int{rows, 1, 1}, Tensors: p.Tensors(tc),
					Params: p.Params(rows, uint32(tc.Stride()/4), uint32(round%rows))})
			})
			tol := wgsltest.Tolerance{Abs: 2e-6, Rel: 1e-5}
			wgsltest.Compare(t, "x", gputest.Read(t, d, tx), a, tol)
			wgsltest.Compare(t, "y", gputest.Read(t, d, ty), b, tol)
			wgsltest.Compare(t, "orthogonal", gputest.Read(t, d, tc), c, tol)
		})
	}
}
