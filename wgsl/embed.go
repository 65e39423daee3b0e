package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

var embedForward = library.Typed("embed_forward", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, "PPU", func(a gpu.Args) {
	rows, first, v := len(a.U(2)), a.Int(2), a.Int(3)
	ref.EmbedForward(a.F(0), a.F(1), a.U(2), rows, len(a.F(0))/rows, first, v)
})

var embedBackward = library.Typed("embed_backward", [3]int{64, 1, 1}, []gpu.Access{w, r, r, r, r}, "GPUUU",
	func(a gpu.Args) {
		first, v, skip, segments := a.Int(1), a.Int(2), a.Int(3), a.Int(5)
		if skip == 0 { // the reference takes whole segments at once
			ref.EmbedBackward(a.F(0), a.F(1), a.U(2), a.U(3), a.U(4), segments, len(a.F(0))/v, first, v)
		}
	})

// EmbedForward sets the rows of out (rows, C) to those of weight (V, C) that ids
// (rows) name. An id of V or more, which loaders refuse, gives zeros.
func EmbedForward(p *gpu.Pass, out, weight, ids gpu.Tensor) {
	if !kernel.Alike(p, embedForward.Name, weight) ||
		!kernel.Shaped(p, embedForward.Name, out, ids.Elements(), weight.Cols()) {
		return
	}
	stride := kernel.EightStride(out)
	eights := out.Rows() * stride
	kernel.EachRows(p, embedForward.Name, weight, func(first int, part gpu.Tensor) {
		embedForward.Run(p, gpu.Call{Groups: kernel.Groups1(eights, 64),
			Params:  p.Params(uint32(eights), uint32(stride), uint32(first), uint32(part.Rows())),
			Tensors: p.Tensors(out, part, ids), Work: kernel.Traffic(64, eights)})
	})
}

// EmbedBackward adds to row tokens[s] of dweight (V, C) the rows
// order[starts[s]:starts[s+1]] of dout (rows, C), for each s below segments.
// Tokens are distinct; those of V or more, which loaders refuse, are skipped.
func EmbedBackward(p *gpu.Pass, dweight, dout, tokens, starts, order gpu.Tensor, segments int) {
	embedBackwardLimit(p, dweight, dout, tokens, starts, order, segments, kernel.MaxLoop)
}

// embedBackwardLimit takes limit rows of every segment per call.
func embedBackwardLimit(p *gpu.Pass, dweight, dout, tokens, starts, order gpu.Tensor, segments, limit int) {
	if !kernel.Alike(p, embedBackward.Name, dweight) ||
		!kernel.Shaped(p, embedBackward.Name, dout, order.Elements(), dweight.Cols()) {
		return
	}
	if segments > tokens.Elements() || segments >= starts.Elements() {
		p.Fail(fmt.Errorf("%s: %d segments of %d tokens, %d starts", embedBackward.Name, segments, tokens.Elements(),
			starts.Elements()))
		return
	}
	rows, stride := dout.Rows(), kernel.EightStride(dout)
	kernel.EachRows(p, embedBackward.Name, dweight, func(first int, part gpu.Tensor) {
		for skip := 0; skip < rows; skip += limit {
			embedBackward.Run(p, gpu.Call{Groups: [3]int{gpu.Groups(stride, 64), segments, 1},
				Params: p.Params(uint32(stride), uint32(first), uint32(part.Rows()), uint32(skip), uint32(limit),
					uint32(segments)),
				Tensors: p.Tensors(part, dout, tokens, starts, order),
				Work:    kernel.Traffic(96, min(limit, rows)*stride)})
		}
	})
}
