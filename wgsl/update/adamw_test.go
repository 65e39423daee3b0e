package update

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl"
	"steplm/wgsl/update/ref"
	"steplm/wgsl/wgsltest"
)

// trained is a parameter on a device in one of the states.
type trained struct {
	planes []gpu.Tensor // the weight first
	step   func(p *gpu.Pass, grad, stats gpu.Tensor, o AdamW)
	master func(t *testing.T, d gpu.Device) []float32
	// moments as they are stored
	moments func(t *testing.T, d gpu.Device) (m, v []float32)
}

// states make a parameter of values with zero moments; the name is the one of their
// kernels.
var states = map[string]func(t *testing.T, d gpu.Device, values []float32, rows, c int) trained{
	"adamw_f32": func(t *testing.T, d gpu.Device, values []float32, rows, c int) trained {
		weight, m, v := gputest.Tensor(t, d, "weight", values, rows, c), gputest.Tensor(t, d, "m", nil, rows,
			c), gputest.Tensor(t, d, "v", nil, rows, c)
		return trained{
			planes:  []gpu.Tensor{weight, m, v},
			step:    func(p *gpu.Pass, grad, stats gpu.Tensor, o AdamW) { AdamWF32(p, weight, m, v, grad, stats, o) },
			master:  func(t *testing.T, d gpu.Device) []float32 { return gputest.Read(t, d, weight) },
			moments: plainMoments(m, v),
		}
	},
	"adamw_paper": func(t *testing.T, d gpu.Device, values []float32, rows, c int) trained {
		weight, _ := halves(t, d, values, rows, c)
		master, m, v := gputest.Tensor(t, d, "master", values, rows, c), gputest.Tensor(t, d, "m", nil, rows,
			c), gputest.Tensor(t, d, "v", nil, rows, c)
		return trained{
			planes: []gpu.Tensor{weight, master, m, v},
			step: func(p *gpu.Pass, grad, stats gpu.Tensor, o AdamW) {
				AdamWPaper(p, weight, master, m, v, grad, stats, o)
			},
			master:  func(t *testing.T, d gpu.Device) []float32 { return gputest.Read(t, d, master) },
			moments: plainMoments(m, v),
		}
	},
	"adamw_split": func(t *testing.T, d gpu.Device, values []float32, rows, c int) trained {
		weight, low := halves(t, d, values, rows, c)
		m, v := gputest.Tensor(t, d, "m", nil, rows, c), gputest.Tensor(t, d, "v", nil, rows, c)
		return trained{
			planes: []gpu.Tensor{weight, low, m, v},
			step: func(p *gpu.Pass, grad, stats gpu.Tensor, o AdamW) {
				AdamWSplit(p, weight, low, m, v, grad, stats, o)
			},
			master: func(t *testing.T, d gpu.Device) []float32 {
				hi, lo := wgsltest.Words(t, d, weight), wgsltest.Words(t, d, low)
				return flat(weight.Spec, func(i int) float32 {
					shift := i % 2 * 16
					return ref.JoinBits(uint16(hi[i/2]>>shift), int16(uint16(lo[i/2]>>shift)))
				})
			},
			moments: plainMoments(m, v),
		}
	},
	"adamw_stochastic": func(t *testing.T, d gpu.Device, values []float32, rows, c int) trained {
		weight := gputest.TensorOf(t, d, gpu.BF16, "weight", values, rows, c)
		m, v := gputest.Tensor(t, d, "m", nil, rows, c), gputest.Tensor(t, d, "v", nil, rows, c)
		return trained{
			planes: []gpu.Tensor{weight, m, v},
			step: func(p *gpu.Pass, grad, stats gpu.Tensor, o AdamW) {
				o.Draw = Draw{Key: 3, Count: gpu.Param(o.Correction2)}
				AdamWStochastic(p, weight, m, v, grad, stats, o)
			},
			master:  func(t *testing.T, d gpu.Device) []float32 { return gputest.Read(t, d, weight) },
			moments: plainMoments(m, v),
		}
	},
	"adamw_flash8": func(t *testing.T, d gpu.Device, values []float32, rows, c int) trained {
		return flash8State(t, d, values, rows, c, AdamWFlash8, ref.Companded)
	},
}

// halves makes the weight and the low plane of values.
func halves(t *testing.T, d gpu.Device, values []float32, rows, c int) (weight, low gpu.Tensor) {
	weight = gputest.TensorOf(t, d, gpu.BF16, "weight", nil, rows, c)
	his, los := make([]uint32, weight.Words()), make([]uint32, weight.Words())
	for i, f := range values {
		hi, lo := SplitBits(f)
		at := i/c*weight.Stride() + i%c
		his[at/2] |= uint32(hi) << (at % 2 * 16)
		los[at/2] |= uint32(uint16(lo)) << (at % 2 * 16)
	}
	if err := d.Write(weight, 0, his); err != nil {
		t.Fatal(err)
	}
	return weight, gputest.Indices(t, d, "low", los)
}

