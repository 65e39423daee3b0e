package attention

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

// everyVariant lists variants of each kind, for tests: of a kernel, those after
// the first must give its bits.
func everyVariant(x head, documents bool) (list []variant) {
	for kind := range kinds {
		for _, b := range []block{{1, 64, 0, true}, {2, 32, 0, true}, {4, 8, 0, false}, {8, 8, 0, false},
			{1, 64, 16, true}, {2, 8, 5, false}} {
			v := variant{b.of(kernelKind(kind)), x, kernelKind(kind), documents}
			if !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
	}
	return list
}

// everyKernel lists those of a row of one vec4, of one with a remainder and of a common head.
func everyKernel() (list []*gpu.Kernel) {
	for _, s := range wgsltest.PairStorages {
		for _, d := range []int{4, 6, 64} {
			for kind := range kinds {
				for _, documents := range []bool{false, true} {
					list = append(list, variant{block{1, 64, 0, true}.of(kernelKind(kind)), head{d, s.Pair},
						kernelKind(kind), documents}.kernel())
				}
			}
		}
	}
	return list
}

// generated are kernels of every kind, of some heads.
func generated() (list []*gpu.Kernel) {
	for _, s := range wgsltest.PairStorages {
		for _, size := range []int{6, 20, 64} {
			for _, documents := range []bool{false, true} {
				for _, v := range everyVariant(head{size, s.Pair}, documents) {
					list = append(list, v.kernel())
				}
			}
		}
	}
	return list
}

func TestAttentionDeclared(t *testing.T) { wgsltest.Declared(t, everyKernel()) }

func TestAttentionNoWordOfMetal(t *testing.T) { wgsltest.NoWordOfMetal(t, generated()) }

func TestAttentionShaders(t *testing.T) { wgsltest.Shaders(t, everyKernel()) }

// Larger heads work too, but software Vulkan takes a minute to compile them; how many
// rows an invocation has there grows with the positions, see fallback.
func TestAttention(t *testing.T) {
	for _, s := range []Shape{
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
		{B: 1, T: 1, H: 1, KV: 1, D: 2, Documents: true},
		{B: 3, T: 9, H: 3, KV: 1, D: 2, Documents: true},
		{B: 4, T: 63, H: 3, KV: 3, D: 4, Documents: true},
		{B: 4, T: 64, H: 4, KV: 2, D: 6, Documents: true},
		{B: 3, T: 65, H: 4, KV: 2, D: 8, Documents: true},
		{B: 3, T: 130, H: 3, KV: 1, D: 12, Documents: true},
		{B: 1, T: 2048, H: 1, KV: 1, D: 8, Documents: true},
	} {
		for _, c := range wgsltest.PairStorages {
			t.Run(strings.Trim(fmt.Sprintf("%+v", s), "{}")+c.Suffix(), func(t *testing.T) { testShape(t, c.Pair, s) })
		}
	}
}

// testShape gives each kernel what the reference computed before it, as the
// type stores it.
func testShape(t *testing.T, dtype gpu.DType, s Shape) {
	x := newInputs(dtype, s, 1.5, 1)
	test := func(t *testing.T, d gpu.Device) {
		in := x.tensors(t, d)
		queries := func(name string) gpu.Tensor { return wgsltest.Dirty(t, d, dtype, name, s.B*s.T, s.H*s.D) }
		keys := func(name string) gpu.Tensor { return wgsltest.Dirty(t, d, dtype, name, s.B*s.T, s.KV*s.D) }
		stats := func(name string) gpu.Tensor { return wgsltest.Dirty(t, d, gpu.F32, name, s.B, s.H, s.T) }
		out, lse, dq, delta, dk, dv := queries("out"), stats("lse"), queries("dq"), x.dirtyDelta(t, d), keys("dk"),
			keys("dv")
		wgsltest.Run(t, d, func(p *gpu.Pass) {
			Forward(p, out, lse, in["q"], in["k"], in["v"], in["bounds"], s)
			BackwardQuery(p, dq, delta, in["dout"], in["out"], in["q"], in["k"], in["v"], in["lse"], s)
			BackwardKeyValue(p, dk, dv, in["dout"], in["q"], in["k"], in["v"], in["lse"], in["delta"], s)
		})
		for _, c := range []struct {
			got  gpu.Tensor
			want []float32
			tol  wgsltest.Tolerance
		}{
			{out, x.exactOut, wgsltest.Tolerance{Abs: 1e-5, Rel: 1e-5}.In(dtype)},
			{lse, x.values["lse"], wgsltest.Tolerance{Abs: 1e-5, Rel: 1e-5}},
			{delta, x.values["delta"], wgsltest.Tolerance{Abs: 1e-4, Rel: 1e-5}},
			{dq, x.dq, wgsltest.Tolerance{Abs: 5e-5, Rel: 5e-5}.In(dtype)},
			{dk, x.dk, wgsltest.Tolerance{Abs: 1e-4, Rel: 5e-5}.In(dtype)},
			{dv, x.dv, wgsltest.Tolerance{Abs: 1e-4, Rel: 5e-5}.In(dtype)},
		} {
			wgsltest.Compare(t, c.got.Name, gputest.Read(t, d, c.got), c.want, c.tol)
			wgsltest.ZeroPadding(t, d, c.got)
		}
		for name, t1 := range in {
			wgsltest.Unchanged(t, d, t1, x.value(name))
			wgsltest.ZeroPadding(t, d, t1)
		}
	}
	if s.T > 1000 { // the host would repeat what the reference just did
		t.Run("gpu", func(t *testing.T) { test(t, gputest.Adapter(t)) })
		return
	}
	gputest.EachDevice(t, test)
}

// inputs are the inputs of all attention kernels, by name, as dtype stores
// them, and what the reference makes of them.
type inputs struct {
	dtype                gpu.DType
	shape                Shape
	values               map[string][]float32
	bounds               []float32 // of documents, also behind delta's values
	exactOut, dq, dk, dv []float32
}

// someBegins are documents of B sequences: one in the first, of one to a few positions in the second, of any
// lengths in the others.
func someBegins(s Shape) []uint32 {
	g := rand.New(rand.NewPCG(uint64(s.T), 7))
	var list []uint32
	for b := range s.B {
		most := []int{s.T, 3, s.T/2 + 1}[min(b, 2)]
		begin, left := 0, s.T
		if b > 0 || s.B == 1 {
			left = 1 + g.IntN(most)
		}
		for i := range s.T {
			if left == 0 {
				begin, left = i, 1+g.IntN(most)
			}
			left--
			list = append(list, uint32(begin))
		}
	}
	return list
}

func newInputs(dtype gpu.DType, s Shape, stdQ, stdK float64) inputs {
	nq, nk, ns := s.B*s.T*s.H*s.D, s.B*s.T*s.KV*s.D, s.B*s.H*s.T
	q, k, v, dout := wgsltest.Stored(dtype, wgsltest.Random(1, nq, stdQ)), wgsltest.Stored(dtype,
		wgsltest.Random(2, nk, stdK)), wgsltest.Stored(dtype, wgsltest.Random(3, nk, 1)), wgsltest.Stored(dtype,
		wgsltest.Random(4, nq, 1))
	lse, delta := make([]float32, ns), make([]float32, ns)
	x := inputs{dtype: dtype, shape: s, exactOut: make([]float32, nq), dq: make([]float32, nq), dk: make([]float32, nk),
		dv: make([]float32, nk)}
	if s.Documents {
		var err error
		if x.bounds, err = Bounds(someBegins(s), s.B, s.T); err != nil {
			panic(err) // a mistake in someBegins
		}
	}
	ref.AttentionForward(x.exactOut, lse, q, k, v, x.bounds, s)
	out := wgsltest.Stored(dtype, x.exactOut)
	ref.AttentionBackwardQuery(x.dq, delta, dout, out, q, k, v, lse, x.bounds, s)
	ref.AttentionBackwardKeyValue(x.dk, x.dv, dout, q, k, v, lse, delta, x.bounds, s)
	delta = append(delta, x.bounds...)
	x.values = map[string][]float32{"q": q, "k": k, "v": v, "dout": dout, "out": out, "lse": lse, "delta": delta}
	return x
}

// value is an input's.
func (x inputs) value(name string) []float32 {
	if name == "bounds" {
		return x.bounds
	}
	return x.values[name]
}

func (x inputs) tensors(t testing.TB, d gpu.Device) map[string]gpu.Tensor {
	s, made := x.shape, map[string]gpu.Tensor{}
	if s.Documents {
		made["bounds"] = gputest.Tensor(t, d, "bounds", x.bounds, 2*s.B, s.T)
	}
	for name, values := range x.values {
		switch name {
		case "lse", "delta":
			made[name] = gputest.Tensor(t, d, name, values, len(values)/s.T, s.T)
		case "k", "v":
			made[name] = gputest.TensorOf(t, d, x.dtype, name, values, s.B*s.T, s.KV*s.D)
		default:
			made[name] = gputest.TensorOf(t, d, x.dtype, name, values, s.B*s.T, s.H*s.D)
		}
	}
	return made
}

// dirtyDelta is a tensor for BackwardQuery to fill, with bounds that it must leave.
func (x inputs) dirtyDelta(t testing.TB, d gpu.Device) gpu.Tensor {
	s := x.shape
	delta := wgsltest.Dirty(t, d, gpu.F32, "delta", len(x.values["delta"])/s.T, s.T)
	if s.Documents {
		if err := gpu.WriteRows(d, delta, s.B*s.H, x.bounds); err != nil {
			t.Fatal(err)
		}
	}
	return delta
}

// Every block gives the same bits, within the tolerance of TestAttention: sizes are
// around those of blocks and tiles, a head for each kind of unit.
func TestAttentionBlocksAgree(t *testing.T) {
	d := gputest.Adapter(t)
	for _, c := range []struct {
		dtype gpu.DType
		shape Shape
	}{
		{gpu.BF16, Shape{B: 2, T: 67, H: 4, KV: 2, D: 6}},
		{gpu.F32, Shape{B: 1, T: 65, H: 2, KV: 2, D: 12}},
		{gpu.BF16, Shape{B: 1, T: 129, H: 3, KV: 1, D: 8}},
		{gpu.F32, Shape{B: 3, T: 67, H: 4, KV: 2, D: 6, Documents: true}},
		{gpu.BF16, Shape{B: 3, T: 65, H: 2, KV: 2, D: 12, Documents: true}},
		{gpu.BF16, Shape{B: 3, T: 129, H: 3, KV: 1, D: 8, Documents: true}},
	} {
		s := c.shape
		x := newInputs(c.dtype, s, 1.5, 1)
		in := x.tensors(t, d)
		tensor := map[rune]func(name string) gpu.Tensor{
			'Q': func(name string) gpu.Tensor { return wgsltest.Dirty(t, d, c.dtype, name, s.B*s.T, s.H*s.D) },
			'K': func(name string) gpu.Tensor { return wgsltest.Dirty(t, d, c.dtype, name, s.B*s.T, s.KV*s.D) },
			'S': func(name string) gpu.Tensor { return wgsltest.Dirty(t, d, gpu.F32, name, s.B, s.H, s.T) },
			'D': func(string) gpu.Tensor { return x.dirtyDelta(t, d) },
		}
		inputs := map[kernelKind][]gpu.Tensor{
			forward:          {in["q"], in["k"], in["v"]},
			backwardQuery:    {in["dout"], in["out"], in["q"], in["k"], in["v"], in["lse"]},
			backwardKeyValue: {in["dout"], in["q"], in["k"], in["v"], in["lse"], in["delta"]},
		}
		if s.Documents {
			inputs[forward] = append(inputs[forward], in["bounds"])
		}
		want := map[kernelKind][]gpu.Tensor{}
		for _, v := range gputest.Sample(everyVariant(head{s.D, c.dtype}, s.Documents)) {
			var outs []gpu.Tensor
			for _, letter := range v.kind.tensors(s.Documents)[:2] {
				outs = append(outs, tensor[letter](v.name()))
			}
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				Class{v.kind, c.dtype, s}.run(p, v.block, slices.Concat(outs, inputs[v.kind]))
			})
			wgsltest.ZeroPadding(t, d, outs...)
			if want[v.kind] == nil {
				want[v.kind] = outs
				continue
			}
			for i := range outs {
				wgsltest.SameWords(t, d, outs[i], want[v.kind][i])
			}
		}
		for name, t1 := range in {
			wgsltest.Unchanged(t, d, t1, x.value(name))
		}
		for _, c := range []struct {
			got  gpu.Tensor
			want []float32
		}{{want[forward][0], x.exactOut}, {want[backwardQuery][0], x.dq}, {want[backwardKeyValue][0], x.dk},
			{want[backwardKeyValue][1], x.dv}} {
			wgsltest.Compare(t, c.got.Name, gputest.Read(t, d, c.got), c.want,
				wgsltest.Tolerance{Abs: 1e-4, Rel: 5e-5}.In(x.dtype))
		}
	}
}

