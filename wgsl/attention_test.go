package wgsl

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

// everyAttention lists variants of each kind, for tests: of a kernel, those after
// the first must give its bits.
func everyAttention(x head) (list []attentionVariant) {
	for kind := range attentionKinds {
		for _, b := range []attentionBlock{{1, 64, 0, true}, {2, 32, 0, true}, {4, 8, 0, false}, {8, 8, 0, false}, {1, 64, 16, true}, {2, 8, 5, false}} {
			v := attentionVariant{b.of(attentionKind(kind)), x, attentionKind(kind)}
			if !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
	}
	return list
}

// Attention kernels are made when first used; the tests of all kernels see those
// of a row of one vec4, of one with a remainder and of a common head.
var _ = func() int {
	for _, s := range pairStorages {
		for _, d := range []int{4, 6, 64} {
			for kind := range attentionKinds {
				all = append(all, attentionVariant{attentionBlock{1, 64, 0, true}.of(attentionKind(kind)), head{d, s.pair}, attentionKind(kind)}.kernel())
			}
		}
	}
	return len(all)
}()

// Larger heads work too, but software Vulkan takes a minute to compile them; how many
// rows an invocation has there grows with the positions, see fallback.
func TestAttention(t *testing.T) {
	for _, s := range []AttentionShape{
		{B: 1, T: 1, H: 1, KV: 1, D: 2},
		{B: 2, T: 9, H: 3, KV: 1, D: 2},
		{B: 2, T: 63, H: 3, KV: 3, D: 4},
		{B: 1, T: 64, H: 4, KV: 2, D: 6},
		{B: 2, T: 65, H: 3, KV: 1, D: 6},
		{B: 2, T: 65, H: 4, KV: 4, D: 8},
		{B: 1, T: 63, H: 8, KV: 2, D: 32},
		{B: 1, T: 130, H: 3, KV: 3, D: 12},
		{B: 1, T: 63, H: 3, KV: 3, D: 64},
		{B: 1, T: 33, H: 3, KV: 1, D: 66},
		{B: 1, T: 63, H: 4, KV: 1, D: 128},
		{B: 1, T: 2048, H: 1, KV: 1, D: 8},
	} {
		for _, c := range pairStorages {
			t.Run(strings.Trim(fmt.Sprintf("%+v", s), "{}")+c.suffix(), func(t *testing.T) { testAttention(t, c.pair, s) })
		}
	}
}

// testAttention gives each kernel what the reference computed before it, as the
// type stores it.
func testAttention(t *testing.T, dtype gpu.DType, s AttentionShape) {
	x := newAttentionValues(dtype, s, 1.5, 1)
	test := func(t *testing.T, d gpu.Device) {
		in := x.tensors(t, d)
		queries := func(name string) gpu.Tensor { return dirty(t, d, dtype, name, s.B*s.T, s.H*s.D) }
		keys := func(name string) gpu.Tensor { return dirty(t, d, dtype, name, s.B*s.T, s.KV*s.D) }
		stats := func(name string) gpu.Tensor { return dirty(t, d, gpu.F32, name, s.B, s.H, s.T) }
		out, lse, dq, delta, dk, dv := queries("out"), stats("lse"), queries("dq"), stats("delta"), keys("dk"), keys("dv")
		run(t, d, func(p *gpu.Pass) {
			AttentionForward(p, out, lse, in["q"], in["k"], in["v"], s)
			AttentionBackwardQuery(p, dq, delta, in["dout"], in["out"], in["q"], in["k"], in["v"], in["lse"], s)
			AttentionBackwardKeyValue(p, dk, dv, in["dout"], in["q"], in["k"], in["v"], in["lse"], in["delta"], s)
		})
		for _, c := range []struct {
			got  gpu.Tensor
			want []float32
			tol  tolerance
		}{
			{out, x.exactOut, tolerance{1e-5, 1e-5}.in(dtype)},
			{lse, x.values["lse"], tolerance{1e-5, 1e-5}},
			{delta, x.values["delta"], tolerance{1e-4, 1e-5}},
			{dq, x.dq, tolerance{5e-5, 5e-5}.in(dtype)},
			{dk, x.dk, tolerance{1e-4, 5e-5}.in(dtype)},
			{dv, x.dv, tolerance{1e-4, 5e-5}.in(dtype)},
		} {
			compare(t, c.got.Name, gputest.Read(t, d, c.got), c.want, c.tol)
			zeroPadding(t, d, c.got)
		}
		for name, t1 := range in {
			unchanged(t, d, t1, x.values[name])
			zeroPadding(t, d, t1)
		}
	}
	if s.T > 1000 { // the host would repeat what the reference just did
		t.Run("gpu", func(t *testing.T) { test(t, gputest.Adapter(t)) })
		return
	}
	gputest.EachDevice(t, test)
}

// attentionValues are the inputs of all attention kernels, by name, as dtype stores
// them, and what the reference makes of them.
type attentionValues struct {
	dtype                gpu.DType
	shape                AttentionShape
	values               map[string][]float32
	exactOut, dq, dk, dv []float32
}

func newAttentionValues(dtype gpu.DType, s AttentionShape, stdQ, stdK float64) attentionValues {
	nq, nk, ns := s.B*s.T*s.H*s.D, s.B*s.T*s.KV*s.D, s.B*s.H*s.T
	q, k, v, dout := stored(dtype, random(1, nq, stdQ)), stored(dtype, random(2, nk, stdK)), stored(dtype, random(3, nk, 1)), stored(dtype, random(4, nq, 1))
	lse, delta := make([]float32, ns), make([]float32, ns)
	x := attentionValues{dtype: dtype, shape: s, exactOut: make([]float32, nq), dq: make([]float32, nq), dk: make([]float32, nk), dv: make([]float32, nk)}
	ref.AttentionForward(x.exactOut, lse, q, k, v, s)
	out := stored(dtype, x.exactOut)
	ref.AttentionBackwardQuery(x.dq, delta, dout, out, q, k, v, lse, s)
	ref.AttentionBackwardKeyValue(x.dk, x.dv, dout, q, k, v, lse, delta, s)
	x.values = map[string][]float32{"q": q, "k": k, "v": v, "dout": dout, "out": out, "lse": lse, "delta": delta}
	return x
}

func (x attentionValues) tensors(t testing.TB, d gpu.Device) map[string]gpu.Tensor {
	s, made := x.shape, map[string]gpu.Tensor{}
	for name, values := range x.values {
		switch name {
		case "lse", "delta":
			made[name] = gputest.Tensor(t, d, name, values, s.B, s.H, s.T)
		case "k", "v":
			made[name] = gputest.TensorOf(t, d, x.dtype, name, values, s.B*s.T, s.KV*s.D)
		default:
			made[name] = gputest.TensorOf(t, d, x.dtype, name, values, s.B*s.T, s.H*s.D)
		}
	}
	return made
}

// Every block gives the same bits, within the tolerance of TestAttention: sizes are
// around those of blocks and tiles, a head for each kind of unit.
func TestAttentionBlocksAgree(t *testing.T) {
	d := gputest.Adapter(t)
	for _, c := range []struct {
		dtype gpu.DType
		shape AttentionShape
	}{
		{gpu.BF16, AttentionShape{B: 2, T: 67, H: 4, KV: 2, D: 6}},
		{gpu.F32, AttentionShape{B: 1, T: 65, H: 2, KV: 2, D: 12}},
		{gpu.BF16, AttentionShape{B: 1, T: 129, H: 3, KV: 1, D: 8}},
	} {
		s := c.shape
		x := newAttentionValues(c.dtype, s, 1.5, 1)
		in := x.tensors(t, d)
		tensor := map[rune]func(name string) gpu.Tensor{
			'Q': func(name string) gpu.Tensor { return dirty(t, d, c.dtype, name, s.B*s.T, s.H*s.D) },
			'K': func(name string) gpu.Tensor { return dirty(t, d, c.dtype, name, s.B*s.T, s.KV*s.D) },
			'S': func(name string) gpu.Tensor { return dirty(t, d, gpu.F32, name, s.B, s.H, s.T) },
		}
		inputs := map[attentionKind][]gpu.Tensor{
			attentionForward:          {in["q"], in["k"], in["v"]},
			attentionBackwardQuery:    {in["dout"], in["out"], in["q"], in["k"], in["v"], in["lse"]},
			attentionBackwardKeyValue: {in["dout"], in["q"], in["k"], in["v"], in["lse"], in["delta"]},
		}
		want := map[attentionKind][]gpu.Tensor{}
		for _, v := range gputest.Sample(everyAttention(head{s.D, c.dtype})) {
			var outs []gpu.Tensor
			for _, letter := range attentionKinds[v.kind].tensors[:2] {
				outs = append(outs, tensor[letter](v.name()))
			}
			run(t, d, func(p *gpu.Pass) {
				attentionClass{v.kind, c.dtype, s}.run(p, v.attentionBlock, slices.Concat(outs, inputs[v.kind]))
			})
			zeroPadding(t, d, outs...)
			if want[v.kind] == nil {
				want[v.kind] = outs
				continue
			}
			for i := range outs {
				sameWords(t, d, outs[i], want[v.kind][i])
			}
		}
		for name, t1 := range in {
			unchanged(t, d, t1, x.values[name])
		}
		for _, c := range []struct {
			got  gpu.Tensor
			want []float32
		}{{want[attentionForward][0], x.exactOut}, {want[attentionBackwardQuery][0], x.dq}, {want[attentionBackwardKeyValue][0], x.dk}, {want[attentionBackwardKeyValue][1], x.dv}} {
			compare(t, c.got.Name, gputest.Read(t, d, c.got), c.want, tolerance{1e-4, 5e-5}.in(x.dtype))
		}
	}
}

// Scores far above what exp can hold must not overflow the online softmax.
func TestAttentionLargeScores(t *testing.T) {
	s := AttentionShape{B: 1, T: 70, H: 1, KV: 1, D: 8}
	for _, c := range pairStorages {
		x := newAttentionValues(c.pair, s, 30, 30)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			in := x.tensors(t, d)
			out, lse := dirty(t, d, c.pair, "out", s.T, s.D), dirty(t, d, gpu.F32, "lse", 1, 1, s.T)
			run(t, d, func(p *gpu.Pass) { AttentionForward(p, out, lse, in["q"], in["k"], in["v"], s) })
			compare(t, "out", gputest.Read(t, d, out), x.exactOut, tolerance{1e-3, 1e-3}.in(c.pair))
			compare(t, "lse", gputest.Read(t, d, lse), x.values["lse"], tolerance{1e-3, 1e-6})
		})
	}
}