func plainMoments(m, v gpu.Tensor) func(t *testing.T, d gpu.Device) (a, b []float32) {
	return func(t *testing.T, d gpu.Device) (a, b []float32) { return gputest.Read(t, d, m), gputest.Read(t, d, v) }
}

// flat is the values of a tensor without padding, from those of its storage.
func flat(s gpu.Spec, at func(i int) float32) []float32 {
	list := make([]float32, s.Elements())
	for i := range list {
		list[i] = at(i/s.Cols()*s.Stride() + i%s.Cols())
	}
	return list
}

// planeWords is a parameter's words, plane after plane.
func (x trained) planeWords(t *testing.T, d gpu.Device) [][]uint32 {
	var list [][]uint32
	for _, plane := range x.planes {
		list = append(list, wgsltest.Words(t, d, plane))
	}
	return list
}

// gradTypes are the types of gradients that go with a state.
func gradTypes(name string) []gpu.DType {
	if name == "adamw_f32" {
		return []gpu.DType{gpu.F32}
	}
	return []gpu.DType{gpu.BF16, gpu.F32}
}

// eachState runs test for every state and type of gradients on each device.
func eachState(t *testing.T, test func(t *testing.T, d gpu.Device, name string, grad gpu.DType)) {
	for name := range states {
		for _, grad := range gradTypes(name) {
			t.Run(fmt.Sprint(name, "_", grad), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) { test(t, d, name, grad) })
			})
		}
	}
}

// adamwAt is the numbers of step n = 1, 2, ...
func adamwAt(n int, lr, beta2, decay float64) AdamW {
	return AdamW{
		LR: float32(lr), Beta1: 0.9, Beta2: float32(beta2), Eps: 1e-8, Decay: float32(decay),
		Correction1: float32(1 - math.Pow(0.9, float64(n))), Correction2: float32(1 - math.Pow(beta2, float64(n))),
	}
}

// clipped makes stats with a finite norm and a scale.
func clipped(t *testing.T, d gpu.Device, norm, scale float32) gpu.Tensor {
	stats := make([]float32, wgsl.StatWords)
	stats[wgsl.StatNorm], stats[wgsl.StatScale] = norm, scale
	return gputest.Tensor(t, d, "stats", stats, wgsl.StatWords)
}

// stateTolerance bounds weights, m and v after some steps against AdamW in float64.
var stateTolerance = map[string][3]wgsltest.Tolerance{
	"adamw_f32":   {{Abs: 1e-6, Rel: 1e-6}, {Abs: 1e-7, Rel: 2e-6}, {Abs: 1e-9, Rel: 2e-6}},
	"adamw_paper": {{Abs: 1e-6, Rel: 1e-6}, {Abs: 1e-7, Rel: 2e-6}, {Abs: 1e-9, Rel: 2e-6}},
	"adamw_split": {{Abs: 1e-6, Rel: 1e-6}, {Abs: 1e-7, Rel: 2e-6}, {Abs: 1e-9, Rel: 2e-6}},
	// Five roundings, each to one of the two values next to it.
	"adamw_stochastic": {{Abs: 1e-4, Rel: 5.0 / 128}, {Abs: 1e-7, Rel: 2e-6}, {Abs: 1e-9, Rel: 2e-6}},
	// Half a code of the greatest m and v of these tests, some steps' worth.
	"adamw_flash8": {{Abs: 1e-3, Rel: 2e-5}, {Abs: 2e-3, Rel: 2e-2}, {Abs: 1e-4, Rel: 4e-2}},
}

