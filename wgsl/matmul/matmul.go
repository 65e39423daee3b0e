package matmul

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

// Shape is one product
//
//	out(M,N) = [out + | residual +] Scale op(a) op(b) [+ op(second a) op(second b)]
//
// The offsets count rows of the tensors as they lie in memory, so that row chunks of
// a tensor can be multiplied in place; columns are those of the shape.
type Shape struct {
	M, N, K            int
	Scale              float32 // 0 means 1
	Accumulate         bool    // start from out
	OutRow, ARow, BRow int
	Residual           gpu.Tensor // (M, N), start from it; as out in type and rows
	Second             Product
}

// Product is a second product of the same transposes, M, N and types that goes into
// the same sums: an adapter's share, or that of another linear of the same input. The
// zero value is none.
type Product struct {
	A, B gpu.Tensor
	K    int
}

// NN is out(M,N) from a(M,K) and b(K,N), each F32 or BF16. Sums are f32;
// where out is BF16 they are rounded when stored, and once more for each slice of
// k that follows when b, or k, is too long for one kernel.
func NN(p *gpu.Pass, out, a, b gpu.Tensor, s Shape) {
	matmul(p, transposed{}, &out, &a, &b, &s)
}

// NT is out(M,N) from a(M,K) and b(N,K), see NN.
func NT(p *gpu.Pass, out, a, b gpu.Tensor, s Shape) {
	matmul(p, transposed{b: true}, &out, &a, &b, &s)
}

// TN is out(M,N) from a(K,M) and b(K,N), see NN.
func TN(p *gpu.Pass, out, a, b gpu.Tensor, s Shape) {
	matmul(p, transposed{a: true}, &out, &a, &b, &s)
}

// transposed says whether a and b lie transposed. Unlike its name it holds no pointer,
// so that what has both it and pointers to tensors need not go to the heap.
type transposed struct{ a, b bool }

func transposedOf(name string) transposed { return transposed{name[0] == 't', name[1] == 't'} }

// String is nn, nt or tn.
func (t transposed) String() string {
	switch {
	case t.a:
		return "tn"
	case t.b:
		return "nt"
	}
	return "nn"
}

func matmul(p *gpu.Pass, t transposed, out, a, b *gpu.Tensor, s *Shape) {
	product(p, t, false, out, a, b, s)
}

// product is a product, whose outputs lanes may share.
func product(p *gpu.Pass, t transposed, lanes bool, out, a, b *gpu.Tensor, s *Shape) {
	c := call{transposed: t, lanes: lanes, out: operand{out, s.OutRow, s.M, s.N}}
	c.a, c.b = operands(t, a, b, s.ARow, s.BRow, s.M, s.N, s.K)
	if !s.Residual.None() {
		c.residual = operand{&s.Residual, s.OutRow, s.M, s.N}
	}
	if s.Second.K > 0 {
		c.secondA, c.secondB = operands(t, &s.Second.A, &s.Second.B, 0, 0, s.M, s.N, s.Second.K)
	}
	err := c.check(s)
	if err == nil {
		err = c.record(p, s)
	}
	if err != nil {
		p.Fail(fmt.Errorf("matmul %s into %s: %w", t, out.Name, err))
	}
}

// operands are those of an (m, n) product over k.
func operands(t transposed, a, b *gpu.Tensor, aRow, bRow, m, n, k int) (x, y operand) {
	x, y = operand{a, aRow, m, k}, operand{b, bRow, k, n}
	if t.a {
		x.rows, x.cols = x.cols, x.rows
	}
	if t.b {
		y.rows, y.cols = y.cols, y.rows
	}
	return x, y
}

// call is a product's operands, of which some may be none.
type call struct {
	transposed
	lanes                                 bool // share an output, see lanes.go
	out, a, b, residual, secondA, secondB operand
}

// check refuses operands that do not go together.
func (c *call) check(s *Shape) error {
	if s.M < 1 || s.N < 1 || s.K < 1 {
		return fmt.Errorf("%d x %d x %d, every size must be 1 or more", s.M, s.N, s.K)
	}
	if !c.residual.none() && s.Accumulate {
		return fmt.Errorf("it starts from its own values or from %s, not from both", s.Residual.Name)
	}
	for _, o := range [...]*operand{&c.out, &c.a, &c.b, &c.residual, &c.secondA, &c.secondB} {
		if o.none() {
			continue
		}
		if err := o.check(); err != nil {
			return err
		}
	}
	for _, twin := range [...][2]*operand{{&c.residual, &c.out}, {&c.secondA, &c.a}, {&c.secondB, &c.b}} {
		if x, y := twin[0].t, twin[1].t; x != nil && x.DType != y.DType {
			return fmt.Errorf("tensor %s is %s, it must be %s as %s is", x.Name, x.DType, y.DType, y.Name)
		}
	}
	return nil
}