// The members of a group are summed before their gradient is rounded: bf16 holds 1
// and seven times 1/512, which would vanish one by one.
func TestAttentionRoundsGroupsOnce(t *testing.T) {
	s := AttentionShape{B: 1, T: 1, H: 8, KV: 1, D: 2}
	dout := []float32{1, 1}
	for len(dout) < s.H*s.D {
		dout = append(dout, 1.0/512)
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		queries := func(name string, x []float32) gpu.Tensor {
			return gputest.TensorOf(t, d, gpu.BF16, name, x, 1, s.H*s.D)
		}
		keys := func(name string) gpu.Tensor { return gputest.TensorOf(t, d, gpu.BF16, name, nil, 1, s.D) }
		stats := func(name string) gpu.Tensor { return gputest.Tensor(t, d, name, nil, 1, s.H, 1) }
		q, g, k, v, dk, dv, lse, delta := queries("q", nil), queries("dout", dout), keys("k"), keys("v"), keys("dk"), keys("dv"), stats("lse"), stats("delta")
		run(t, d, func(p *gpu.Pass) { AttentionBackwardKeyValue(p, dk, dv, g, q, k, v, lse, delta, s) })
		want := stored(gpu.BF16, []float32{1 + 7.0/512, 1 + 7.0/512})
		compare(t, "dv", gputest.Read(t, d, dv), want, equal)
	})
}

