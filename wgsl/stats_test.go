package wgsl

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

func TestSumLosses(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 1000, 200000} {
		losses, stats := wgsltest.Random(1, n, 1), wgsltest.Random(2, StatWords, 1)
		want := slices.Clone(stats)
		ref.SumLosses(want, losses, n)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tl, ts := gputest.Tensor(t, d, "losses", losses, n), gputest.Tensor(t, d, "stats", stats, StatWords)
			wgsltest.Run(t, d, func(p *gpu.Pass) { SumLosses(p, ts, tl, n) })
			wgsltest.Compare(t, "stats", gputest.Read(t, d, ts), want,
				wgsltest.Tolerance{Abs: 1e-6 * math.Sqrt(float64(n)), Rel: 1e-6})
			wgsltest.Unchanged(t, d, tl, losses)
		})
	}
}

func TestClipScale(t *testing.T) {
	for _, shape := range [][2]int{{1, 1}, {3, 5}, {1, 63}, {1, 64}, {1, 65}, {1, normPart - 8}, {2, normPart / 2},
		{1, normPart + 1}, {3, normPart + 100}} {
		for _, grad := range []gpu.DType{gpu.F32, gpu.BF16} {
			for _, most := range []float32{0, 0.5, 1e6} {
				rows, c := shape[0], shape[1]
				n := rows * c
				// two gradients, one norm
				a, b := wgsltest.Stored(grad, wgsltest.Random(1, n, 1)), wgsltest.Stored(grad,
					wgsltest.Random(2, n, 0.1))
				parts := SquaredNormParts(gpu.Spec{DType: grad, Shape: shape[:]})
				second := gpu.Padded(parts) // where the second one's sums begin
				partials, stats := make([]float32, second+parts+1), wgsltest.Random(4, StatWords, 1)
				partials[second+parts] = 3
				sum := 0.0
				for _, x := range append(wgsltest.Widened(a), wgsltest.Widened(b)...) {
					sum += x * x
				}
				want := slices.Clone(stats)
				ref.ClipScale(want, []float32{float32(sum)}, 1, most)
				t.Run(fmt.Sprint(shape, grad, most), func(t *testing.T) {
					gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
						ta, tb := gputest.TensorOf(t, d, grad, "a", a, rows, c), gputest.TensorOf(t, d, grad, "b", b,
							rows, c)
						tp, ts := gputest.Tensor(t, d, "partials", partials, len(partials)), gputest.Tensor(t, d,
							"stats", stats, StatWords)
						wgsltest.Run(t, d, func(p *gpu.Pass) {
							if at := SquaredNorms(p, tp, ta, tb); at != second+parts {
								t.Errorf("partial sums end at %d, want %d", at, second+parts)
							}
							ClipScale(p, ts, tp, second+parts, most)
						})
						wgsltest.Compare(t, "stats", gputest.Read(t, d, ts), want,
							wgsltest.Tolerance{Abs: 1e-30, Rel: 1e-5})
						wgsltest.Compare(t, "the partial after the last", gputest.Read(t, d, tp)[second+parts:],
							[]float32{3}, wgsltest.Equal)
						wgsltest.Unchanged(t, d, ta, a)
						wgsltest.Unchanged(t, d, tb, b)
					})
				})
			}
		}
	}
}