// Scores far above what exp can hold must not overflow the online softmax.
func TestAttentionLargeScores(t *testing.T) {
	s := Shape{B: 1, T: 70, H: 1, KV: 1, D: 8}
	for _, c := range wgsltest.PairStorages {
		x := newInputs(c.Pair, s, 30, 30)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			in := x.tensors(t, d)
			out, lse := wgsltest.Dirty(t, d, c.Pair, "out", s.T, s.D), wgsltest.Dirty(t, d, gpu.F32, "lse", 1, 1, s.T)
			wgsltest.Run(t, d, func(p *gpu.Pass) { Forward(p, out, lse, in["q"], in["k"], in["v"], gpu.Tensor{}, s) })
			wgsltest.Compare(t, "out", gputest.Read(t, d, out), x.exactOut,
				wgsltest.Tolerance{Abs: 1e-3, Rel: 1e-3}.In(c.Pair))
			wgsltest.Compare(t, "lse", gputest.Read(t, d, lse), x.values["lse"],
				wgsltest.Tolerance{Abs: 1e-3, Rel: 1e-6})
		})
	}
}

// The members of a group are summed before their gradient is rounded: bf16 holds 1
// and seven times 1/512, which would vanish one by one.
func TestAttentionRoundsGroupsOnce(t *testing.T) {
	s := Shape{B: 1, T: 1, H: 8, KV: 1, D: 2}
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
		q, g, k, v, dk, dv, lse, delta := queries("q", nil), queries("dout", dout), keys("k"), keys("v"), keys("dk"),
			keys("dv"), stats("lse"), stats("delta")
		wgsltest.Run(t, d, func(p *gpu.Pass) { BackwardKeyValue(p, dk, dv, g, q, k, v, lse, delta, s) })
		want := wgsltest.Stored(gpu.BF16, []float32{1 + 7.0/512, 1 + 7.0/512})
		wgsltest.Compare(t, "dv", gputest.Read(t, d, dv), want, wgsltest.Equal)
	})
}

