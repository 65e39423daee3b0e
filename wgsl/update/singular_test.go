package update

import (
	"fmt"
	"math"
	"slices"
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

// scaled makes an (m, n) matrix with given singular values, in bases at random.
func scaled(seed uint64, m, n int, values []float64) []float32 {
	var svd mat.SVD
	if !svd.Factorize(mat.NewDense(m, n, wgsltest.Widened(wgsltest.Random(seed, m*n, 1))), mat.SVDThin) {
		panic("no decomposition")
	}
	var u, v, g mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	u.Apply(func(_, j int, x float64) float64 { return x * values[j] }, &u)
	g.Mul(&u, v.T())
	return wgsltest.Narrowed(g.RawMatrix().Data)
}

// orthonormality is how far products of vectors are from 0, and of a vector with itself from 1.
func orthonormality(list [][]float64) float64 {
	worst := 0.0
	for i, a := range list {
		for j, b := range list {
			product := 0.0
			for k := range a {
				product += a[k] * b[k]
			}
			if i == j {
				product--
			}
			worst = max(worst, math.Abs(product))
		}
	}
	return worst
}

// Vectors are orthonormal and show as much of a matrix as those of float64 do, but for what six powers leave where
// values hardly fall beyond the rank. Where they fall by five decimal orders within it, each vector is off by little
// more than rounding of the matrix would make it, that is by the last bit of the first value over the distance to the
// next value.
func TestSingularBasisOfSpectra(t *testing.T) {
	const m, n, rank = 90, 70, 40
	for what, c := range map[string]struct {
		value         func(i int) float64
		space, vector float64 // most share that is lost; most errors of rounding, where vectors are compared
	}{
		"steep": {func(i int) float64 { return math.Pow(10, -5*float64(i)/rank) }, 2e-7, 2},
		"even":  {func(i int) float64 { return 1 - 0.9*float64(i)/n }, 2e-5, 0},
		"one": {func(i int) float64 {
			if i == 0 {
				return 1
			}
			return 1e-4 * (2 - float64(i)/n)
		}, 4e-7, 0},
	} {
		values := make([]float64, n)
		for i := range values {
			values[i] = c.value(i)
		}
		for _, shape := range [][2]int{{m, n}, {n, m}} {
			x := scaled(3, shape[0], shape[1], values)
			want, exact := singular(x, shape[0], shape[1])
			t.Run(fmt.Sprint(what, shape), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					for _, before := range [][]float32{nil, wgsltest.Random(5, rank*n, 1)} {
						got := singularCase(t, d, gpu.F32, x, shape[0], shape[1], rank, before)
						if worst := orthonormality(got); !(worst <= 2e-6) {
							t.Errorf("products of vectors are off by %g", worst)
						}
						shown, most, worst := 0.0, 0.0, 0.0
						for i, v := range got {
							shown, most = shown+length(x, shape[0], shape[1], v), most+exact[i]*exact[i]
							distance := exact[i] - exact[i+1]
							if i > 0 {
								distance = min(distance, exact[i-1]-exact[i])
							}
							worst = max(worst, apart(v, want[i])/(0x1p-24*exact[0]/distance))
						}
						t.Logf("%.2g of the space is lost, vectors are off by %.3g of rounding", 1-shown/most, worst)
						if !(1-shown/most <= c.space) || c.vector > 0 && !(worst <= c.vector) {
							t.Errorf("lost %g, at most %g; off by %g of rounding, at most %g", 1-shown/most, c.space,
								worst, c.vector)
						}
					}
				})
			})
		}
	}
}

// apart is the distance of two vectors of either sign: of two largest entries either may be the larger one.
func apart(a, b []float64) float64 {
	same, other := 0.0, 0.0
	for i := range a {
		same, other = same+(a[i]-b[i])*(a[i]-b[i]), other+(a[i]+b[i])*(a[i]+b[i])
	}
	return math.Sqrt(min(same, other))
}

// length is the square of what an (m, n) matrix makes of a vector of its shorter side.
func length(x []float32, m, n int, v []float64) float64 {
	g, sum := mat.NewDense(m, n, wgsltest.Widened(x)), mat.NewVecDense(max(m, n), nil)
	if m < n {
		sum.MulVec(g.T(), mat.NewVecDense(m, v))
	} else {
		sum.MulVec(g, mat.NewVecDense(n, v))
	}
	return mat.Dot(sum, sum)
}