// More gradients than a call takes, of sizes around those of a workgroup and of a part:
// their partial sums lie where they are said to, and are the same bits where each
// gradient has a call of its own, and where it is bound in parts.
func TestSquaredNorms(t *testing.T) {
	shapes := [][2]int{{3, 5}, {7, normPart - 100}, {1, 1}, {1, normPart}, {1, normPart + 1}, {2, normPart}, {1, 64},
		{100, 9}, {9, normPart / 3}}
	for _, grad := range []gpu.DType{gpu.F32, gpu.BF16} {
		var ends []int // of each gradient's sums
		var values, want []float32
		for i, shape := range shapes {
			x := wgsltest.Stored(grad, wgsltest.Random(uint64(i), shape[0]*shape[1], 1))
			values = append(values, x...)
			spec := gpu.Spec{DType: grad, Shape: shape[:]}
			padded := make([]float32, shape[0]*spec.Stride())
			for row := range shape[0] {
				copy(padded[row*spec.Stride():], x[row*shape[1]:][:shape[1]])
			}
			at := gpu.Padded(len(want))
			for len(want) < at {
				want = append(want, -1) // what lies between is not written
			}
			want = append(want, make([]float32, SquaredNormParts(spec))...)
			ref.SquaredNorm(want, padded, at)
			ends = append(ends, len(want))
		}
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			blank := make([]float32, len(want))
			for i := range blank {
				blank[i] = -1
			}
			partials := func(name string) gpu.Tensor { return gputest.Tensor(t, d, name, blank, len(want)) }
			all, parts := partials("all"), partials("parts")
			var grads []gpu.Tensor
			for i, shape := range shapes {
				n := shape[0] * shape[1]
				grads, values = append(grads, gputest.TensorOf(t, d, grad, fmt.Sprint("grad ", i), values[:n],
					shape[:]...)), append(values[n:], values[:n]...)
			}
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				if end := SquaredNorms(p, all, grads...); end != len(want) {
					t.Errorf("partial sums end at %d, want %d", end, len(want))
				}
			})
			got := gputest.Read(t, d, all)
			wgsltest.Compare(t, "partials", got, want, wgsltest.Tolerance{Abs: 0, Rel: 1e-5})
			for i, g := range grads {
				one, n := partials("one"), SquaredNormParts(g.Spec)
				wgsltest.Run(t, d, func(p *gpu.Pass) { SquaredNorms(p, one, g) })
				wgsltest.Compare(t, fmt.Sprint("partials of gradient ", i, " alone"), gputest.Read(t, d, one)[:n],
					got[ends[i]-n:ends[i]], wgsltest.Equal)
			}
			defer gpu.RestrictBinding(d, 2*4*normPart)()
			wgsltest.Run(t, d, func(p *gpu.Pass) { SquaredNorms(p, parts, grads...) })
			wgsltest.SameWords(t, d, parts, all)
		})
	}
}

// notFinite are gradients whose norm is not; the square of the last overflows.
var notFinite = []float32{float32(math.NaN()), float32(math.Inf(-1)), 1e30}

func TestClipScaleNotFinite(t *testing.T) {
	for _, bad := range notFinite {
		for _, grad := range []gpu.DType{gpu.F32, gpu.BF16} {
			for _, most := range []float32{0, 1} {
				g := wgsltest.Random(1, 100, 1)
				g[77] = bad
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					tg, tp := gputest.TensorOf(t, d, grad, "grad", g, 100), gputest.Tensor(t, d, "partials", nil, 1)
					ts := gputest.Tensor(t, d, "stats", wgsltest.Random(2, StatWords, 1), StatWords)
					wgsltest.Run(t, d, func(p *gpu.Pass) { ClipScale(p, ts, tp, SquaredNorms(p, tp, tg), most) })
					stats := gputest.Read(t, d, ts)
					if finite(stats[StatNorm]) {
						t.Errorf("gradient %g: norm %g, want it not finite", bad, stats[StatNorm])
					}
					if stats[StatScale] != 0 {
						t.Errorf("gradient %g: scale %g, want 0", bad, stats[StatScale])
					}
				})
			}
		}
	}
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }

// Three parameters' gradients of norms 5, 0 and 12, each clipped by itself; the whole
// one has norm 13.
func TestReleaseScale(t *testing.T) {
	for _, c := range []struct {
		most   float32
		scales [3]float32
	}{
		{6, [3]float32{1, 1, 0.5}},
		{2.5, [3]float32{0.5, 1, 2.5 / 12.}},
		{0, [3]float32{1, 1, 1}},
	} {
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			ts, norms := gputest.Tensor(t, d, "stats", []float32{7, 1, 1, 0, 0, 0, 0, 0}, StatWords), [3]float32{5, 0,
				12}
			for i, squares := range [][]float32{{9, 16, 1e9}, {0, 0, 1e9}, {44, 100, 1e9}} {
				tp := gputest.Tensor(t, d, "partials", squares, 3)
				wgsltest.Run(t, d, func(p *gpu.Pass) { ReleaseScale(p, ts, tp, 2, c.most) })
				stats := gputest.Read(t, d, ts)
				wgsltest.Compare(t, "norm and scale", stats[StatNorm:StatScale+1], []float32{norms[i], c.scales[i]},
					wgsltest.Tolerance{Abs: 0, Rel: 1e-6})
			}
			wgsltest.Run(t, d, func(p *gpu.Pass) { ReleaseNorm(p, ts) })
			stats := gputest.Read(t, d, ts)
			wgsltest.Compare(t, "the whole", []float32{stats[StatLoss], stats[StatNorm], stats[StatSquares]},
				[]float32{7, 13, 169}, wgsltest.Tolerance{Abs: 0, Rel: 1e-6})
		})
	}
}

