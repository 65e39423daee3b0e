package wgsl

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"text/template"

	"steplm/gpu"
	"steplm/wgsl/ref"
)

// AttentionShape is B sequences of T positions, H query heads over KV key-value
// heads (query head h reads key-value head h / (H / KV)), of size D each.
type AttentionShape = ref.AttentionShape

// maxHead is the largest head size that kernels are made for.
const maxHead = 256

// attention holds the kernels of one head size.
type attention struct{ forward, backwardQuery, backwardKeyValue *gpu.Kernel }

var (
	attentions     = map[int]attention{}
	attentionsLock sync.Mutex
)

// attentionFor makes the kernels of head size d once; their identity keys the
// device's pipelines.
func attentionFor(d int) attention {
	attentionsLock.Lock()
	defer attentionsLock.Unlock()
	a, ok := attentions[d]
	if !ok {
		a = attention{
			forward: attentionKernel("attention_forward", d, []gpu.Access{w, w, r, r, r}, func(a gpu.Args) {
				ref.AttentionForward(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), attentionShape(a, d))
			}),
			backwardQuery: attentionKernel("attention_backward_query", d, []gpu.Access{w, w, r, r, r, r, r, r}, func(a gpu.Args) {
				ref.AttentionBackwardQuery(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), a.F(5), a.F(6), a.F(7), attentionShape(a, d))
			}),
			backwardKeyValue: attentionKernel("attention_backward_key_value", d, []gpu.Access{w, w, r, r, r, r, r, r}, func(a gpu.Args) {
				ref.AttentionBackwardKeyValue(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), a.F(5), a.F(6), a.F(7), a.Int(4), attentionShape(a, d))
			}),
		}
		attentions[d] = a
	}
	return a
}

// attentionShape is the shape behind a call's params; kernels know B from their
// workgroups, Host from the last param.
func attentionShape(a gpu.Args, d int) AttentionShape {
	return AttentionShape{B: a.Int(5), T: a.Int(0), H: a.Int(1), KV: a.Int(2), D: d}
}

// attentionKernel fills the template of file name.wgsl.tmpl for head size d. Rows of
// whole vec4s are bound as such; others are gathered, the last part padded with
// zeros.
func attentionKernel(name string, d int, access []gpu.Access, host func(gpu.Args)) *gpu.Kernel {
	text, err := files.ReadFile(name + ".wgsl.tmpl")
	if err != nil {
		panic(fmt.Sprintf("kernel %s: %v", name, err)) // a mistake in this package
	}
	data := struct {
		D, Stride int // elements of a row, and as the bindings count them
		Element   string
		Parts     []int // vec4s of a row
	}{d, d, "f32", make([]int, gpu.Groups(d, 4))}
	for i := range data.Parts {
		data.Parts[i] = i
	}
	const lanes = "xyzw"
	load := func(x, at string, part int) string {
		var e [4]string
		for i := range e {
			e[i] = "0.0"
			if n := 4*part + i; n < d {
				e[i] = fmt.Sprintf("%s[%s + %du]", x, at, n)
			}
		}
		return fmt.Sprintf("vec4<f32>(%s)", strings.Join(e[:], ", "))
	}
	store := func(x, at string, part int, value string) string {
		var lines []string
		for n := 4 * part; n < min(d, 4*part+4); n++ {
			lines = append(lines, fmt.Sprintf("%s[%s + %du] = %s%d.%c;", x, at, n, value, part, lanes[n%4]))
		}
		return strings.Join(lines, " ")
	}
	if d%4 == 0 {
		data.Stride, data.Element = d/4, "vec4<f32>"
		load = func(x, at string, part int) string { return fmt.Sprintf("%s[%s + %du]", x, at, part) }
		store = func(x, at string, part int, value string) string {
			return fmt.Sprintf("%s[%s + %du] = %s%d;", x, at, part, value, part)
		}
	}
	tmpl := template.Must(template.New(name).Funcs(template.FuncMap{"load": load, "store": store}).Parse(string(text)))
	var src strings.Builder
	if err := tmpl.Execute(&src, data); err != nil {
		panic(fmt.Sprintf("kernel %s: %v", name, err)) // a mistake in this package
	}
	return &gpu.Kernel{Name: fmt.Sprintf("%s_%d", name, d), Source: src.String(), Workgroup: [3]int{64, 1, 1}, Access: access, Host: host}
}

// AttentionForward sets out (B, T, H, D) to causal attention of q (B, T, H, D)
// over k and v (B, T, KV, D) with scale 1/sqrt(D), and lse (B, H, T) to the
// logarithm of each softmax's denominator, for the backward kernels.
func AttentionForward(p *gpu.Pass, out, lse, q, k, v gpu.Tensor, s AttentionShape) {
	runAttention(p, s, s.H, 4, 0, []gpu.Tensor{out, lse, q, k, v}, func(a attention) *gpu.Kernel { return a.forward })
}

// AttentionBackwardQuery sets dq (B, T, H, D), and delta (B, H, T) to the inner
// products of dout and out, which AttentionBackwardKeyValue reads.
func AttentionBackwardQuery(p *gpu.Pass, dq, delta, dout, out, q, k, v, lse gpu.Tensor, s AttentionShape) {
	runAttention(p, s, s.H, 6, 0, []gpu.Tensor{dq, delta, dout, out, q, k, v, lse}, func(a attention) *gpu.Kernel { return a.backwardQuery })
}

// AttentionBackwardKeyValue sets dk and dv (B, T, KV, D), each summed over the
// query heads of its group, one call per member of the groups.
func AttentionBackwardKeyValue(p *gpu.Pass, dk, dv, dout, q, k, v, lse, delta gpu.Tensor, s AttentionShape) {
	for member := range max(1, s.Group()) { // 0: runAttention refuses
		runAttention(p, s, s.KV, 8, member, []gpu.Tensor{dk, dv, dout, q, k, v, lse, delta}, func(a attention) *gpu.Kernel { return a.backwardKeyValue })
	}
}

// runAttention records one call over heads (of queries or of keys) that costs
// ops operations per query, key and element.
func runAttention(p *gpu.Pass, s AttentionShape, heads, ops, member int, tensors []gpu.Tensor, kernel func(attention) *gpu.Kernel) {
	switch {
	case s.D < 1 || s.D > maxHead:
		p.Fail(fmt.Errorf("attention: head size %d, kernels exist for 1 to %d", s.D, maxHead))
		return
	case s.KV < 1 || s.H%s.KV != 0:
		p.Fail(fmt.Errorf("attention: %d query heads do not divide among %d key-value heads", s.H, s.KV))
		return
	case s.T > maxLoop:
		p.Fail(fmt.Errorf("attention: %d positions, at most %d", s.T, maxLoop))
		return
	}
	p.Run(gpu.Call{
		Kernel:  kernel(attentionFor(s.D)),
		Groups:  [3]int{gpu.Groups(s.T, 64), heads, s.B},
		Params:  []uint32{uint32(s.T), uint32(s.H), uint32(s.KV), gpu.Param(float32(1 / math.Sqrt(float64(s.D)))), uint32(member), uint32(s.B)},
		Tensors: tensors,
		Work:    float64(ops) * float64(s.D) * float64(s.B*heads) * float64(s.T) * float64(s.T+1) / 2,
	})
}