func TestAttentionRefuses(t *testing.T) {
	d := gpu.NewHost()
	tensor := func(dtype gpu.DType, shape ...int) gpu.Tensor {
		return gputest.TensorOf(t, d, dtype, "x", nil, shape...)
	}
	row, longer, narrow, bytes := tensor(gpu.F32, 2, 4), tensor(gpu.F32, 3, 4), tensor(gpu.BF16, 2,
		4), wgsltest.NewI8(t, d, "x", 2, 4)
	stat, none := tensor(gpu.F32, 1, 1, 2), gpu.Tensor{}
	for want, c := range map[string]struct {
		shape                     Shape
		out, lse, q, k, v, bounds gpu.Tensor
	}{
		"head size 258":                  {shape: Shape{B: 1, T: 2, H: 1, KV: 1, D: 258}},
		"head size 0":                    {shape: Shape{B: 1, T: 2, H: 1, KV: 1}},
		"head size 7 is odd":             {shape: Shape{B: 1, T: 2, H: 1, KV: 1, D: 7}},
		"3 query heads do not divide":    {shape: Shape{B: 1, T: 2, H: 3, KV: 2, D: 4}},
		"among 0 key-value heads":        {shape: Shape{B: 1, T: 2, H: 3, D: 4}},
		"65536 positions, at most 65535": {shape: Shape{B: 1, T: 65536, H: 1, KV: 1, D: 4}},
		"no tensor where (2, 4) is needed": {Shape{B: 1, T: 2, H: 1, KV: 1, D: 4}, none, none, none, none,
			none, none},
		"x is (2, 4) where (3, 4) is needed": {Shape{B: 1, T: 3, H: 1, KV: 1, D: 4}, longer, stat, longer, row,
			longer, none},
		"x is (1, 2) where (1, 3) is needed": {Shape{B: 1, T: 3, H: 1, KV: 1, D: 4}, longer, stat, longer,
			longer, longer, none},
		"tensor x is bf16, binding 3 takes f32": {Shape{B: 1, T: 2, H: 1, KV: 1, D: 4}, tensor(gpu.F32, 2, 4), stat,
			row, narrow, row, none},
		"tensor x is i8, kernels take f32 and bf16": {Shape{B: 1, T: 2, H: 1, KV: 1, D: 4}, bytes, stat, bytes, bytes,
			bytes, none},
		"no tensor where (2, 2) is needed": {Shape{B: 1, T: 2, H: 1, KV: 1, D: 4, Documents: true}, row, stat, row,
			row, row, none},
		"x is (1, 2) where (2, 2) is needed": {Shape{B: 1, T: 2, H: 1, KV: 1, D: 4, Documents: true}, row, stat,
			row, row, row, stat},
	} {
		p := d.Begin(want)
		Forward(p, c.out, c.lse, c.q, c.k, c.v, c.bounds, c.shape)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q in it", c.shape, err, want)
		}
	}
	p := d.Begin("long groups")
	BackwardKeyValue(p, row, row, row, row, row, row, stat, stat, Shape{B: 1, T: 16384, H: 4, KV: 1, D: 4})
	if err, want := p.End(), "16384 positions, at most 16383 for 4 query heads"; err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q in it", err, want)
	}
}

