package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/ref"
)

var embedForward = kernel("embed_forward", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, func(a gpu.Args) {
	ref.EmbedForward(a.F(0), a.F(1), a.U(2), a.Int(0)/a.Int(1), a.Int(1), a.Int(2))
})

var embedBackward = kernel("embed_backward", [3]int{64, 1, 1}, []gpu.Access{w, r, r, r, r}, func(a gpu.Args) {
	if a.Int(2) == 0 { // the reference takes whole segments at once
		ref.EmbedBackward(a.F(0), a.F(1), a.U(2), a.U(3), a.U(4), a.Int(4), a.Int(0), a.Int(1))
	}
})

// EmbedForward sets the rows of out (rows, c) to those of weight (V, c) that ids
// (rows) name. An id of V or more, which loaders refuse, gives zeros.
func EmbedForward(p *gpu.Pass, out, weight, ids gpu.Tensor, rows, c int) {
	n := rows * c
	p.Run(gpu.Call{Kernel: embedForward, Groups: groups1(n, 64), Params: []uint32{uint32(n), uint32(c), uint32(weight.Elements() / c)},
		Tensors: []gpu.Tensor{out, weight, ids}, Work: traffic(8, n)})
}

// EmbedBackward adds to row tokens[s] of dweight (V, c) the rows
// order[starts[s]:starts[s+1]] of dout (rows, c), for each s below segments.
// Tokens are distinct; those of V or more, which loaders refuse, are skipped.
func EmbedBackward(p *gpu.Pass, dweight, dout, tokens, starts, order gpu.Tensor, segments, c int) {
	embedBackwardLimit(p, dweight, dout, tokens, starts, order, segments, c, maxLoop)
}

// embedBackwardLimit takes limit rows of every segment per call.
func embedBackwardLimit(p *gpu.Pass, dweight, dout, tokens, starts, order gpu.Tensor, segments, c, limit int) {
	rows := order.Elements()
	for first := 0; first < rows; first += limit {
		p.Run(gpu.Call{Kernel: embedBackward, Groups: [3]int{gpu.Groups(c, 64), segments, 1},
			Params:  []uint32{uint32(c), uint32(dweight.Elements() / c), uint32(first), uint32(limit), uint32(segments)},
			Tensors: []gpu.Tensor{dweight, dout, tokens, starts, order}, Work: traffic(12, min(limit, rows)*c)})
	}
}
