package update

import (
	"fmt"
	"math"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl"
	"steplm/wgsl/wgsltest"
)

// The same bits on every device, whole or in parts; each is one of the two neighbours, and what bf16 holds
// stays.
func TestRoundStochastic(t *testing.T) {
	for _, size := range wgsltest.Shapes {
		rows, c := size[0], size[1]
		n := rows * c
		x := wgsltest.Random(1, n, 1)
		for i := range x {
			if i%3 == 0 {
				x[i] = gpu.FromBF16(gpu.BF16Bits(x[i]))
			}
		}
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var first []uint32
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tx := gputest.Tensor(t, d, "x", x, rows, c)
				for _, restricted := range []bool{false, true} {
					out := wgsltest.Dirty(t, d, gpu.BF16, "out", rows, c)
					if restricted {
						defer gpu.RestrictBinding(d, 512)()
					}
					wgsltest.Run(t, d, func(p *gpu.Pass) { RoundStochastic(p, out, tx, Draw{Key: 5, Count: 2}) })
					words := wgsltest.Words(t, d, out)
					if first == nil {
						first = words
					}
					for i := range words {
						if words[i] != first[i] {
							t.Fatalf(
								"word %d is %#x, first it was %#x; restricted: %t",
								i,
								words[i],
								first[i],
								restricted,
							)
						}
					}
					wgsltest.ZeroPadding(t, d, out)
					wgsltest.Unchanged(t, d, tx, x)
					for i, got := range gputest.Read(t, d, out) {
						low := math.Float32frombits(math.Float32bits(x[i]) &^ 0xffff)
						high := math.Float32frombits(math.Float32bits(low) + 0x10000)
						if got != low && (got != high || low == x[i]) {
							t.Fatalf("element %d: %g became %g, its neighbours are %g and %g", i, x[i], got, low, high)
						}
					}
				}
			})
		})
	}
}

// What a thousand small sums add is not lost, though each is far below a bf16's step: to nearest, nothing
// would ever change.
func TestRoundStochasticKeepsSmallSums(t *testing.T) {
	const n, steps = 4096, 1000
	d := gpu.NewHost()
	weight := gputest.TensorOf(t, d, gpu.BF16, "weight", nil, 64, 64)
	wide := gputest.Tensor(t, d, "wide", nil, 64, 64)
	start := make([]float32, n)
	add := make([]float32, n)
	for i := range start {
		start[i], add[i] = 1, 1.0/2048 // a sixteenth of 2^-7
	}
	if err := gpu.WriteF32(d, weight, start); err != nil {
		t.Fatal(err)
	}
	tadd := gputest.Tensor(t, d, "add", add, 64, 64)
	sum := gputest.Tensor(t, d, "sum", nil, 64, 64)
	wgsltest.Run(t, d, func(p *gpu.Pass) {
		for step := range uint32(steps) {
			wgsl.Widen(p, wide, weight)
			wgsl.Mix(p, sum, wide, tadd, 1, 1)
			RoundStochastic(p, weight, sum, Draw{Key: 1, Count: step})
		}
	})
	mean := 0.0
	for _, x := range gputest.Read(t, d, weight) {
		mean += float64(x) / n
	}
	want := 1 + steps/2048.0
	if math.Abs(mean-want) > 0.005 {
		t.Errorf("the mean is %g, want %g", mean, want)
	}
	one := gputest.TensorOf(t, d, gpu.BF16, "one", nil, 64, 64)
	tstart := gputest.Tensor(t, d, "start", start, 64, 64)
	wgsltest.Run(t, d, func(p *gpu.Pass) {
		wgsl.Mix(p, sum, tstart, tadd, 1, 1)
		wgsl.Mix(p, one, sum, sum, 1, 0)
	})
	if got := gputest.Read(t, d, one)[0]; got != 1 {
		t.Errorf("to nearest, a sum became %g", got)
	}
}
