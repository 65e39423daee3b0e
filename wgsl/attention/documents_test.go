package attention

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/wgsltest"
)

// By hand: two windows of five positions, one of documents of two, one and two, one of a single document.
func TestBounds(t *testing.T) {
	got, err := Bounds([]uint32{0, 0, 2, 3, 3, 0, 0, 0, 0, 0}, 2, 5)
	want := []float32{0, 0, 2, 3, 3, 0, 0, 0, 0, 0, 2, 2, 3, 5, 5, 5, 5, 5, 5, 5}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, want %v: %v", got, want, err)
	}
	got, err = Bounds(nil, 1, 3)
	if want := []float32{0, 0, 0, 3, 3, 3}; err != nil || !slices.Equal(got, want) {
		t.Errorf("of one document %v, want %v: %v", got, want, err)
	}
	for want, begins := range map[string][]uint32{
		"documents of 2 rows for 3":   {0, 0},
		"row 0 is its window's first": {1, 1, 1},
		"row 1 is of a document that begins at 1 of its window, the row behind it of one that begins at 0": {0, 1, 0},
		"begins at 0 of its window, the row behind it of one that begins at 3":                             {0, 0, 3},
	} {
		if _, err := Bounds(begins, 1, 3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q in it", begins, err, want)
		}
	}
}

// BenchmarkDocuments times the kernels with and without documents in turns: what a window of one document
// costs more, and what is won where documents are shorter. A ratio below 1 is a gain.
func BenchmarkDocuments(b *testing.B) {
	d := gputest.Adapter(b)
	for _, c := range []struct {
		dtype gpu.DType
		shape Shape
	}{
		{gpu.BF16, Shape{B: 4, T: 256, H: 6, KV: 6, D: 48}}, {gpu.BF16, Shape{B: 1, T: 1024, H: 4, KV: 4, D: 64}},
		{gpu.F32, Shape{B: 1, T: 1024, H: 4, KV: 4, D: 64}},
	} {
		for _, each := range []int{c.shape.T, c.shape.T / 2, c.shape.T / 8, 16} { // positions of a document
			s := c.shape
			begins := make([]uint32, s.B*s.T)
			for i := range begins {
				begins[i] = uint32(i % s.T / each * each)
			}
			k := newTimed(b, d, c.dtype, s, begins)
			for _, kind := range []string{"forward", "query", "keyvalue"} {
				b.Run(fmt.Sprintf("%s/T=%d,D=%d_%s/of_%d", kind, s.T, s.D, c.dtype, each), func(b *testing.B) {
					var ratios []float64
					for b.Loop() {
						plain, masked := k.seconds(b, kind, false), k.seconds(b, kind, true)
						ratios = append(ratios, masked/plain)
					}
					slices.Sort(ratios)
					b.ReportMetric(ratios[len(ratios)/2], "ratio")
				})
			}
		}
	}
}

// timed are the tensors of calls with documents and without.
type timed struct {
	d     gpu.Device
	shape Shape
	in    map[string]gpu.Tensor
	out   map[string]gpu.Tensor
	delta [2]gpu.Tensor // without documents, with
	read  gpu.Tensor
}

func newTimed(b *testing.B, d gpu.Device, dtype gpu.DType, s Shape, begins []uint32) *timed {
	in := newInputs(dtype, Shape{B: s.B, T: s.T, H: s.H, KV: s.KV, D: s.D}, 1, 1)
	x := &timed{d: d, shape: s, in: in.tensors(b, d), out: map[string]gpu.Tensor{}}
	for _, name := range []string{"out", "dq"} {
		x.out[name] = wgsltest.Dirty(b, d, dtype, name, s.B*s.T, s.H*s.D)
	}
	for _, name := range []string{"dk", "dv"} {
		x.out[name] = wgsltest.Dirty(b, d, dtype, name, s.B*s.T, s.KV*s.D)
	}
	x.read = wgsltest.Dirty(b, d, gpu.F32, "lse", s.B, s.H, s.T)
	bounds, err := Bounds(begins, s.B, s.T)
	if err != nil {
		b.Fatal(err)
	}
	x.delta[0] = gputest.Tensor(b, d, "delta", in.values["delta"], s.B*s.H, s.T)
	x.delta[1] = gputest.Tensor(b, d, "delta", append(slices.Clone(in.values["delta"]), bounds...), s.B*s.H+2*s.B, s.T)
	return x
}

// seconds are those of one call.
func (x *timed) seconds(b *testing.B, kind string, documents bool) float64 {
	s, in, delta := x.shape, x.in, x.delta[0]
	if s.Documents = documents; documents {
		delta = x.delta[1]
	}
	start := time.Now()
	p := x.d.Begin(kind)
	switch kind {
	case "forward":
		Forward(p, x.out["out"], x.read, in["q"], in["k"], in["v"], delta, s)
	case "query":
		BackwardQuery(p, x.out["dq"], delta, in["dout"], in["out"], in["q"], in["k"], in["v"], in["lse"], s)
	default:
		BackwardKeyValue(p, x.out["dk"], x.out["dv"], in["dout"], in["q"], in["k"], in["v"], in["lse"], delta, s)
	}
	if err := p.End(); err != nil {
		b.Fatal(err)
	}
	var word [1]uint32
	if err := x.d.Read(x.read, 0, word[:]); err != nil { // waits
		b.Fatal(err)
	}
	return time.Since(start).Seconds()
}