func TestAttentionRefuses(t *testing.T) {
	d := gpu.NewHost()
	tensor := func(dtype gpu.DType, shape ...int) gpu.Tensor {
		return gputest.TensorOf(t, d, dtype, "x", nil, shape...)
	}
	row, longer, narrow, bytes := tensor(gpu.F32, 2, 4), tensor(gpu.F32, 3, 4), tensor(gpu.BF16, 2, 4), newI8(t, d, "x", 2, 4)
	stat, none := tensor(gpu.F32, 1, 1, 2), gpu.Tensor{}
	for want, c := range map[string]struct {
		shape             AttentionShape
		out, lse, q, k, v gpu.Tensor
	}{
		"head size 258":                             {shape: AttentionShape{B: 1, T: 2, H: 1, KV: 1, D: 258}},
		"head size 0":                               {shape: AttentionShape{B: 1, T: 2, H: 1, KV: 1}},
		"head size 7 is odd":                        {shape: AttentionShape{B: 1, T: 2, H: 1, KV: 1, D: 7}},
		"3 query heads do not divide":               {shape: AttentionShape{B: 1, T: 2, H: 3, KV: 2, D: 4}},
		"among 0 key-value heads":                   {shape: AttentionShape{B: 1, T: 2, H: 3, D: 4}},
		"65536 positions, at most 65535":            {shape: AttentionShape{B: 1, T: 65536, H: 1, KV: 1, D: 4}},
		"no tensor where (2, 4) is needed":          {AttentionShape{B: 1, T: 2, H: 1, KV: 1, D: 4}, none, none, none, none, none},
		"x is (2, 4) where (3, 4) is needed":        {AttentionShape{B: 1, T: 3, H: 1, KV: 1, D: 4}, longer, stat, longer, row, longer},
		"x is (1, 2) where (1, 3) is needed":        {AttentionShape{B: 1, T: 3, H: 1, KV: 1, D: 4}, longer, stat, longer, longer, longer},
		"tensor x is bf16, binding 3 takes f32":     {AttentionShape{B: 1, T: 2, H: 1, KV: 1, D: 4}, tensor(gpu.F32, 2, 4), stat, row, narrow, row},
		"tensor x is i8, kernels take f32 and bf16": {AttentionShape{B: 1, T: 2, H: 1, KV: 1, D: 4}, bytes, stat, bytes, bytes, bytes},
	} {
		p := d.Begin(want)
		AttentionForward(p, c.out, c.lse, c.q, c.k, c.v, c.shape)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q in it", c.shape, err, want)
		}
	}
	p := d.Begin("long groups")
	AttentionBackwardKeyValue(p, row, row, row, row, row, row, stat, stat, AttentionShape{B: 1, T: 16384, H: 4, KV: 1, D: 4})
	if err, want := p.End(), "16384 positions, at most 16383 for 4 query heads"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q in it", err, want)
	}
}

