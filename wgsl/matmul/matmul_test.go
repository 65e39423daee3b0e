package matmul

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

// everyVariant lists variants of each kind, for tests and benchmarks.
func everyVariant(transpose string, types dtypes) (list []variant) {
	for _, t := range []tile{
		{4, 4, 8, 1, 2, 0}, {8, 8, 8, 1, 2, 0}, {16, 16, 8, 1, map[string]int{"nn": 2, "nt": 4, "tn": 2}[transpose], 0},
		{4, 16, 8, 1, 4, 0},
		{16, 4, 8, 1, 8, 0}, {8, 8, 8, 8, 2, 0}, {4, 4, 16, 16, 4, 16}, {8, 8, 8, 8, 2, 8}, {8, 8, 1, 8, 4, 0},
		{8, 8, 2, 4, 4, 0},
	} {
		list = append(list, variant{tile: t, Transpose: transpose, Types: types})
	}
	return list
}

var everyTranspose = []string{"nn", "nt", "tn"}

// everyTypes are all types of out, a and b.
var everyTypes = func() (list []dtypes) {
	both := []gpu.DType{gpu.F32, gpu.BF16}
	for _, out := range both {
		for _, a := range both {
			for _, b := range both {
				list = append(list, dtypes{out, a, b})
			}
		}
	}
	return list
}()

// uniformTypes are those that everything large is tested with: compiling
// takes most of the time, and tiles and types do not know of each other.
var uniformTypes = []dtypes{{gpu.F32, gpu.F32, gpu.F32}, {gpu.BF16, gpu.BF16, gpu.BF16}}

// everyKernel lists kernels of every kind.
func everyKernel() []*gpu.Kernel {
	list := library.Kernels()
	for _, transpose := range everyTranspose {
		for _, types := range uniformTypes {
			for _, v := range everyVariant(transpose, types) {
				list = append(list, v.kernel())
			}
		}
	}
	return list
}

func TestMatmulDeclared(t *testing.T) { wgsltest.Declared(t, everyKernel()) }

func TestMatmulNoWordOfMetal(t *testing.T) { wgsltest.NoWordOfMetal(t, everyKernel()) }

func TestMatmulShaders(t *testing.T) { wgsltest.Shaders(t, everyKernel()) }

func (t dtypes) String() string { return fmt.Sprintf("%s %s %s", t[0], t[1], t[2]) }

var products = map[string]func(p *gpu.Pass, out, a, b gpu.Tensor, s Shape){"nn": NN, "nt": NT, "tn": TN}
var refProducts = map[string]func(out, a, b []float32, s ref.MatmulShape){
	"nn": ref.MatmulNN, "nt": ref.MatmulNT, "tn": ref.MatmulTN}

// shapesOf are the rows and columns of a and b.
func shapesOf(transpose string, s Shape) (a, b [2]int) {
	a, b = [2]int{s.M, s.K}, [2]int{s.K, s.N}
	if transpose == "tn" {
		a = [2]int{s.K, s.M}
	}
	if transpose == "nt" {
		b = [2]int{s.N, s.K}
	}
	return a, b
}

// exact is the product in float64.
func exact(transpose string, out, a, b []float32, s Shape) []float32 {
	c := make([]float32, s.M*s.N)
	for i := range s.M {
		for j := range s.N {
			sum := 0.0
			if s.Accumulate {
				sum = float64(out[i*s.N+j])
			}
			for k := range s.K {
				x, y := i*s.K+k, k*s.N+j
				if transpose == "tn" {
					x = k*s.M + i
				}
				if transpose == "nt" {
					y = j*s.K + k
				}
				sum += float64(s.Scale) * float64(a[x]) * float64(b[y])
			}
			c[i*s.N+j] = float32(sum)
		}
	}
	return c
}

// toleranceOf covers f32 sums of k products of values around 1: a device whose
// fma is exact differs from the reference, which computes the same chain, by next
// to nothing. A bf16 result is rounded once more.
func toleranceOf(k int, out gpu.DType) wgsltest.Tolerance {
	return wgsltest.Tolerance{Abs: 1e-6 * math.Sqrt(float64(k)), Rel: 1e-5}.In(out)
}

