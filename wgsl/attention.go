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

// head is what an attention kernel is made for.
type head struct {
	size  int       // even
	dtype gpu.DType // F32 or BF16
}

// attention holds the kernels of one head.
type attention struct{ forward, backwardQuery, backwardKeyValue *gpu.Kernel }

var (
	attentions     = map[head]attention{}
	attentionsLock sync.Mutex
)

// kernels are made once; their identity keys the device's pipelines.
func (x head) kernels() attention {
	attentionsLock.Lock()
	defer attentionsLock.Unlock()
	a, ok := attentions[x]
	if !ok {
		a = attention{
			forward: x.kernel("attention_forward", []gpu.Access{w, w, r, r, r}, "PFPPP", func(a gpu.Args) {
				ref.AttentionForward(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), x.shape(a))
			}),
			backwardQuery: x.kernel("attention_backward_query", []gpu.Access{w, w, r, r, r, r, r, r}, "PFPPPPPF", func(a gpu.Args) {
				ref.AttentionBackwardQuery(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), a.F(5), a.F(6), a.F(7), x.shape(a))
			}),
			backwardKeyValue: x.kernel("attention_backward_key_value", []gpu.Access{w, w, r, r, r, r, r, r}, "PPPPPPFF", func(a gpu.Args) {
				ref.AttentionBackwardKeyValue(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), a.F(5), a.F(6), a.F(7), x.shape(a))
			}),
		}
		attentions[x] = a
	}
	return a
}

// shape is the one behind a call's params; kernels know B from their workgroups,
// Host from the last param.
func (x head) shape(a gpu.Args) AttentionShape {
	return AttentionShape{B: a.Int(7), T: a.Int(0), H: a.Int(1), KV: a.Int(2), D: x.size}
}

// kernel fills the template of file name.wgsl.tmpl.
func (x head) kernel(name string, access []gpu.Access, types string, host func(gpu.Args)) *gpu.Kernel {
	text, err := files.ReadFile(name + ".wgsl.tmpl")
	if err != nil {
		panic(fmt.Sprintf("kernel %s: %v", name, err)) // a mistake in this package
	}
	u := x.units()
	data := struct {
		Head    int // units of a head
		Element string
		Parts   []int // vec4s of a head
		Padding []int // units by which a row may be longer than its heads
	}{x.size / u.size, u.element, upTo(gpu.Groups(x.size, 4)), upTo((gpu.RowPadding - 1) / u.size)}
	clear := func(x, at string, n int) string {
		return fmt.Sprintf("%s[%s + %du] = %s;", x, at, data.Head+n, u.zero)
	}
	tmpl := template.Must(template.New(name).Funcs(template.FuncMap{"load": u.load, "store": u.store, "clear": clear}).Parse(string(text)))
	s := storage{x.dtype, x.dtype}
	var src strings.Builder
	src.WriteString(s.prelude() + u.prelude)
	if err := tmpl.Execute(&src, data); err != nil {
		panic(fmt.Sprintf("kernel %s: %v", name, err)) // a mistake in this package
	}
	return &gpu.Kernel{Name: fmt.Sprintf("%s_%d%s", name, x.size, s.suffix()), Entry: name, Source: src.String(), Workgroup: [3]int{64, 1, 1},
		Access: access, DTypes: s.dtypes(types), Host: host}
}

// upTo lists 0 to n-1.
func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// AttentionForward sets out (B T, H D) to causal attention of q (B T, H D) over k
// and v (B T, KV D) with scale 1/sqrt(D), and lse (B, H, T; F32) to the logarithm of
// each softmax's denominator, for the backward kernels.
func AttentionForward(p *gpu.Pass, out, lse, q, k, v gpu.Tensor, s AttentionShape) {
	runAttention(p, s, attentionCall{heads: s.H, ops: 4, queries: []gpu.Tensor{q, out}, keys: []gpu.Tensor{k, v}, stats: []gpu.Tensor{lse},
		tensors: []gpu.Tensor{out, lse, q, k, v}, kernel: func(a attention) *gpu.Kernel { return a.forward }})
}

