package wgsl

import (
	"fmt"
	"math"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

// everyMatmul lists variants of each kind, for tests and benchmarks.
func everyMatmul(transpose string) []matmulVariant {
	return []matmulVariant{
		{transpose, 4, 4, 8, 1, 0}, {transpose, 8, 8, 8, 1, 0}, {transpose, 16, 16, 8, 1, 0}, {transpose, 4, 16, 8, 1, 0},
		{transpose, 16, 4, 8, 1, 0}, {transpose, 8, 8, 8, 8, 0}, {transpose, 4, 4, 16, 16, 16}, {transpose, 8, 8, 8, 8, 8},
	}
}

// Matmul kernels are made when first used; the tests of all kernels see these.
var _ = func() int {
	for _, transpose := range []string{"nn", "nt", "tn"} {
		for _, v := range everyMatmul(transpose) {
			all = append(all, v.kernel())
		}
	}
	return len(all)
}()

var matmuls = map[string]func(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape){"nn": MatmulNN, "nt": MatmulNT, "tn": MatmulTN}
var refMatmuls = map[string]func(out, a, b []float32, s ref.MatmulShape){"nn": ref.MatmulNN, "nt": ref.MatmulNT, "tn": ref.MatmulTN}

// exact is the product in float64.
func exact(transpose string, out, a, b []float32, s MatmulShape) []float32 {
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

func TestMatmul(t *testing.T) {
	shapes := []MatmulShape{
		{M: 1, N: 1, K: 1, Scale: 1}, {M: 1, N: 65, K: 7, Scale: 1}, {M: 63, N: 1, K: 64, Scale: 2},
		{M: 16, N: 128, K: 33, Scale: 1, Accumulate: true}, {M: 65, N: 129, K: 17, Scale: 0.5, Accumulate: true},
		{M: 17, N: 15, K: 200, Scale: 1}, {M: 128, N: 64, K: 64, Scale: 1},
	}
	for transpose, mul := range matmuls {
		for _, s := range shapes {
			a, b, c := random(1, s.M*s.K, 1), random(2, s.K*s.N, 1), random(3, s.M*s.N, 1)
			want := exact(transpose, c, a, b, s)
			twin := append([]float32(nil), c...)
			refMatmuls[transpose](twin, a, b, ref.MatmulShape{M: s.M, N: s.N, K: s.K, End: s.K, Accumulate: s.Accumulate, Scale: s.Scale})
			tol := tolerance{1e-6 * math.Sqrt(float64(s.K)), 1e-5}
			compare(t, "ref", twin, want, tol)
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				x, y, out := gputest.Tensor(t, d, "a", a, len(a)), gputest.Tensor(t, d, "b", b, len(b)), gputest.Tensor(t, d, "out", c, len(c))
				run(t, d, func(p *gpu.Pass) { mul(p, out, x, y, s) })
				compare(t, fmt.Sprintf("%s %+v", transpose, s), gputest.Read(t, d, out), twin, tol)
				unchanged(t, d, x, a)
				unchanged(t, d, y, b)
			})
		}
	}
}