func TestMatmul(t *testing.T) {
	small := []Shape{
		{M: 1, N: 1, K: 1, Scale: 1}, {M: 2, N: 7, K: 1, Scale: 1, Accumulate: true}, {M: 7, N: 2, K: 2, Scale: 2},
		{M: 8, N: 15, K: 7, Scale: 1}, {M: 15, N: 16, K: 8, Scale: 0.5, Accumulate: true},
		{M: 16, N: 17, K: 15, Scale: 1, Accumulate: true},
		{M: 17, N: 8, K: 16, Scale: 1}, {M: 64, N: 1, K: 63, Scale: 1},
		{M: 33, N: 31, K: 257, Scale: 0.5, Accumulate: true},
	}
	large := []Shape{
		{M: 65, N: 63, K: 17, Scale: -1, Accumulate: true}, {M: 63, N: 64, K: 64, Scale: 1},
		{M: 16, N: 65, K: 33, Scale: 1},
		{M: 65, N: 129, K: 65, Scale: 0.5, Accumulate: true}, {M: 128, N: 128, K: 128, Scale: 1},
	}
	for _, transpose := range everyTranspose {
		for _, types := range gputest.Sample(everyTypes) {
			shapes := small
			if slices.Contains(uniformTypes, types) {
				shapes = slices.Concat(small, large)
			}
			for _, s := range shapes {
				sa, sb := shapesOf(transpose, s)
				a, b := wgsltest.Stored(types[1], wgsltest.Random(1, s.M*s.K, 1)), wgsltest.Stored(types[2],
					wgsltest.Random(2, s.K*s.N, 1))
				c := wgsltest.Stored(types[0], wgsltest.Random(3, s.M*s.N, 1))
				twin := slices.Clone(c)
				refProducts[transpose](twin, a, b,
					ref.MatmulShape{M: s.M, N: s.N, K: s.K, OutCols: s.N, ACols: sa[1], BCols: sb[1],
						Accumulate: s.Accumulate, Scale: s.Scale})
				wgsltest.Compare(t, "ref", twin, exact(transpose, c, a, b, s), toleranceOf(s.K, gpu.F32))
				t.Run(fmt.Sprintf("%s %s %dx%dx%d", transpose, types, s.M, s.N, s.K), func(t *testing.T) {
					gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
						x, y := gputest.TensorOf(t, d, types[1], "a", a, sa[0], sa[1]), gputest.TensorOf(t, d, types[2],
							"b", b, sb[0], sb[1])
						out := wgsltest.Dirty(t, d, types[0], "out", s.M, s.N)
						if s.Accumulate {
							out = gputest.TensorOf(t, d, types[0], "out", c, s.M, s.N)
						}
						wgsltest.Run(t, d, func(p *gpu.Pass) { products[transpose](p, out, x, y, s) })
						wgsltest.Compare(t, "out", gputest.Read(t, d, out), twin, toleranceOf(s.K, types[0]))
						wgsltest.ZeroPadding(t, d, out, x, y)
						wgsltest.Unchanged(t, d, x, a)
						wgsltest.Unchanged(t, d, y, b)
					})
				})
			}
		}
	}
}

// Every variant gives the same bits, on row chunks of larger tensors, and leaves
// the other rows alone.
func TestMatmulVariantsAgree(t *testing.T) {
	d := gputest.Adapter(t)
	s := Shape{M: 37, N: 70, K: 53, Scale: 1.5, Accumulate: true}
	const outRow, aRow, bRow, below = 3, 2, 1, 2
	for _, transpose := range everyTranspose {
		for _, types := range uniformTypes {
			sa, sb := shapesOf(transpose, s)
			a, b := wgsltest.Stored(types[1], wgsltest.Random(1, (aRow+sa[0]+below)*sa[1], 1)),
				wgsltest.Stored(types[2], wgsltest.Random(2, (bRow+sb[0]+below)*sb[1], 1))
			c := wgsltest.Stored(types[0], wgsltest.Random(3, (outRow+s.M+below)*s.N, 1))
			x, y := gputest.TensorOf(t, d, types[1], "a", a, aRow+sa[0]+below, sa[1]), gputest.TensorOf(t, d, types[2],
				"b", b, bRow+sb[0]+below, sb[1])
			var first gpu.Tensor
			for i, v := range gputest.Sample(everyVariant(transpose, types)) {
				out := gputest.TensorOf(t, d, types[0], v.name(), c, outRow+s.M+below, s.N)
				wgsltest.Run(t, d, func(p *gpu.Pass) {
					piece := piece{transposed: transposedOf(transpose), m: s.M, n: s.N, k: s.K, scale: s.Scale,
						accumulate: s.Accumulate, out: block{&out, outRow, 0}, a: block{&x, aRow, 0},
						b: block{&y, bRow, 0}}
					piece.runTile(p, v.tile)
				})
				if i > 0 {
					wgsltest.SameWords(t, d, out, first)
					continue
				}
				first = out
				want := exact(transpose, c[outRow*s.N:], a[aRow*sa[1]:], b[bRow*sb[1]:], s)
				want = slices.Concat(c[:outRow*s.N], want, c[(outRow+s.M)*s.N:])
				wgsltest.Compare(t, v.name(), gputest.Read(t, d, out), want,
					wgsltest.Tolerance{Abs: 1e-5, Rel: 1e-5}.In(types[0]))
				wgsltest.ZeroPadding(t, d, out)
			}
		}
	}
}

