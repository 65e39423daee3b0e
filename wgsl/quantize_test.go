package wgsl

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

// weights are random, of groups of very different sizes, with groups of zeros, of
// next to nothing and of ties, and rows that begin with a group of zeros.
func weights(rows, cols int) []float32 {
	x := wgsltest.Random(7, rows*cols, 0.02)
	for i := range x {
		row, j := i/cols, i%cols
		switch group := (row + j/QuantizeGroup) % 7; group {
		case 1:
			x[i] = 0
		case 2:
			x[i] *= 0x1p-115 // some below 2^-118
		case 3:
			x[i] = float32(j%256)/2 - 63.5 // the largest is 127 times a power of two in whole groups
			if j%QuantizeGroup == 0 {
				x[i] = 127
			}
		case 4:
			x[i] *= 1e30
		}
	}
	return x
}

func sameBits(t *testing.T, name string, got, want []uint32) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: word %d of %d is %#x, want %#x", name, i, len(want), got[i], want[i])
		}
	}
}

// Every device gives the reference's bits; what they stand for is within half a step,
// and quantizing that again changes nothing in F32, and in BF16 what its rounding
// does: an integer by at most 1, a scale by 2^-8.
func TestQuantize(t *testing.T) {
	for _, size := range append(slices.Clone(wgsltest.Shapes), [2]int{3, 7}, [2]int{70, 192}) {
		rows, cols := size[0], size[1]
		groups := gpu.Groups(cols, QuantizeGroup)
		x := weights(rows, cols)
		q, scales, wide := make([]int8, rows*cols), make([]float32, rows*groups), make([]float32, rows*cols)
		ref.Quantize(q, scales, x, rows, cols)
		ref.Dequantize(wide, q, scales, rows, cols)
		for i := range x {
			scale := float64(scales[i/cols*groups+i%cols/QuantizeGroup])
			if off := math.Abs(float64(wide[i]) - float64(x[i])); off > scale*(0.5+1.0/256) && off > 0x1p-118 {
				t.Fatalf("%v: element %d is %g, dequantized %g, more than half of %g off", size, i, x[i], wide[i],
					scale)
			}
		}
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tx, tq, ts := gputest.Tensor(t, d, "x", x, rows, cols), wgsltest.NewI8(t, d, "q", rows,
					cols), wgsltest.Dirty(t, d, gpu.F32, "scales", rows, groups)
				tw, tn := wgsltest.Dirty(t, d, gpu.F32, "wide", rows, cols), wgsltest.Dirty(t, d, gpu.BF16, "narrow",
					rows, cols)
				wgsltest.Run(t, d, func(p *gpu.Pass) {
					Quantize(p, tq, ts, tx)
					Dequantize(p, tw, tq, ts)
					Dequantize(p, tn, tq, ts)
				})
				wantQ := make([]uint32, tq.Words())
				packBytes(wantQ, q, cols)
				sameBits(t, "q", wgsltest.Words(t, d, tq), wantQ) // padding included
				sameBits(t, "scales", gpu.Words(gputest.Read(t, d, ts)), gpu.Words(scales))
				wgsltest.Compare(t, "wide", gputest.Read(t, d, tw), wide, wgsltest.Equal)
				wgsltest.Compare(t, "narrow", gputest.Read(t, d, tn), wgsltest.Stored(gpu.BF16, wide), wgsltest.Equal)
				wgsltest.ZeroPadding(t, d, ts, tw, tn)
				wgsltest.Unchanged(t, d, tx, x)

				tq2, ts2, tf := wgsltest.NewI8(t, d, "q of wide", rows, cols), wgsltest.Dirty(t, d, gpu.F32,
					"scales of wide", rows, groups), wgsltest.Dirty(t, d, gpu.F32, "f32", rows, cols)
				tq3, ts3 := wgsltest.NewI8(t, d, "q of narrow", rows, cols), wgsltest.Dirty(t, d, gpu.F32,
					"scales of narrow", rows, groups)
				wgsltest.Run(t, d, func(p *gpu.Pass) {
					Quantize(p, tq2, ts2, tw)
					Widen(p, tf, tn)
					Quantize(p, tq3, ts3, tf)
				})
				wgsltest.SameWords(t, d, tq2, tq)
				wgsltest.SameWords(t, d, ts2, ts)
				again := make([]int8, len(q))
				unpackBytes(again, wgsltest.Words(t, d, tq3), cols)
				for i := range q {
					if off := int(again[i]) - int(q[i]); max(off, -off) > 1 {
						t.Fatalf("q of narrow: element %d is %d, was %d", i, again[i], q[i])
					}
				}
				wgsltest.Compare(t, "scales of narrow", gputest.Read(t, d, ts3), scales,
					wgsltest.Tolerance{Abs: 1e-45, Rel: 1.0 / 256})
			})
		})
	}
}