func BenchmarkAttention(b *testing.B) {
	d := gputest.Adapter(b)
	for _, s := range []Shape{
		{B: 2, T: 128, H: 4, KV: 4, D: 24}, {B: 4, T: 256, H: 6, KV: 6, D: 48}, {B: 1, T: 256, H: 8, KV: 2, D: 64},
		{B: 1, T: 1024, H: 12, KV: 12, D: 64},
	} {
		for _, c := range wgsltest.PairStorages {
			in := newInputs(c.Pair, s, 1, 1).tensors(b, d)
			queries := func(name string) gpu.Tensor { return wgsltest.Dirty(b, d, c.Pair, name, s.B*s.T, s.H*s.D) }
			keys := func(name string) gpu.Tensor { return wgsltest.Dirty(b, d, c.Pair, name, s.B*s.T, s.KV*s.D) }
			stats := func(name string) gpu.Tensor { return wgsltest.Dirty(b, d, gpu.F32, name, s.B, s.H, s.T) }
			out, lse, dq, delta, dk, dv := queries("out"), stats("lse"), queries("dq"), stats("delta"), keys("dk"),
				keys("dv")
			for _, k := range []struct {
				name   string
				ops    int
				record func(*gpu.Pass)
			}{
				{"forward", 4, func(p *gpu.Pass) {
					Forward(p, out, lse, in["q"], in["k"], in["v"], gpu.Tensor{}, s)
				}},
				{"query", 6, func(p *gpu.Pass) {
					BackwardQuery(p, dq, delta, in["dout"], in["out"], in["q"], in["k"], in["v"], in["lse"], s)
				}},
				{"keyvalue", 8, func(p *gpu.Pass) {
					BackwardKeyValue(p, dk, dv, in["dout"], in["q"], in["k"], in["v"], in["lse"], in["delta"], s)
				}},
			} {
				b.Run(fmt.Sprintf("%s/T=%d,D=%d%s", k.name, s.T, s.D, c.Suffix()), func(b *testing.B) {
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