// Row chunks of tensors through the public functions; a device that binds little
// gives the bits of one that binds all, except that a bf16 result is rounded after
// every slice of k.
func TestMatmulInSlices(t *testing.T) {
	const outRow, aRow, bRow = 3, 2, 1
	for _, c := range []struct {
		s     Shape
		limit int64
		types []dtypes
	}{
		{Shape{M: 70, N: 31, K: 90, OutRow: outRow, ARow: aRow, BRow: bRow, Scale: 2, Accumulate: true}, 5120,
			everyTypes},
		{Shape{M: 41, N: 201, K: 37, OutRow: outRow, ARow: aRow, BRow: bRow}, 12288, uniformTypes},
		{Shape{M: 9, N: 31, K: 700, OutRow: outRow, ARow: aRow, BRow: bRow}, 25600, uniformTypes},
	} {
		for _, transpose := range everyTranspose {
			for _, types := range c.types {
				s := c.s
				sa, sb := shapesOf(transpose, s)
				// Positive, so that sums only grow and so does what rounding them does.
				positive := func(seed uint64, n int) []float32 {
					x := wgsltest.Random(seed, n, 1)
					for i := range x {
						x[i] = max(x[i], -x[i])
					}
					return x
				}
				t.Run(fmt.Sprintf("%s %s %dx%dx%d", transpose, types, s.M, s.N, s.K), func(t *testing.T) {
					gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
						x := gputest.TensorOf(t, d, types[1], "a", positive(1, (aRow+sa[0])*sa[1]), aRow+sa[0], sa[1])
						y := gputest.TensorOf(t, d, types[2], "b", positive(2, (bRow+sb[0])*sb[1]), bRow+sb[0], sb[1])
						whole := gputest.TensorOf(t, d, types[0], "out", positive(3, (outRow+s.M)*s.N), outRow+s.M, s.N)
						sliced := gputest.TensorOf(t, d, types[0], "out in slices", positive(3, (outRow+s.M)*s.N),
							outRow+s.M, s.N)
						wgsltest.Run(t, d, func(p *gpu.Pass) { products[transpose](p, whole, x, y, s) })
						defer gpu.RestrictBinding(d, c.limit)()
						calls := d.Begin("slices")
						products[transpose](calls, sliced, x, y, s)
						if err := calls.End(); err != nil {
							t.Fatal(err)
						}
						wgsltest.ZeroPadding(t, d, whole, sliced)
						if types[0] == gpu.F32 || transpose == "nt" {
							wgsltest.SameWords(t, d, sliced, whole)
							return
						}
						// Slices of k have 8 rows and more; each rounds by 2^-9.
						wgsltest.Compare(t, "slices", gputest.Read(t, d, sliced), gputest.Read(t, d, whole),
							wgsltest.Tolerance{Abs: 1e-30, Rel: float64(s.K/8+1) / 512})
					})
				})
			}
		}
	}
}

func TestMatmulLongSum(t *testing.T) {
	const k = kernel.MaxLoop + 1000
	a, b := wgsltest.Random(1, k, 1), wgsltest.Random(2, k, 1)
	s := Shape{M: 1, N: 1, K: k, Scale: 1}
	want := exact("nt", nil, a, b, s)
	for _, transpose := range everyTranspose {
		sa, sb := shapesOf(transpose, s)
		t.Run(transpose, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				x, y, out := gputest.Tensor(t, d, "a", a, sa[0], sa[1]), gputest.Tensor(t, d, "b", b, sb[0],
					sb[1]), gputest.Tensor(t, d, "out", nil, 1)
				wgsltest.Run(t, d, func(p *gpu.Pass) { products[transpose](p, out, x, y, s) })
				wgsltest.Compare(t, "long sum", gputest.Read(t, d, out), want, wgsltest.Tolerance{Abs: 2e-2, Rel: 1e-4})
			})
		})
	}
}

