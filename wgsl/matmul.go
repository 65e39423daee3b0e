package wgsl

import (
	"fmt"

	"steplm/gpu"
)

// MatmulShape is one product
//
//	out(M,N) = [out + | residual +] Scale op(a) op(b) [+ op(low a) op(low b)]
//
// The offsets count rows of the tensors as they lie in memory, so that row chunks of
// a tensor can be multiplied in place; columns are those of the shape.
type MatmulShape struct {
	M, N, K            int
	Scale              float32 // 0 means 1
	Accumulate         bool    // start from out
	OutRow, ARow, BRow int
	Residual           gpu.Tensor // (M, N), start from it; as out in type and rows
	Low                LowRank
}

// LowRank is a second product of the same transposes that goes into the same sums:
// an adapter's share. The zero value is none.
type LowRank struct {
	A, B gpu.Tensor
	Rank int // its k
}

// MatmulNN is out(M,N) from a(M,K) and b(K,N), each F32 or BF16. Sums are f32;
// where out is BF16 they are rounded when stored, and once more for each slice of
// k that follows when b, or k, is too long for one kernel.
func MatmulNN(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape) { matmul(p, "nn", out, a, b, s) }

// MatmulNT is out(M,N) from a(M,K) and b(N,K), see MatmulNN.
func MatmulNT(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape) { matmul(p, "nt", out, a, b, s) }

// MatmulTN is out(M,N) from a(K,M) and b(K,N), see MatmulNN.
func MatmulTN(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape) { matmul(p, "tn", out, a, b, s) }

// transposes says whether a and b lie transposed.
func transposes(name string) (aT, bT bool) { return name[0] == 't', name[1] == 't' }

func matmul(p *gpu.Pass, transpose string, out, a, b gpu.Tensor, s MatmulShape) {
	fail := func(format string, args ...any) {
		p.Fail(fmt.Errorf("matmul %s into %s: "+format, append([]any{transpose, out.Name}, args...)...))
	}
	if s.M < 1 || s.N < 1 || s.K < 1 {
		fail("%d x %d x %d, every size must be 1 or more", s.M, s.N, s.K)
		return
	}
	if s.Scale == 0 {
		s.Scale = 1
	}
	c := matmulCall{transpose: transpose, out: operand{out, s.OutRow, s.M, s.N}, residual: operand{s.Residual, s.OutRow, s.M, s.N}}
	c.a, c.b = operands(transpose, a, b, s.ARow, s.BRow, s.M, s.N, s.K)
	c.lowA, c.lowB = operands(transpose, s.Low.A, s.Low.B, 0, 0, s.M, s.N, s.Low.Rank)
	used := []operand{c.out, c.a, c.b}
	if !s.Residual.None() {
		used = append(used, c.residual)
		if s.Accumulate {
			fail("it starts from its own values or from %s, not from both", s.Residual.Name)
			return
		}
	}
	if s.Low.Rank > 0 {
		used = append(used, c.lowA, c.lowB)
	}
	for _, o := range used {
		if err := o.check(); err != nil {
			fail("%w", err)
			return
		}
	}
	for _, twin := range [][2]operand{{c.residual, c.out}, {c.lowA, c.a}, {c.lowB, c.b}} {
		if !twin[0].t.None() && twin[0].t.DType != twin[1].t.DType {
			fail("tensor %s is %s, it must be %s as %s is", twin[0].t.Name, twin[0].t.DType, twin[1].t.DType, twin[1].t.Name)
			return
		}
	}
	if err := c.record(p, s); err != nil {
		fail("%w", err)
	}
}

// operands are those of an (m, n) product over k.
func operands(transpose string, a, b gpu.Tensor, aRow, bRow, m, n, k int) (x, y operand) {
	x, y = operand{a, aRow, m, k}, operand{b, bRow, k, n}
	aT, bT := transposes(transpose)
	if aT {
		x.rows, x.cols = x.cols, x.rows
	}
	if bT {
		y.rows, y.cols = y.cols, y.rows
	}
	return x, y
}

// matmulCall is a product's operands.
type matmulCall struct {
	transpose                       string
	out, residual, a, b, lowA, lowB operand
}

// record records the product, in slices of m, n and k of which every operand binds as
// much as the device allows.
func (c matmulCall) record(p *gpu.Pass, s MatmulShape) error {
	aT, bT := transposes(c.transpose)
	limit := p.Limits().Binding
	dm, dn, dk := s.M, s.N, min(s.K, maxLoop)
	// What an operand's rows run along.
	along := func(transposed bool, straight, across *int) *int {
		if transposed {
			return across
		}
		return straight
	}
	for _, r := range []struct {
		o  operand
		by *int
	}{{c.out, &dm}, {c.residual, &dm}, {c.a, along(aT, &dm, &dk)}, {c.b, along(bT, &dk, &dn)}, {c.lowA, along(aT, &dm, nil)}, {c.lowB, along(bT, nil, &dn)}} {
		if r.o.t.None() {
			continue
		}
		most := r.o.most(limit)
		if r.by == nil { // rows along the rank, which is not sliced
			if most < r.o.rows {
				return fmt.Errorf("the device binds %d bytes, tensor %s has %d", limit, r.o.t.Name, r.o.t.Bytes())
			}
			continue
		}
		*r.by = min(*r.by, most)
	}
	for _, d := range []struct {
		slice *int
		of    int
	}{{&dm, s.M}, {&dn, s.N}, {&dk, s.K}} {
		if *d.slice < d.of { // the next slice begins at a whole vector
			*d.slice = *d.slice / gpu.RowPadding * gpu.RowPadding
		}
		if *d.slice < 1 {
			return fmt.Errorf("the device binds %d bytes, too few for %d rows of %s, %s or %s", limit, gpu.RowPadding, c.out.t.Name, c.a.t.Name, c.b.t.Name)
		}
	}
	for m := 0; m < s.M; m += dm {
		for n := 0; n < s.N; n += dn {
			for k := 0; k < s.K; k += dk {
				piece := matmulPiece{transpose: c.transpose, m: min(dm, s.M-m), n: min(dn, s.N-n), k: min(dk, s.K-k), scale: s.Scale, accumulate: s.Accumulate || k > 0}
				piece.out = c.out.block(limit, m, n, piece.m)
				piece.a, piece.b = blocks(aT, bT, c.a, c.b, limit, m, n, k, piece.m, piece.n, piece.k)
				if !c.residual.t.None() && k == 0 {
					piece.residual = c.residual.block(limit, m, n, piece.m)
				}
				if s.Low.Rank > 0 && k+dk >= s.K { // after all the rest, as if in one
					piece.rank = s.Low.Rank
					piece.lowA, piece.lowB = blocks(aT, bT, c.lowA, c.lowB, limit, m, n, 0, piece.m, piece.n, piece.rank)
				}
				piece.run(p)
			}
		}
	}
	return nil
}

// blocks are those of two operands for a slice of m, n and k.
func blocks(aT, bT bool, a, b operand, limit int64, m, n, k, dm, dn, dk int) (x, y block) {
	x, y = a.block(limit, m, k, dm), b.block(limit, k, n, dk)
	if aT {
		x = a.block(limit, k, m, dk)
	}
	if bT {
		y = b.block(limit, n, k, dn)
	}
	return x, y
}
