package wgsl_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl"
	"steplm/wgsl/attention"
	"steplm/wgsl/update"
	"steplm/wgsl/wgsltest"
)

// BenchmarkKernels times everything but matmuls and attention at the shapes of the 15m
// preset with 4 x 256 positions, bf16 and split states: each case is what one step
// spends on a kernel, as one pass, and its fastest round counts. GB/s are of what a
// kernel must move at least.
func BenchmarkKernels(b *testing.B) {
	const batch, t, c, f, v, layers, heads, chunk = 4, 256, 288, 768, 32000, 6, 6, 131
	const rows, chunks = batch * t, (batch*t + chunk - 1) / chunk
	d := gputest.Adapter(b)
	act := func(name string, seed uint64, columns int) gpu.Tensor {
		return gputest.TensorOf(b, d, gpu.BF16, name, wgsltest.Random(seed, rows*columns, 1), rows, columns)
	}
	x, y, z := act("x", 1, c), act("y", 2, c), act("z", 3, c)
	gate, up, dout, dgate, dup := act("gate", 1, f), act("up", 2, f), act("dout", 3, f), act("dgate", 4, f), act("dup",
		5, f)
	norm, dnorm := gputest.TensorOf(b, d, gpu.BF16, "norm", wgsltest.Random(4, c, 1), c), gputest.TensorOf(b, d,
		gpu.BF16, "dnorm", nil, c)
	rstd := gputest.Tensor(b, d, "rstd", wgsltest.Random(5, rows, 1), rows)
	angles := make([]float32, t*c/heads/2)
	for i := range angles {
		angles[i] = math.Sqrt2 / 2
	}
	attention := attention.Shape{B: batch, T: t, H: heads, KV: heads, D: c / heads}
	cosine := gputest.Tensor(b, d, "cos", angles, t, c/heads/2)
	logits, losses := gputest.Tensor(b, d, "logits", wgsltest.Random(6, chunk*v, 1), chunk, v), gputest.Tensor(b, d,
		"losses", nil, rows)
	stats := gputest.Tensor(b, d, "stats", []float32{0, 1, 1, 0, 0, 0, 0, 0}, wgsl.StatWords)

	// Every third position has a token of its own.
	ids, tokens, starts, order := make([]uint32, rows), []uint32{}, []uint32{}, make([]uint32, rows)
	for i := range ids {
		ids[i], order[i] = uint32(i/3*91), uint32(i)
		if i%3 == 0 {
			tokens, starts = append(tokens, ids[i]), append(starts, uint32(i))
		}
	}
	starts = append(starts, rows)
	tids, ttokens, tstarts, torder := gputest.Indices(b, d, "ids", ids), gputest.Indices(b, d, "tokens",
		tokens), gputest.Indices(b, d, "starts", starts), gputest.Indices(b, d, "order", order)

	// The parameters of a step, of which those of one shape share memory here.
	type param struct {
		count                                                       int
		weight, low, m, v, grad, master, low8, m8, v8, s8, w32, g32 gpu.Tensor
	}
	var params []param
	elements := 0
	for _, p := range []struct{ count, rows, columns int }{{1, v, c}, {4 * layers, c, c}, {2 * layers, f, c},
		{layers, c, f}, {2*layers + 1, 1, c}} {
		n := p.rows * p.columns
		bytes, scales := update.Flash8Words(n)
		of := func(dtype gpu.DType, name string, n ...int) gpu.Tensor {
			return gputest.TensorOf(b, d, dtype, name, nil, n...)
		}
		params = append(params, param{
			p.count, of(gpu.BF16, "weight", p.rows, p.columns), of(gpu.U32, "low", n/2), of(gpu.F32, "m", p.rows,
				p.columns), of(gpu.F32, "v", p.rows, p.columns),
			gputest.TensorOf(b, d, gpu.BF16, "grad", wgsltest.Random(7, n, 0.01), p.rows, p.columns),
			of(gpu.F32, "master", p.rows, p.columns), of(gpu.U32, "low8", bytes), of(gpu.U32, "m8", bytes), of(gpu.U32,
				"v8", bytes), of(gpu.U32, "s8", scales),
			of(gpu.F32, "w32", p.rows, p.columns), gputest.Tensor(b, d, "g32", wgsltest.Random(7, n, 0.01), p.rows,
				p.columns),
		})
		elements += p.count * n
	}
	embed, q8, scales := params[0].weight, gputest.TensorOf(b, d, gpu.I8, "q8", nil, f, c), gputest.Tensor(b, d,
		"scales", nil, f, gpu.Groups(c, 64))
	matrix := gputest.Tensor(b, d, "matrix", wgsltest.Random(8, f*c, 1), f, c)
	var grads []gpu.Tensor
	parts := 0
	for _, p := range params {
		parts += p.count * gpu.Padded(wgsl.SquaredNormParts(p.grad.Spec))
		grads = append(grads, slices.Repeat([]gpu.Tensor{p.grad}, p.count)...)
	}
	partials := gputest.Tensor(b, d, "partials", nil, parts)
	o := update.AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Correction1: 0.1, Correction2: 0.05}
	each := func(p *gpu.Pass, do func(q param)) {
		for _, q := range params {
			for range q.count {
				do(q)
			}
		}
	}

	for _, k := range []struct {
		name   string
		calls  int // each step
		bytes  int // each call
		record func(p *gpu.Pass)
	}{
		{"nothing", 1, 0, func(p *gpu.Pass) { wgsl.Zero(p, stats) }},
		{"rmsnorm_forward", 2*layers + 1, 4 * rows * c,
			func(p *gpu.Pass) { wgsl.RMSNormForward(p, y, rstd, x, norm, 1e-5) }},
		{"rmsnorm_backward", 2*layers + 1, 8 * rows * c, func(p *gpu.Pass) {
			wgsl.RMSNormBackward(p, z, y, x, norm,
				rstd)
		}},
		{"rmsnorm_backward_weight", 2*layers + 1, 4 * rows * c,
			func(p *gpu.Pass) { wgsl.RMSNormBackwardWeight(p, dnorm, y, x, rstd, false) }},
		{"rope", 2 * layers, 8 * rows * c, func(p *gpu.Pass) { wgsl.RopeForward(p, x, y, cosine, cosine, attention) }},
		{"swiglu_forward", layers, 6 * rows * f, func(p *gpu.Pass) { wgsl.SwiGLUForward(p, dout, gate, up) }},
		{"swiglu_backward", layers, 10 * rows * f, func(p *gpu.Pass) {
			wgsl.SwiGLUBackward(p, dgate, dup, dout, gate,
				up)
		}},
		{"zero", 1, 2 * rows * c, func(p *gpu.Pass) { wgsl.Zero(p, z) }},
		{"embed_forward", 1, 4 * rows * c, func(p *gpu.Pass) { wgsl.EmbedForward(p, x, embed, tids) }},
		{"embed_backward", 1, 2 * rows * c, func(p *gpu.Pass) {
			wgsl.EmbedBackward(p, params[0].grad, x, ttokens, tstarts, torder, len(tokens))
		}},
		{"cross_entropy", chunks, 8 * rows * v / chunks, func(p *gpu.Pass) {
			wgsl.CrossEntropy(p, logits, losses, tids, 0, rows/chunks, v, 1)
		}},
		{"cross_entropy_forward", chunks, 4 * rows * v / chunks,
			func(p *gpu.Pass) { wgsl.CrossEntropyForward(p, logits, losses, tids, 0, rows/chunks, v) }},
		{"sum_losses", 1, 4 * rows, func(p *gpu.Pass) { wgsl.SumLosses(p, stats, losses, rows) }},
		{"squared_norms", 1, 2 * elements, func(p *gpu.Pass) {
			wgsl.ClipScale(p, stats, partials, wgsl.SquaredNorms(p, partials, grads...), 1)
		}},
		{"adamw_split", 1, 26 * elements, func(p *gpu.Pass) {
			each(p, func(q param) { update.AdamWSplit(p, q.weight, q.low, q.m, q.v, q.grad, stats, o) })
		}},
		{"adamw_paper", 1, 28 * elements, func(p *gpu.Pass) {
			each(p, func(q param) { update.AdamWPaper(p, q.weight, q.master, q.m, q.v, q.grad, stats, o) })
		}},
		{"adamw_f32", 1, 28 * elements, func(p *gpu.Pass) {
			each(p, func(q param) { update.AdamWF32(p, q.w32, q.m, q.v, q.g32, stats, o) })
		}},
		{"adamw_flash8", 1, 12 * elements, func(p *gpu.Pass) {
			each(p, func(q param) { update.AdamWFlash8(p, q.weight, q.low8, q.m8, q.v8, q.s8, q.grad, stats, o) })
		}},
		{"mix", 1, 10 * f * c, func(p *gpu.Pass) { wgsl.Mix(p, params[2].weight, params[2].m, matrix, 0.5, 0.5) }},
		{"widen", 1, 6 * f * c, func(p *gpu.Pass) { wgsl.Widen(p, params[2].m, params[2].weight) }},
		{"quantize", 1, 5 * f * c, func(p *gpu.Pass) { wgsl.Quantize(p, q8, scales, matrix) }},
		{"dequantize", 1, 3 * f * c, func(p *gpu.Pass) { wgsl.Dequantize(p, params[2].weight, q8, scales) }},
	} {
		b.Run(fmt.Sprintf("%s/calls=%d", k.name, k.calls), func(b *testing.B) {
			best := time.Duration(math.MaxInt64)
			for b.Loop() {
				begin := time.Now()
				p := d.Begin(k.name)
				for range k.calls {
					k.record(p)
				}
				if err := p.End(); err != nil {
					b.Fatal(err)
				}
				if err := d.Read(stats, 0, make([]uint32, 1)); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(begin))
			}
			b.ReportMetric(float64(k.calls*k.bytes)/best.Seconds()/1e9, "GB/s")
			b.ReportMetric(best.Seconds()*1e3, "ms/step")
			b.ReportMetric(0, "ns/op")
		})
	}
}