// Every state is AdamW; padding stays zero, inputs stay as they are, and the working
// weight is the master's upper half.
func TestAdamWStates(t *testing.T) {
	for _, shape := range [][2]int{{1, 1}, {3, 5}, {2, 64}, {1, 65}, {3, 130}, {5, 200}} {
		rows, c := shape[0], shape[1]
		n := rows * c
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			eachState(t, func(t *testing.T, d gpu.Device, name string, grad gpu.DType) {
				weights := wgsltest.Random(1, n, 1)
				x := states[name](t, d, weights, rows, c)
				stats := clipped(t, d, 4, 0.25)
				master, m, v := wgsltest.Widened(x.master(t, d)), make([]float64, n), make([]float64, n)
				for step := 1; step <= 5; step++ {
					g := wgsltest.Stored(grad, wgsltest.Random(uint64(10+step), n, 1))
					g[0] = 0 // a weight without a gradient only decays
					tg := gputest.TensorOf(t, d, grad, "grad", g, rows, c)
					o := adamwAt(step, 3e-3, 0.95, 0.1)
					wgsltest.Run(t, d, func(p *gpu.Pass) { x.step(p, tg, stats, o) })
					ref.AdamWF32(master, m, v, wgsltest.Widened(g), []float64{0, 4, 0.25}, o)
					wgsltest.Unchanged(t, d, tg, g)
				}
				tol := stateTolerance[name]
				gotM, gotV := x.moments(t, d)
				masters := x.master(t, d)
				wgsltest.Compare(t, "master", masters, wgsltest.Narrowed(master), tol[0])
				wgsltest.Compare(t, "m", gotM, wgsltest.Narrowed(m), tol[1])
				wgsltest.Compare(t, "v", gotV, wgsltest.Narrowed(v), tol[2])
				wgsltest.Unchanged(t, d, stats, []float32{0, 4, 0.25, 0, 0, 0, 0, 0})
				for _, plane := range x.planes {
					if plane.DType != gpu.U32 {
						wgsltest.ZeroPadding(t, d, plane)
					}
				}
				if x.planes[0].DType == gpu.BF16 {
					for i, f := range gputest.Read(t, d, x.planes[0]) {
						if hi, _ := SplitBits(masters[i]); gpu.FromBF16(hi) != f {
							t.Fatalf("weight %d is %g, its master %g", i, f, masters[i])
						}
					}
				}
			})
		})
	}
}

func TestAdamWWritesNothingWithoutANorm(t *testing.T) {
	const rows, c = 2, 70
	for _, norm := range []float32{float32(math.NaN()), float32(math.Inf(1)), math.Float32frombits(0xff800001)} {
		eachState(t, func(t *testing.T, d gpu.Device, name string, grad gpu.DType) {
			x := states[name](t, d, wgsltest.Random(1, rows*c, 1), rows, c)
			g, fine, bad := gputest.TensorOf(t, d, grad, "grad", wgsltest.Random(2, rows*c, 1), rows, c), clipped(t, d,
				1, 1), clipped(t, d, norm, 1)
			wgsltest.Run(t, d, func(p *gpu.Pass) { x.step(p, g, fine, adamwAt(1, 1e-3, 0.95, 0.1)) })
			before := x.planeWords(t, d)
			wgsltest.Run(t, d, func(p *gpu.Pass) { x.step(p, g, bad, adamwAt(2, 1e-3, 0.95, 0.1)) })
			for i, plane := range x.planeWords(t, d) {
				if !slices.Equal(plane, before[i]) {
					t.Errorf("norm %g: %s was written", norm, x.planes[i].Name)
				}
			}
		})
	}
}

// In parts, as a device with a low limit binds them, every state is updated to the
// same bits.
func TestAdamWInParts(t *testing.T) {
	const rows, c = 7, 700 // a part ends within a row, and the last is no whole group
	eachState(t, func(t *testing.T, d gpu.Device, name string, grad gpu.DType) {
		g, stats := gputest.TensorOf(t, d, grad, "grad", wgsltest.Random(2, rows*c, 1), rows, c), clipped(t, d, 4, 0.25)
		var results [2][][]uint32
		for i := range results {
			x := states[name](t, d, wgsltest.Random(1, rows*c, 1), rows, c)
			if i == 1 {
				defer gpu.RestrictBinding(d, 8192)()
			}
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				x.step(p, g, stats, adamwAt(1, 1e-3, 0.95, 0.1))
				x.step(p, g, stats, adamwAt(2, 1e-3, 0.95, 0.1))
			})
			results[i] = x.planeWords(t, d)
		}
		for i, plane := range results[0] {
			if !slices.Equal(plane, results[1][i]) {
				t.Errorf("plane %d differs", i)
			}
		}
	})
}

// masters are finite values that are hard to split: ties and what lies beside them,
// the greatest, zeros of both signs, and ordinary ones.
func masters() []float32 {
	var list []float32
	for _, bits := range wgsltest.Awkward()[:6000] {
		if bits>>23&0xff != 0 && bits>>23&0xff < 0xfe || bits<<1 == 0 {
			list = append(list, math.Float32frombits(bits))
		}
	}
	for _, bits := range []uint32{0x7f7fffff, 0xff7fffff, 0x7f7f8000, 0xff7f8000, 0x00800000, 0x3f808000, 0x3f818000} {
		list = append(list, math.Float32frombits(bits))
	}
	for i, f := range wgsltest.Random(5, 4000, 0.1) {
		if i%4 == 0 { // a tie
			f = math.Float32frombits(math.Float32bits(f)&0xffff0000 | 0x8000)
		}
		list = append(list, f)
	}
	return list
}