func TestMatmulRefuses(t *testing.T) {
	d := gpu.NewHost()
	out, x, y := gputest.Tensor(t, d, "out", nil, 2, 3), gputest.Tensor(t, d, "x", nil, 2, 4), gputest.Tensor(t, d, "y",
		nil, 4, 3)
	wide, ids := gputest.Tensor(t, d, "wide", nil, 40, 1000), gputest.Indices(t, d, "ids", make([]uint32, 4))
	for _, c := range []struct {
		out, a, b gpu.Tensor
		s         Shape
		want      string
	}{
		{out, x, y, Shape{M: 0, N: 3, K: 4}, "0 x 3 x 4, every size must be 1 or more"},
		{out, x, y, Shape{M: 2, N: 3, K: 5}, "tensor x has 4 columns where 5 are needed"},
		{out, x, y, Shape{M: 2, N: 2, K: 4}, "tensor out has 3 columns where 2 are needed"},
		{out, x, y, Shape{M: 2, N: 3, K: 4, OutRow: 1}, "rows 1 to 3 of tensor out, which has 2"},
		{out, x, y, Shape{M: 2, N: 3, K: 4, ARow: -1}, "rows -1 to 1 of tensor x, which has 2"},
		{out, x, y, Shape{M: 2, N: 3, K: 4, BRow: 1}, "rows 1 to 5 of tensor y, which has 4"},
		{out, ids, y, Shape{M: 1, N: 3, K: 4}, `tensor ids is u32 where f32 or bf16 is needed`},
		{out, gpu.Tensor{}, y, Shape{M: 2, N: 3, K: 4}, "no tensor where (2, 4) is needed"},
		{wide, wide, wide, Shape{M: 40, N: 1000, K: 40}, "tensor wide has 1000 columns where 40 are needed"},
		{wide, x, gputest.Tensor(t, d, "tall", nil, 4, 1000), Shape{M: 2, N: 1000, K: 4},
			"the device binds 10000 bytes, too few for 8 rows of wide"},
	} {
		restore := gpu.RestrictBinding(d, 10000)
		p := d.Begin("bad")
		NN(p, c.out, c.a, c.b, c.s)
		restore()
		if err := p.End(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func BenchmarkMatmul(b *testing.B) {
	d := gputest.Adapter(b)
	for _, s := range []Shape{{M: 1024, N: 1024, K: 1024, Scale: 1}, {M: 128, N: 4096, K: 1024, Scale: 1},
		{M: 1024, N: 4096, K: 128, Scale: 1}} {
		for _, transpose := range everyTranspose {
			for _, types := range []dtypes{{gpu.F32, gpu.F32, gpu.F32}, {gpu.BF16, gpu.BF16, gpu.BF16}} {
				sa, sb := shapesOf(transpose, s)
				x, y := gputest.TensorOf(b, d, types[1], "a", wgsltest.Random(1, s.M*s.K, 1), sa[0],
					sa[1]), gputest.TensorOf(b, d, types[2], "b", wgsltest.Random(2, s.K*s.N, 1), sb[0], sb[1])
				out := gputest.TensorOf(b, d, types[0], "out", nil, s.M, s.N)
				for _, v := range everyVariant(transpose, types) {
					b.Run(fmt.Sprintf("%dx%dx%d/%s", s.M, s.N, s.K, v.name()), func(b *testing.B) {
						for range b.N {
							p := d.Begin("bench")
							piece := piece{transposed: transposedOf(transpose), m: s.M, n: s.N, k: s.K, scale: s.Scale,
								out: block{&out, 0, 0}, a: block{&x, 0, 0}, b: block{&y, 0, 0}}
							piece.runTile(p, v.tile)
							if err := p.End(); err != nil {
								b.Fatal(err)
							}
							if err := d.Read(out, 0, make([]uint32, 1)); err != nil {
								b.Fatal(err)
							}
						}
						b.ReportMetric(2*float64(s.M)*float64(s.N)*float64(s.K)*float64(b.N)/b.Elapsed().Seconds()/1e9,
							"GFLOP/s")
					})
				}
			}
		}
	}
}