// What is not finite shows in all of its group and nowhere else.
func TestQuantizeNotFinite(t *testing.T) {
	x := wgsltest.Random(1, 200, 1)
	x[3], x[150] = float32(math.NaN()), float32(math.Inf(-1))
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		tx, tq, ts := gputest.Tensor(t, d, "x", x, 1, 200), wgsltest.NewI8(t, d, "q", 1, 200), gputest.Tensor(t, d,
			"scales", nil, 1, 4)
		for _, s := range wgsltest.PairStorages {
			out := wgsltest.Dirty(t, d, s.Pair, "out", 1, 200)
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				Quantize(p, tq, ts, tx)
				Dequantize(p, out, tq, ts)
			})
			for i, v := range gputest.Read(t, d, out) {
				if group := i / QuantizeGroup; (v != v) != (group == 0 || group == 2) {
					t.Fatalf("%s: element %d is %g", s.Pair, i, v)
				}
			}
			wgsltest.ZeroPadding(t, d, out)
		}
	})
}

// Padding stays zero where the last group of a row has none that is finite.
func TestDequantizePadding(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		nan := float32(math.NaN())
		tx, tq, ts := gputest.Tensor(t, d, "x", []float32{nan, 1, 2}, 1, 3), wgsltest.NewI8(t, d, "q", 1,
			3), gputest.Tensor(t, d, "scales", nil, 1, 1)
		wide, narrow := wgsltest.Dirty(t, d, gpu.F32, "wide", 1, 3), wgsltest.Dirty(t, d, gpu.BF16, "narrow", 1, 3)
		wgsltest.Run(t, d, func(p *gpu.Pass) {
			Quantize(p, tq, ts, tx)
			Dequantize(p, wide, tq, ts)
			Dequantize(p, narrow, tq, ts)
		})
		wgsltest.ZeroPadding(t, d, wide, narrow)
	})
}

// Tensors beyond the binding limit are taken by rows.
func TestQuantizeParts(t *testing.T) {
	for _, size := range [][2]int{{100, 8}, {200, 72}, {65, 130}} {
		rows, cols := size[0], size[1]
		groups := gpu.Groups(cols, QuantizeGroup)
		x := weights(rows, cols)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tx := gputest.Tensor(t, d, "x", x, rows, cols)
			var made [2][4]gpu.Tensor
			for i := range made {
				made[i] = [4]gpu.Tensor{wgsltest.NewI8(t, d, "q", rows, cols),
					wgsltest.Dirty(t, d, gpu.F32, "scales", rows, groups),
					wgsltest.Dirty(t, d, gpu.F32, "wide", rows, cols),
					wgsltest.Dirty(t, d, gpu.BF16, "narrow", rows, cols)}
				if i == 1 {
					defer gpu.RestrictBinding(d, int64(33*max(4*gpu.Padded(cols), 32)))()
				}
				wgsltest.Run(t, d, func(p *gpu.Pass) {
					Quantize(p, made[i][0], made[i][1], tx)
					Dequantize(p, made[i][2], made[i][0], made[i][1])
					Dequantize(p, made[i][3], made[i][0], made[i][1])
				})
			}
			for i := range made[0] {
				wgsltest.SameWords(t, d, made[1][i], made[0][i])
			}
		})
	}
}

func TestQuantizeRefuses(t *testing.T) {
	d := gpu.NewHost()
	x, q, scales := gputest.Tensor(t, d, "x", nil, 64, 130), wgsltest.NewI8(t, d, "q", 64, 130), gputest.Tensor(t, d,
		"scales", nil, 64, 3)
	other, four, narrow, out := wgsltest.NewI8(t, d, "other", 64, 129), gputest.Tensor(t, d, "four", nil, 64,
		4), gputest.TensorOf(t, d, gpu.BF16, "narrow", nil, 64, 130), gputest.Tensor(t, d, "out", nil, 64, 130)
	for _, c := range []struct {
		want   string
		limit  int64
		record func(p *gpu.Pass)
	}{
		{"tensor other is (64, 129) where (64, 130) is needed", 1 << 20,
			func(p *gpu.Pass) { Quantize(p, other, scales, x) }},
		{"tensor four is (64, 4) where (64, 3) is needed", 1 << 20, func(p *gpu.Pass) { Dequantize(p, x, q, four) }},
		{"quantize: no tensor where (64, 3) is needed", 1 << 20, func(p *gpu.Pass) { Quantize(p, q, gpu.Tensor{}, x) }},
		{"dequantize: no tensor", 1 << 20, func(p *gpu.Pass) { Dequantize(p, gpu.Tensor{}, q, scales) }},
		{"tensor narrow is bf16, binding 2 takes f32", 1 << 20, func(p *gpu.Pass) { Quantize(p, q, scales, narrow) }},
		{"tensor out is f32, binding 1 takes i8", 1 << 20, func(p *gpu.Pass) { Dequantize(p, x, out, scales) }},
		{"binds 17000 bytes, too few for 32 rows of tensor x (544 bytes each)", 17000,
			func(p *gpu.Pass) { Quantize(p, q, scales, x) }},
	} {
		restore := gpu.RestrictBinding(d, c.limit)
		p := d.Begin(c.want)
		c.record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q in it", err, c.want)
		}
		restore()
	}
}