// Masters in two planes go through the same values as f32 masters, bit for bit.
func TestAdamWSplitEqualsPaper(t *testing.T) {
	values := masters()
	n := len(values)
	for _, grad := range gradTypes("adamw_split") {
		t.Run(grad.String(), func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				paper, split := states["adamw_paper"](t, d, values, 1, n), states["adamw_split"](t, d, values, 1, n)
				stats := clipped(t, d, 4, 0.25)
				for step := 1; step <= 50; step++ {
					g := wgsltest.Random(uint64(step), n, 1)
					for i := range g {
						if i%2 == 0 || math.Abs(float64(values[i])) > 1e30 { // these keep their bits
							g[i] = 0
						}
					}
					tg := gputest.TensorOf(t, d, grad, "grad", g, 1, n)
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						for _, x := range []trained{paper, split} {
							x.step(p, tg, stats, adamwAt(step, 3e-3, 0.95, 0))
						}
					})
				}
				for i, j := range map[int]int{0: 0, 2: 2, 3: 3} { // weight, m and v
					wgsltest.SameWords(t, d, split.planes[i], paper.planes[j])
				}
				want, got := paper.master(t, d), split.master(t, d)
				moved := 0
				for i := range want {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
						t.Fatalf("master %d is %#x, %#x in f32", i, math.Float32bits(got[i]), math.Float32bits(want[i]))
					}
					if math.Float32bits(want[i]) != math.Float32bits(values[i]) {
						if moved++; i%2 == 0 {
							t.Fatalf("master %d was %#x and is %#x without a gradient", i, math.Float32bits(values[i]),
								math.Float32bits(want[i]))
						}
					}
				}
				if moved < n/4 {
					t.Errorf("%d of %d masters moved", moved, n)
				}
			})
		})
	}
}

func TestAdamWRefuses(t *testing.T) {
	d := gpu.NewHost()
	f, b, odd := gputest.Tensor(t, d, "f", nil, 3, 5), gputest.TensorOf(t, d, gpu.BF16, "b", nil, 3,
		5), gputest.Tensor(t, d, "odd", nil, 5, 3)
	low, bytes, stats := gputest.Indices(t, d, "low", make([]uint32, 11)), gputest.Indices(t, d, "bytes",
		make([]uint32, 8)), clipped(t, d, 1, 1)
	for want, record := range map[string]func(p *gpu.Pass){
		"adamw_f32: tensor odd is (5, 3) where (3, 5) is needed": func(p *gpu.Pass) {
			AdamWF32(p, f, f, odd, f, stats, AdamW{})
		},
		"adamw_f32: no tensor where (3, 5) is needed": func(p *gpu.Pass) {
			AdamWF32(p, f, f, gpu.Tensor{}, f, stats, AdamW{})
		},
		"adamw_f32: no tensor": func(p *gpu.Pass) {
			AdamWF32(p, gpu.Tensor{}, f, f, f, stats, AdamW{})
		},
		"adamw_f32: no kernel for f32 with gradients of bf16": func(p *gpu.Pass) {
			AdamWF32(p, f, f, f, b, stats, AdamW{})
		},
		"adamw_paper: no kernel for f32 with gradients of f32": func(p *gpu.Pass) {
			AdamWPaper(p, f, f, f, f, f, stats, AdamW{})
		},
		"kernel adamw_paper_bf16: tensor b is bf16, binding 1 takes": func(p *gpu.Pass) {
			AdamWPaper(p, b, b, f, f, b, stats, AdamW{})
		},
		"adamw_split: tensor low has 11 words, weight b needs 12": func(p *gpu.Pass) {
			AdamWSplit(p, b, low, f, f, b, stats, AdamW{})
		},
		"adamw_split: no tensor where (3, 5) is needed": func(p *gpu.Pass) {
			AdamWSplit(p, b, gpu.Tensor{}, f, f, b, stats, AdamW{})
		},
		"adamw_flash8: tensor low has 11 words, weight b needs 8": func(p *gpu.Pass) {
			AdamWFlash8(p, b, low, low, low, low, b, stats, AdamW{})
		},
		"adamw_flash8: tensor bytes has 8 words, weight b needs 1": func(p *gpu.Pass) {
			AdamWFlash8(p, b, bytes, bytes, bytes, bytes, b, stats, AdamW{})
		},
	} {
		p := d.Begin("refuse")
		record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