// Every variant gives the same bits, offsets and sums beyond the loop limit
// included.
func TestMatmulVariantsAgree(t *testing.T) {
	d := gputest.Adapter(t)
	s := MatmulShape{M: 37, N: 70, K: 53, Scale: 1.5, Accumulate: true, OutAt: 70, AAt: 53, BAt: 5}
	for _, transpose := range []string{"nn", "nt", "tn"} {
		a, b, c := random(1, 100+s.M*s.K, 1), random(2, 100+s.K*s.N, 1), random(3, 140+s.M*s.N, 1)
		x, y := gputest.Tensor(t, d, "a", a, len(a)), gputest.Tensor(t, d, "b", b, len(b))
		var first []float32
		for _, v := range everyMatmul(transpose) {
			out := gputest.Tensor(t, d, "out", c, len(c))
			bm, bn := v.block()
			run(t, d, func(p *gpu.Pass) {
				p.Run(gpu.Call{Kernel: v.kernel(), Tensors: []gpu.Tensor{out, x, y}, Groups: [3]int{gpu.Groups(s.N, bn), gpu.Groups(s.M, bm), 1},
					Params: []uint32{uint32(s.M), uint32(s.N), uint32(s.K), 0, uint32(s.K), 1, gpu.Param(s.Scale), uint32(s.OutAt), uint32(s.AAt), uint32(s.BAt)}})
			})
			got := gputest.Read(t, d, out)
			if first == nil {
				first = got
				compare(t, v.name(), got[s.OutAt:s.OutAt+s.M*s.N], exact(transpose, c[s.OutAt:], a[s.AAt:], b[s.BAt:], s), tolerance{1e-5, 1e-5})
			}
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(first[i]) {
					t.Fatalf("%s differs from %s at %d: %g, %g", v.name(), everyMatmul(transpose)[0].name(), i, got[i], first[i])
				}
				if (i < s.OutAt || i >= s.OutAt+s.M*s.N) && got[i] != c[i] {
					t.Fatalf("%s wrote outside its block at %d", v.name(), i)
				}
			}
		}
	}
}

func TestMatmulLongSum(t *testing.T) {
	const k = maxLoop + 1000
	a, b := random(1, k, 1), random(2, k, 1)
	s := MatmulShape{M: 1, N: 1, K: k, Scale: 1}
	want := exact("nt", nil, a, b, s)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		x, y, out := gputest.Tensor(t, d, "a", a, k), gputest.Tensor(t, d, "b", b, k), gputest.Tensor(t, d, "out", nil, 1)
		run(t, d, func(p *gpu.Pass) { MatmulNT(p, out, x, y, s) })
		compare(t, "long sum", gputest.Read(t, d, out), want, tolerance{2e-2, 1e-4})
	})
}

func TestMatmulRefusesBadShapes(t *testing.T) {
	d := gpu.NewHost()
	x := gputest.Tensor(t, d, "x", nil, 6)
	for _, s := range []MatmulShape{{M: 0, N: 1, K: 1}, {M: 2, N: 3, K: 4}, {M: 1, N: 2, K: 1, AAt: 6}} {
		p := d.Begin("bad")
		MatmulNN(p, x, x, x, s)
		if err := p.End(); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

func BenchmarkMatmul(b *testing.B) {
	d := gputest.Adapter(b)
	for _, s := range []MatmulShape{{M: 1024, N: 1024, K: 1024}, {M: 1024, N: 128, K: 128}, {M: 1024, N: 4096, K: 128}} {
		x, y := gputest.Tensor(b, d, "a", random(1, s.M*s.K, 1), s.M*s.K), gputest.Tensor(b, d, "b", random(2, s.K*s.N, 1), s.K*s.N)
		out := gputest.Tensor(b, d, "out", nil, s.M*s.N)
		for _, transpose := range []string{"nn", "nt", "tn"} {
			for _, v := range everyMatmul(transpose) {
				b.Run(fmt.Sprintf("%dx%dx%d/%s", s.M, s.N, s.K, v.name()), func(b *testing.B) {
					bm, bn := v.block()
					for range b.N {
						p := d.Begin("bench")
						p.Run(gpu.Call{Kernel: v.kernel(), Tensors: []gpu.Tensor{out, x, y}, Groups: [3]int{gpu.Groups(s.N, bn), gpu.Groups(s.M, bm), 1},
							Params: []uint32{uint32(s.M), uint32(s.N), uint32(s.K), 0, uint32(s.K), 0, gpu.Param(1), 0, 0, 0}})
						if err := p.End(); err != nil {
							b.Fatal(err)
						}
						if err := d.Read(out, 0, make([]uint32, 1)); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(2*float64(s.M)*float64(s.N)*float64(s.K)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