func BenchmarkAttention(b *testing.B) {
	d := gputest.Adapter(b)
	for _, s := range []AttentionShape{
		{B: 2, T: 128, H: 4, KV: 4, D: 24}, {B: 4, T: 256, H: 6, KV: 6, D: 48}, {B: 1, T: 256, H: 8, KV: 2, D: 64}, {B: 1, T: 1024, H: 12, KV: 12, D: 64},
	} {
		for _, c := range pairStorages {
			in := newAttentionValues(c.pair, s, 1, 1).tensors(b, d)
			queries := func(name string) gpu.Tensor { return dirty(b, d, c.pair, name, s.B*s.T, s.H*s.D) }
			keys := func(name string) gpu.Tensor { return dirty(b, d, c.pair, name, s.B*s.T, s.KV*s.D) }
			stats := func(name string) gpu.Tensor { return dirty(b, d, gpu.F32, name, s.B, s.H, s.T) }
			out, lse, dq, delta, dk, dv := queries("out"), stats("lse"), queries("dq"), stats("delta"), keys("dk"), keys("dv")
			for _, k := range []struct {
				name   string
				ops    int
				record func(*gpu.Pass)
			}{
				{"forward", 4, func(p *gpu.Pass) { AttentionForward(p, out, lse, in["q"], in["k"], in["v"], s) }},
				{"query", 6, func(p *gpu.Pass) {
					AttentionBackwardQuery(p, dq, delta, in["dout"], in["out"], in["q"], in["k"], in["v"], in["lse"], s)
				}},
				{"keyvalue", 8, func(p *gpu.Pass) {
					AttentionBackwardKeyValue(p, dk, dv, in["dout"], in["q"], in["k"], in["v"], in["lse"], in["delta"], s)
				}},
			} {
				b.Run(fmt.Sprintf("%s/T=%d,D=%d%s", k.name, s.T, s.D, c.suffix()), func(b *testing.B) {
					for b.Loop() {
						p := d.Begin(k.name)
						k.record(p)
						if err := p.End(); err != nil {
							b.Fatal(err)
						}
						gputest.Read(b, d, lse) // waits
					}
					flops := float64(k.ops) * float64(s.D) * float64(s.B*s.H) * float64(s.T) * float64(s.T+1) / 2
					b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
