package wgsl

import (
	"fmt"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

// Attention kernels are made when first used; the tests of all kernels see those
// of a row of one vec4, of one with a remainder and of a common head.
var _ = func() int {
	for _, d := range []int{4, 6, 64} {
		a := attentionFor(d)
		all = append(all, a.forward, a.backwardQuery, a.backwardKeyValue)
	}
	return len(all)
}()

// Larger heads work too, but software Vulkan takes a minute to compile them.
func TestAttention(t *testing.T) {
	for _, s := range []AttentionShape{
		{B: 1, T: 1, H: 1, KV: 1, D: 1},
		{B: 2, T: 63, H: 2, KV: 2, D: 4},
		{B: 1, T: 64, H: 4, KV: 2, D: 6},
		{B: 2, T: 65, H: 4, KV: 1, D: 7},
		{B: 1, T: 130, H: 3, KV: 3, D: 64},
		{B: 1, T: 66, H: 8, KV: 2, D: 128},
		{B: 1, T: 4096, H: 1, KV: 1, D: 16},
	} {
		t.Run(strings.Trim(fmt.Sprintf("%+v", s), "{}"), func(t *testing.T) { testAttention(t, s) })
	}
}

func testAttention(t *testing.T, s AttentionShape) {
	nq, nk, ns := s.B*s.T*s.H*s.D, s.B*s.T*s.KV*s.D, s.B*s.H*s.T
	q, k, v, dout := random(1, nq, 1.5), random(2, nk, 1), random(3, nk, 1), random(4, nq, 1)
	out, lse, delta := make([]float32, nq), make([]float32, ns), make([]float32, ns)
	dq, dk, dv := make([]float32, nq), make([]float32, nk), make([]float32, nk)
	ref.AttentionForward(out, lse, q, k, v, s)
	ref.AttentionBackwardQuery(dq, delta, dout, out, q, k, v, lse, s)
	for member := range s.Group() {
		ref.AttentionBackwardKeyValue(dk, dv, dout, q, k, v, lse, delta, member, s)
	}
	test := func(t *testing.T, d gpu.Device) {
		a := newAttentionTensors(t, d, s, q, k, v, dout)
		run(t, d, func(p *gpu.Pass) {
			a.forward(p, s)
			a.backward(p, s)
		})
		tol := tolerance{1e-5, 1e-5}
		compare(t, "out", gputest.Read(t, d, a.out), out, tol)
		compare(t, "lse", gputest.Read(t, d, a.lse), lse, tol)
		compare(t, "delta", gputest.Read(t, d, a.delta), delta, tolerance{1e-4, 1e-5})
		compare(t, "dq", gputest.Read(t, d, a.dq), dq, tolerance{5e-5, 5e-5})
		compare(t, "dk", gputest.Read(t, d, a.dk), dk, tolerance{1e-4, 5e-5})
		compare(t, "dv", gputest.Read(t, d, a.dv), dv, tolerance{1e-4, 5e-5})
		unchanged(t, d, a.q, q)
		unchanged(t, d, a.k, k)
		unchanged(t, d, a.v, v)
		unchanged(t, d, a.dout, dout)
	}
	if s.T > 1000 { // the host would repeat what the reference just did
		t.Run("gpu", func(t *testing.T) { test(t, gputest.Adapter(t)) })
		return
	}
	gputest.EachDevice(t, test)
}

type attentionTensors struct{ q, k, v, dout, out, lse, dq, delta, dk, dv gpu.Tensor }

func newAttentionTensors(t testing.TB, d gpu.Device, s AttentionShape, q, k, v, dout []float32) attentionTensors {
	queries := func(name string, x []float32) gpu.Tensor {
		return gputest.Tensor(t, d, name, x, s.B, s.T, s.H, s.D)
	}
	keys := func(name string, x []float32) gpu.Tensor {
		return gputest.Tensor(t, d, name, x, s.B, s.T, s.KV, s.D)
	}
	stats := func(name string) gpu.Tensor { return gputest.Tensor(t, d, name, nil, s.B, s.H, s.T) }
	return attentionTensors{
		q: queries("q", q), k: keys("k", k), v: keys("v", v), dout: queries("dout", dout),
		out: queries("out", nil), lse: stats("lse"), dq: queries("dq", nil), delta: stats("delta"),
		// Gradients are set, whatever was there.
		dk: keys("dk", random(5, len(k), 1)), dv: keys("dv", random(6, len(v), 1)),
	}
}

func (a attentionTensors) forward(p *gpu.Pass, s AttentionShape) {
	AttentionForward(p, a.out, a.lse, a.q, a.k, a.v, s)
}

func (a attentionTensors) backward(p *gpu.Pass, s AttentionShape) {
	AttentionBackwardQuery(p, a.dq, a.delta, a.dout, a.out, a.q, a.k, a.v, a.lse, s)
	AttentionBackwardKeyValue(p, a.dk, a.dv, a.dout, a.q, a.k, a.v, a.lse, a.delta, s)
}

// Scores far above what exp can hold must not overflow the online softmax.
func TestAttentionLargeScores(t *testing.T) {
	s := AttentionShape{B: 1, T: 70, H: 1, KV: 1, D: 8}
	q, k, v := random(1, s.T*s.D, 30), random(2, s.T*s.D, 30), random(3, s.T*s.D, 1)
	out, lse := make([]float32, s.T*s.D), make([]float32, s.T)
	ref.AttentionForward(out, lse, q, k, v, s)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		a := newAttentionTensors(t, d, s, q, k, v, make([]float32, s.T*s.D))
		run(t, d, func(p *gpu.Pass) { a.forward(p, s) })
		compare(t, "out", gputest.Read(t, d, a.out), out, tolerance{1e-3, 1e-3})
		compare(t, "lse", gputest.Read(t, d, a.lse), lse, tolerance{1e-3, 1e-6})
	})
}

func TestAttentionRefuses(t *testing.T) {
	for want, s := range map[string]AttentionShape{
		"head size 257":                  {B: 1, T: 2, H: 1, KV: 1, D: 257},
		"head size 0":                    {B: 1, T: 2, H: 1, KV: 1},
		"3 query heads do not divide":    {B: 1, T: 2, H: 3, KV: 2, D: 4},
		"among 0 key-value heads":        {B: 1, T: 2, H: 3, D: 4},
		"65536 positions, at most 65535": {B: 1, T: 65536, H: 1, KV: 1, D: 4},
	} {
		p := gpu.NewHost().Begin(want)
		AttentionForward(p, gpu.Tensor{}, gpu.Tensor{}, gpu.Tensor{}, gpu.Tensor{}, gpu.Tensor{}, s)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q in it", s, err, want)
		}
	}
}

func BenchmarkAttention(b *testing.B) {
	s := AttentionShape{B: 1, T: 512, H: 4, KV: 4, D: 64}
	d := gputest.Adapter(b)
	n := s.B * s.T * s.H * s.D
	a := newAttentionTensors(b, d, s, random(1, n, 1), random(2, n, 1), random(3, n, 1), random(4, n, 1))
	for _, c := range []struct {
		name   string
		ops    int
		record func(*gpu.Pass)
	}{
		{"forward", 4, func(p *gpu.Pass) { a.forward(p, s) }},
		{"backward", 14, func(p *gpu.Pass) { a.backward(p, s) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				p := d.Begin(c.name)
				c.record(p)
				if err := p.End(); err != nil {
					b.Fatal(err)
				}
				gputest.Read(b, d, a.lse) // waits
			}
			flops := float64(c.ops) * float64(s.D) * float64(s.B*s.H) * float64(s.T) * float64(s.T+1) / 2
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