// AttentionBackwardQuery sets dq (B T, H D), and delta (B, H, T; F32) to the inner
// products of dout and out, which AttentionBackwardKeyValue reads.
func AttentionBackwardQuery(p *gpu.Pass, dq, delta, dout, out, q, k, v, lse gpu.Tensor, s AttentionShape) {
	runAttention(p, s, attentionCall{heads: s.H, ops: 6, queries: []gpu.Tensor{q, dq, dout, out}, keys: []gpu.Tensor{k, v}, stats: []gpu.Tensor{delta, lse},
		tensors: []gpu.Tensor{dq, delta, dout, out, q, k, v, lse}, kernel: func(a attention) *gpu.Kernel { return a.backwardQuery }})
}

// AttentionBackwardKeyValue sets dk and dv (B T, KV D), each summed over the query
// heads of its group, in f32.
func AttentionBackwardKeyValue(p *gpu.Pass, dk, dv, dout, q, k, v, lse, delta gpu.Tensor, s AttentionShape) {
	if g := s.Group(); g*s.T > maxLoop { // one loop, see the kernel
		p.Fail(fmt.Errorf("attention: %d positions, at most %d for %d query heads per key-value head", s.T, maxLoop/g, g))
		return
	}
	runAttention(p, s, attentionCall{heads: s.KV, ops: 8, queries: []gpu.Tensor{q, dout}, keys: []gpu.Tensor{k, v, dk, dv}, stats: []gpu.Tensor{lse, delta},
		tensors: []gpu.Tensor{dk, dv, dout, q, k, v, lse, delta}, kernel: func(a attention) *gpu.Kernel { return a.backwardKeyValue }})
}

// attentionCall is one call over heads (of queries or of keys) that costs ops
// operations per query head, query, key and element.
type attentionCall struct {
	heads, ops           int
	queries, keys, stats []gpu.Tensor // by shape
	tensors              []gpu.Tensor // in binding order
	kernel               func(attention) *gpu.Kernel
}

func runAttention(p *gpu.Pass, s AttentionShape, c attentionCall) {
	const name = "attention"
	switch {
	case s.D < 2 || s.D > maxHead:
		p.Fail(fmt.Errorf("%s: head size %d, kernels exist for even sizes from 2 to %d", name, s.D, maxHead))
		return
	case s.D%2 != 0:
		p.Fail(fmt.Errorf("%s: head size %d is odd, kernels take elements by pairs", name, s.D))
		return
	case s.Group() < 1:
		p.Fail(fmt.Errorf("%s: %d query heads do not divide among %d key-value heads", name, s.H, s.KV))
		return
	case s.T > maxLoop:
		p.Fail(fmt.Errorf("%s: %d positions, at most %d", name, s.T, maxLoop))
		return
	}
	for _, list := range []struct {
		tensors       []gpu.Tensor
		rows, columns int
	}{{c.queries, s.B * s.T, s.H * s.D}, {c.keys, s.B * s.T, s.KV * s.D}, {c.stats, s.B * s.H, s.T}} {
		for _, t := range list.tensors {
			if !shaped(p, name, t, list.rows, list.columns) {
				return
			}
		}
	}
	x := head{s.D, c.queries[0].DType}
	if x.dtype != gpu.F32 && x.dtype != gpu.BF16 {
		p.Fail(fmt.Errorf("%s: tensor %s is %s, kernels take %s and %s", name, c.queries[0].Name, x.dtype, gpu.F32, gpu.BF16))
		return
	}
	unit := x.units().size
	p.Run(gpu.Call{
		Kernel: c.kernel(x.kernels()),
		Groups: [3]int{gpu.Groups(s.T, 64), c.heads, s.B},
		Params: []uint32{uint32(s.T), uint32(s.H), uint32(s.KV), uint32(c.queries[0].Stride() / unit), uint32(c.keys[0].Stride() / unit),
			uint32(c.stats[0].Stride()), gpu.Param(float32(1 / math.Sqrt(float64(s.D)))), uint32(s.B)},
		Tensors: c.tensors,
		Work:    float64(c.ops) * float64(s.D) * float64(s.B*s.H) * float64(s.T) * float64(s.T+1) / 2,
	})
}