// After a gradient or a loss that is not finite nothing is updated any more, and the
// whole norm says so.
func TestReleaseScaleNotFinite(t *testing.T) {
	for _, bad := range append([]float32{float32(math.Inf(1))}, notFinite[:2]...) {
		for _, loss := range []bool{false, true} {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				ts, good, tp := gputest.Tensor(t, d, "stats", nil, StatWords), gputest.Tensor(t, d, "good",
					[]float32{4}, 1), gputest.Tensor(t, d, "bad", []float32{bad}, 1)
				if loss {
					ts, tp = gputest.Tensor(t, d, "stats", []float32{bad, 0, 0, 0, 0, 0, 0, 0}, StatWords), good
				}
				for i, partials := range []gpu.Tensor{good, tp, good} {
					wgsltest.Run(t, d, func(p *gpu.Pass) { ReleaseScale(p, ts, partials, 1, 1) })
					stats := gputest.Read(t, d, ts)
					if updates := i == 0 && !loss; finite(stats[StatNorm]) != updates ||
						(stats[StatScale] > 0) != updates {
						t.Errorf("%g in a loss: %t, gradient %d: norm %g, scale %g", bad, loss, i, stats[StatNorm],
							stats[StatScale])
					}
				}
				wgsltest.Run(t, d, func(p *gpu.Pass) { ReleaseNorm(p, ts) })
				if norm := gputest.Read(t, d, ts)[StatNorm]; finite(norm) {
					t.Errorf("%g in a loss: %t: the whole norm is %g", bad, loss, norm)
				}
			})
		}
	}
}

func TestOneWorkgroupRefuses(t *testing.T) {
	const n = 64*kernel.MaxWalk + 1
	d := gpu.NewHost()
	var x gpu.Tensor
	stats, list, long := gputest.Tensor(t, d, "stats", nil, StatWords), gputest.Tensor(t, d, "list", nil,
		9), gputest.Tensor(t, d, "long", nil, normPart+1)
	for want, record := range map[string]func(p *gpu.Pass){
		"sum_losses: 4192001 elements, at most 4192000": func(p *gpu.Pass) { SumLosses(p, x, x, n) },
		"clip_scale: 4192001 elements, at most 4192000": func(p *gpu.Pass) { ClipScale(p, x, x, n, 1) },
		"release_scale: 4192001 elements, at most 4192000": func(p *gpu.Pass) {
			ReleaseScale(p, x, x, n, 1)
		},
		"cross_entropy_forward: 33536001 columns, at most 33536000": func(p *gpu.Pass) {
			CrossEntropyForward(p, x, x, x, 0, 1, 8*64*kernel.MaxWalk+1)
		},
		"cross_entropy: 16768001 columns, at most 16768000": func(p *gpu.Pass) {
			CrossEntropy(p, x, x, x, 0, 1, 8*64*(kernel.MaxWalk/2)+1, 1)
		},
		"sum_losses: 10 elements of tensor list, which has 9": func(p *gpu.Pass) {
			SumLosses(p, stats, list, 10)
		},
		"squared_norms: partial sums 8 to 10 of tensor list, which has": func(p *gpu.Pass) {
			SquaredNorms(p, list, stats, long)
		},
		"squared_norms: no tensor": func(p *gpu.Pass) { SquaredNorms(p, list, x) },
		"zero: no tensor":          func(p *gpu.Pass) { Zero(p, x) },
	} {
		p := d.Begin("refuse")
		record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
