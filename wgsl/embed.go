package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/ref"
)

var embedForward = typed("embed_forward", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, "PPU", func(a gpu.Args) {
	rows, first, v := len(a.U(2)), a.Int(2), a.Int(3)
	ref.EmbedForward(a.F(0), a.F(1), a.U(2), rows, len(a.F(0))/rows, first, v)
})

var embedBackward = typed("embed_backward", [3]int{64, 1, 1}, []gpu.Access{w, r, r, r, r}, "GPUUU", func(a gpu.Args) {
	first, v, skip, segments := a.Int(1), a.Int(2), a.Int(3), a.Int(5)
	if skip == 0 { // the reference takes whole segments at once
		ref.EmbedBackward(a.F(0), a.F(1), a.U(2), a.U(3), a.U(4), segments, len(a.F(0))/v, first, v)
	}
})

// EmbedForward sets the rows of out (rows, C) to those of weight (V, C) that ids
// (rows) name. An id of V or more, which loaders refuse, gives zeros.
func EmbedForward(p *gpu.Pass, out, weight, ids gpu.Tensor) {
	if !alike(p, embedForward.name, weight) || !shaped(p, embedForward.name, out, ids.Elements(), weight.Cols()) {
		return
	}
	stride := eightStride(out)
	eights := out.Rows() * stride
	eachRows(p, embedForward.name, weight, func(first int, part gpu.Tensor) {
		embedForward.run(p, gpu.Call{Groups: groups1(eights, 64), Params: p.Params(uint32(eights), uint32(stride), uint32(first), uint32(part.Rows())),
			Tensors: p.Tensors(out, part, ids), Work: traffic(64, eights)})
	})
}

// EmbedBackward adds to row tokens[s] of dweight (V, C) the rows
// order[starts[s]:starts[s+1]] of dout (rows, C), for each s below segments.
// Tokens are distinct; those of V or more, which loaders refuse, are skipped.
func EmbedBackward(p *gpu.Pass, dweight, dout, tokens, starts, order gpu.Tensor, segments int) {
	embedBackwardLimit(p, dweight, dout, tokens, starts, order, segments, maxLoop)
}

// embedBackwardLimit takes limit rows of every segment per call.
func embedBackwardLimit(p *gpu.Pass, dweight, dout, tokens, starts, order gpu.Tensor, segments, limit int) {
	if !alike(p, embedBackward.name, dweight) || !shaped(p, embedBackward.name, dout, order.Elements(), dweight.Cols()) {
		return
	}
	if segments > tokens.Elements() || segments >= starts.Elements() {
		p.Fail(fmt.Errorf("%s: %d segments of %d tokens, %d starts", embedBackward.name, segments, tokens.Elements(), starts.Elements()))
		return
	}
	rows, stride := dout.Rows(), eightStride(dout)
	eachRows(p, embedBackward.name, dweight, func(first int, part gpu.Tensor) {
		for skip := 0; skip < rows; skip += limit {
			embedBackward.run(p, gpu.Call{Groups: [3]int{gpu.Groups(stride, 64), segments, 1},
				Params:  p.Params(uint32(stride), uint32(first), uint32(part.Rows()), uint32(skip), uint32(limit), uint32(segments)),
				Tensors: p.Tensors(part, dout, tokens, starts, order), Work: traffic(96, min(limit, rows)*stride)})
		}
	})
}