// A matrix of zeros, one of ones and one of fewer singular values than are asked for give orthogonal vectors and no
// NaN, in one panel and in several; those that matter are right.
func TestSingularBasisOfLowRank(t *testing.T) {
	for _, c := range []struct{ m, n, rank int }{{24, 16, 6}, {50, 70, 30}} {
		ones := make([]float32, c.m*c.n)
		for i := range ones {
			ones[i] = 1.0 / 1024
		}
		two := make([]float64, min(c.m, c.n))
		two[0], two[1] = 3, 1
		for what, x := range map[string][]float32{"zeros": make([]float32, c.m*c.n), "ones": ones,
			"rank 2": scaled(9, c.m, c.n, two)} {
			right := map[string]int{"ones": 1, "rank 2": 2}[what]
			t.Run(fmt.Sprint(what, c), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					got := singularCase(t, d, gpu.F32, x, c.m, c.n, c.rank, nil)
					if worst := orthonormality(got); !(worst <= 1e-5) {
						t.Errorf("products of vectors are off by %g", worst)
					}
					want, _ := singular(x, c.m, c.n)
					for i := range right {
						for k := range want[i] {
							if !(math.Abs(got[i][k]-want[i][k]) <= 1e-5) {
								t.Fatalf("vector %d: %v, want %v", i, got[i], want[i])
							}
						}
					}
				})
			})
		}
	}
}

// A panel, a triangle and a round against the references, on every device, at the sizes around a panel, a block and a
// vector of four.
func TestSingularKernels(t *testing.T) {
	for _, c := range []struct{ rows, cols int }{{1, 1}, {5, 70}, {15, 31}, {16, 32}, {17, 33}, {32, 129}, {33, 40},
		{50, 64}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			x, square := wgsltest.Random(1, c.rows*c.cols, 1), wgsltest.Random(2, c.rows*c.rows, 1)
			squares := make([]float32, c.rows)
			for i := range squares {
				squares[i] = float32(i + 1)
			}
			square[0] = 0
			tol := wgsltest.Tolerance{Abs: 2e-6, Rel: 1e-5}
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tx, want := gputest.Tensor(t, d, "x", x, c.rows, c.cols), slices.Clone(x)
				for first := 0; first < c.rows; first += ref.PanelRows {
					times := 1 + first/ref.PanelRows%2
					wgsltest.Run(t, d, func(p *gpu.Pass) { panel(p, tx, first, times) })
					ref.OrthogonalPanel(want, c.rows, first, times)
				}
				wgsltest.Compare(t, "panels", gputest.Read(t, d, tx), want, tol)
				wgsltest.ZeroPadding(t, d, tx)

				ts, want := gputest.Tensor(t, d, "triangle", square, c.rows, c.rows), slices.Clone(square)
				tq := gputest.Tensor(t, d, "squares", squares, c.rows)
				wgsltest.Run(t, d, func(p *gpu.Pass) { triangle(p, ts, tq) })
				ref.Triangle(want, squares, c.rows)
				wgsltest.Compare(t, "triangle", gputest.Read(t, d, ts), want, wgsltest.Tolerance{Abs: 1e-21, Rel: 1e-6})
				wgsltest.ZeroPadding(t, d, ts)

				y := slices.Clone(x)
				for i := range y { // Of rows as long as each other rounding would decide how they are turned.
					y[i] *= float32(math.Pow(0.9, float64(i/c.cols)))
				}
				for round := range jacobiBlockCount(c.rows) - 1 {
					ty, want := gputest.Tensor(t, d, "y", y, c.rows, c.cols), slices.Clone(y)
					wgsltest.Run(t, d, func(p *gpu.Pass) { jacobiRound(p, ty, round) })
					ref.JacobiBlocks(want, c.rows, jacobiBlockCount(c.rows), round)
					wgsltest.Compare(t, fmt.Sprint("round ", round), gputest.Read(t, d, ty), want,
						wgsltest.Tolerance{Abs: 1e-5, Rel: 1e-4})
					wgsltest.ZeroPadding(t, d, ty)
				}
			})
		})
	}
}