// record records the product, in slices of m, n and k of which every operand binds as
// much as the device allows. A second product that does not fit in whole follows as a
// product of its own: the sums are the same, in bf16 they are rounded once more.
func (c *call) record(p *gpu.Pass, s *Shape) error {
	limit := p.Limits().Binding
	if c.apart(limit, s) {
		first, second := *c, call{transposed: c.transposed, lanes: c.lanes, out: c.out, a: c.secondA, b: c.secondB}
		first.secondA, first.secondB = operand{}, operand{}
		one := *s
		one.Second = Product{}
		if err := first.record(p, &one); err != nil {
			return err
		}
		return second.record(p, &Shape{M: s.M, N: s.N, K: s.Second.K, Accumulate: true})
	}
	dm, dn, dk := s.M, s.N, min(s.K, kernel.MaxLoop)
	// What an operand's rows run along.
	along := func(across bool, straight, turned *int) *int {
		if across {
			return turned
		}
		return straight
	}
	whole := s.Second.K
	for _, r := range [...]struct {
		o  *operand
		by *int
	}{{&c.out, &dm}, {&c.residual, &dm}, {&c.a, along(c.transposed.a, &dm, &dk)},
		{&c.b, along(c.transposed.b, &dk, &dn)}, {&c.secondA, along(c.transposed.a, &dm, &whole)},
		{&c.secondB, along(c.transposed.b, &whole, &dn)}} {
		if !r.o.none() {
			*r.by = min(*r.by, r.o.most(limit))
		}
	}
	for _, d := range [...]struct {
		slice *int
		of    int
	}{{&dm, s.M}, {&dn, s.N}, {&dk, s.K}} {
		if *d.slice < d.of { // the next slice begins at a whole vector
			*d.slice = *d.slice / gpu.RowPadding * gpu.RowPadding
		}
		if *d.slice < 1 {
			return fmt.Errorf("the device binds %d bytes, too few for %d rows of %s, %s or %s", limit, gpu.RowPadding,
				c.out.t.Name, c.a.t.Name, c.b.t.Name)
		}
	}
	scale := s.Scale
	if scale == 0 {
		scale = 1
	}
	for m := 0; m < s.M; m += dm {
		for n := 0; n < s.N; n += dn {
			for k := 0; k < s.K; k += dk {
				piece := piece{transposed: c.transposed, lanes: c.lanes, m: min(dm, s.M-m), n: min(dn, s.N-n),
					k: min(dk, s.K-k), scale: scale, accumulate: s.Accumulate || k > 0}
				piece.out = c.out.block(limit, m, n, piece.m)
				piece.a, piece.b = blocks(c.transposed, &c.a, &c.b, limit, m, n, k, piece.m, piece.n, piece.k)
				if !c.residual.none() && k == 0 {
					piece.residual = c.residual.block(limit, m, n, piece.m)
				}
				if s.Second.K > 0 && k+dk >= s.K { // after all the rest, as if in one
					piece.second = s.Second.K
					piece.secondA, piece.secondB = blocks(c.transposed, &c.secondA, &c.secondB, limit, m, n, 0, piece.m,
						piece.n, piece.second)
				}
				piece.run(p)
			}
		}
	}
	return nil
}

// apart reports whether the second product is too long for the kernel of the first, where k
// is not sliced, or the kernel has no place for it.
func (c *call) apart(limit int64, s *Shape) bool {
	if s.Second.K == 0 {
		return false
	}
	return c.lanes || s.Second.K+min(s.K, kernel.MaxLoop) > kernel.MaxLoop || c.transposed.a &&
		c.secondA.most(limit) < s.Second.K || !c.transposed.b && c.secondB.most(limit) < s.Second.K
}

// blocks are those of two operands for a slice of m, n and k.
func blocks(t transposed, a, b *operand, limit int64, m, n, k, dm, dn, dk int) (x, y block) {
	x, y = a.block(limit, m, k, dm), b.block(limit, k, n, dk)
	if t.a {
		x = a.block(limit, k, m, dk)
	}
	if t.b {
		y = b.block(limit, n, k, dn)
	}
	return x, y
}
