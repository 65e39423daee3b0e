package wgsl

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"text/template"

	"steplm/gpu"
	"steplm/wgsl/ref"
)

// MatmulShape is one product out(M,N) = [out +] Scale op(a) op(b). The
// offsets count rows of the tensors as they lie in memory, so that row chunks of
// a tensor can be multiplied in place; columns are those of the shape.
type MatmulShape struct {
	M, N, K            int
	Scale              float32 // 0 means 1
	Accumulate         bool
	OutRow, ARow, BRow int
}

// MatmulNN is out(M,N) from a(M,K) and b(K,N), each F32 or BF16. Sums are f32;
// where out is BF16 they are rounded when stored, and once more for each slice of
// k that follows when b, or k, is too long for one kernel.
func MatmulNN(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape) { matmul(p, "nn", out, a, b, s) }

// MatmulNT is out(M,N) from a(M,K) and b(N,K), see MatmulNN.
func MatmulNT(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape) { matmul(p, "nt", out, a, b, s) }

// MatmulTN is out(M,N) from a(K,M) and b(K,N), see MatmulNN.
func MatmulTN(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape) { matmul(p, "tn", out, a, b, s) }

func matmul(p *gpu.Pass, transpose string, out, a, b gpu.Tensor, s MatmulShape) {
	name := "matmul " + transpose
	if s.M < 1 || s.N < 1 || s.K < 1 {
		p.Fail(fmt.Errorf("%s into %s: %d x %d x %d, every size must be 1 or more", name, out.Name, s.M, s.N, s.K))
		return
	}
	o, x, y := operand{out, s.OutRow, s.M, s.N}, operand{a, s.ARow, s.M, s.K}, operand{b, s.BRow, s.K, s.N}
	if transpose == "tn" {
		x.rows, x.cols = x.cols, x.rows
	}
	if transpose == "nt" {
		y.rows, y.cols = y.cols, y.rows
	}
	// Slices of m, n and k of which every operand binds as much as the device allows.
	limit := p.Limits().Binding
	dm, dn, dk := s.M, s.N, min(s.K, maxLoop)
	byRows := map[string][3]*int{"nn": {&dm, &dm, &dk}, "nt": {&dm, &dm, &dn}, "tn": {&dm, &dk, &dk}}[transpose]
	for i, op := range []operand{o, x, y} {
		if err := op.check(); err != nil {
			p.Fail(fmt.Errorf("%s into %s: %w", name, out.Name, err))
			return
		}
		*byRows[i] = min(*byRows[i], op.most(limit))
	}
	for _, d := range []struct {
		slice *int
		of    int
	}{{&dm, s.M}, {&dn, s.N}, {&dk, s.K}} {
		if *d.slice < d.of { // the next slice begins at a whole vector
			*d.slice = *d.slice / gpu.RowPadding * gpu.RowPadding
		}
		if *d.slice < 1 {
			p.Fail(fmt.Errorf("%s into %s: the device binds %d bytes, too few for %d rows of %s, %s or %s", name, out.Name, limit, gpu.RowPadding, out.Name, a.Name, b.Name))
			return
		}
	}
	if s.Scale == 0 {
		s.Scale = 1
	}
	types := matmulTypes{out.DType, a.DType, b.DType}
	for m := 0; m < s.M; m += dm {
		for n := 0; n < s.N; n += dn {
			for k := 0; k < s.K; k += dk {
				piece := MatmulShape{M: min(dm, s.M-m), N: min(dn, s.N-n), K: min(dk, s.K-k), Scale: s.Scale, Accumulate: s.Accumulate || k > 0}
				a, b := x.block(limit, m, k, piece.M), y.block(limit, k, n, piece.K)
				if transpose == "tn" {
					a = x.block(limit, k, m, piece.K)
				}
				if transpose == "nt" {
					b = y.block(limit, n, k, piece.N)
				}
				chooseMatmul(p.Limits(), transpose, types, piece).run(p, o.block(limit, m, n, piece.M), a, b, piece)
			}
		}
	}
}

// operand is the rows of a tensor that a product takes, rows of them from row on.
type operand struct {
	t               gpu.Tensor
	row, rows, cols int
}

func (o operand) check() error {
	t := o.t
	if t.None() {
		return fmt.Errorf("no tensor where (%d, %d) is needed", o.rows, o.cols)
	}
	if t.DType != gpu.F32 && t.DType != gpu.BF16 {
		return fmt.Errorf("tensor %s is %s where f32 or bf16 is needed", t.Name, t.DType)
	}
	if t.Cols() != o.cols {
		return fmt.Errorf("tensor %s has %d columns where %d are needed", t.Name, t.Cols(), o.cols)
	}
	if o.row < 0 || o.row+o.rows > t.Rows() {
		return fmt.Errorf("rows %d to %d of tensor %s, which has %d", o.row, o.row+o.rows, t.Name, t.Rows())
	}
	return nil
}

// most is the rows, from any row on, that fit a binding of limit bytes.
func (o operand) most(limit int64) int {
	if o.t.Bytes() <= limit {
		return o.rows
	}
	return max(0, int(limit/o.rowBytes())-(o.step()-1))
}

func (o operand) rowBytes() int64 { return o.t.Bytes() / int64(o.t.Rows()) }

// step is the rows between those at which a part may begin.
func (o operand) step() int {
	n := 1
	for o.t.PartRows(int64(n)*o.rowBytes()) == 0 {
		n *= 2
	}
	return n
}

// block is the block of the operand that begins at (row, col) and goes on for
// rows, in the whole tensor or, where that is more than limit, in a part.
func (o operand) block(limit int64, row, col, rows int) block {
	row += o.row
	if o.t.Bytes() <= limit {
		return block{o.t, row, col}
	}
	first := row / o.step() * o.step()
	return block{o.t.Part(first, row-first+rows), row - first, col}
}

// block is a block of a tensor that is bound.
type block struct {
	t        gpu.Tensor
	row, col int
}

func (b block) params() []uint32 {
	return []uint32{uint32(b.row), uint32(b.col), uint32(b.t.Cols())}
}

// matmulTypes are those of out, a and b.
type matmulTypes [3]gpu.DType

// matmulVariant names one kernel of the family. Every variant keeps one
// accumulator per output, k ascending, with explicit fma: all of one combination of
// types agree bit for bit on a device.
type matmulVariant struct {
	Transpose string // nn, nt, tn: of a and b
	Types     matmulTypes
	TM, TN    int // outputs per invocation; multiples of 4
	GX, GY    int // invocations per workgroup along n and m
	Step      int // k per iteration and per load of an operand that is contiguous along k: 2 or 4
	Slab      int // k per tile in workgroup memory; 0: registers only
}

func (v matmulVariant) block() (m, n int) { return v.TM * v.GY, v.TN * v.GX }

func (v matmulVariant) name() string {
	memory := ""
	if v.Slab > 0 {
		memory = fmt.Sprintf("_shared%d", v.Slab)
	}
	return fmt.Sprintf("matmul_%s_%dx%d_%dx%d_by%d%s_%s_%s_%s", v.Transpose, v.TM, v.TN, v.GX, v.GY, v.Step, memory, v.Types[0], v.Types[1], v.Types[2])
}

// chooseMatmul picks a variant by shape and device kind: workgroup tiles on GPUs;
// on a GPU that must do without, workgroups that fill its lanes, as long as there
// are rows for them; big register tiles where memory is the CPU's cache.
func chooseMatmul(l gpu.Limits, transpose string, types matmulTypes, s MatmulShape) matmulVariant {
	if l.CPU {
		return chooseCPU(transpose, types, s)
	}
	if l.Shared && l.Invocations >= 256 && l.WorkgroupMemory >= 8192 && s.M >= 32 && s.N >= 32 {
		return matmulVariant{transpose, types, 4, 4, 16, 16, 4, 16}
	}
	tile := func(n int) int {
		if n >= 8 {
			return 8
		}
		return 4
	}
	rows := 1
	if s.M >= 32 {
		rows = 8
	}
	return matmulVariant{transpose, types, tile(s.M), tile(s.N), 8, rows, 2, 0}
}

// chooseCPU takes no more columns per invocation than leave all eight of them,
// which are the lanes of the CPU's vectors, something to do.
func chooseCPU(transpose string, types matmulTypes, s MatmulShape) matmulVariant {
	tm, tn, step := 4, 16, 2
	switch {
	case s.M >= 16:
		tm = 16
	case s.M >= 8:
		tm = 8
	}
	switch {
	case s.N <= 32:
		tn = 4
	case s.N <= 64:
		tn = 8
	}
	if transpose == "nt" { // both operands are read across their rows: the more at once the better
		step = 4
	}
	return matmulVariant{transpose, types, tm, tn, 8, 1, step, 0}
}

// run records the product of blocks.
func (v matmulVariant) run(p *gpu.Pass, out, a, b block, s MatmulShape) {
	bm, bn := v.block()
	accumulate := uint32(0)
	if s.Accumulate {
		accumulate = 1
	}
	params := []uint32{uint32(s.M), uint32(s.N), uint32(s.K), accumulate, gpu.Param(s.Scale)}
	for _, b := range []block{out, a, b} {
		params = append(params, b.params()...)
	}
	p.Run(gpu.Call{
		Kernel: v.kernel(), Tensors: []gpu.Tensor{out.t, a.t, b.t}, Params: params,
		Groups: [3]int{gpu.Groups(gpu.Padded(s.N), bn), gpu.Groups(s.M, bm), 1},
		Work:   2 * float64(s.M) * float64(s.N) * float64(s.K),
	})
}

//go:embed matmul.wgsl.tmpl
var matmulText string

var matmulTemplate = template.Must(template.New("matmul").Funcs(template.FuncMap{
	"seq": func(n int) []int {
		s := make([]int, n)
		for i := range s {
			s[i] = i
		}
		return s
	},
	"add": func(a, b int) int { return a + b },
	"sub": func(a, b int) int { return a - b },
	"mod": func(a, b int) int { return a % b },
	"mul": func(a, b int) int { return a * b },
	"div": func(a, b int) int { return a / b },
}).Parse(matmulText))

var (
	matmulMu      sync.Mutex
	matmulKernels = map[matmulVariant]*gpu.Kernel{}
)

func (v matmulVariant) kernel() *gpu.Kernel {
	matmulMu.Lock()
	defer matmulMu.Unlock()
	if k, ok := matmulKernels[v]; ok {
		return k
	}
	var text strings.Builder
	bm, bn := v.block()
	text.WriteString(v.prelude())
	err := matmulTemplate.Execute(&text, map[string]any{"V": v, "Name": v.name(), "BM": bm, "BN": bn, "Size": v.GX * v.GY})
	if err != nil {
		panic(err) // a mistake in the template
	}
	k := &gpu.Kernel{
		Name: v.name(), Source: text.String(), Workgroup: [3]int{v.GX, v.GY, 1},
		Shared: 4 * v.Slab * (bm + bn), Access: []gpu.Access{w, r, r}, DTypes: v.Types[:],
		Host: func(a gpu.Args) {
			s := ref.MatmulShape{M: a.Int(0), N: a.Int(1), K: a.Int(2), Accumulate: a.Int(3) == 1, Scale: a.Float(4), OutCols: a.Int(7), ACols: a.Int(10), BCols: a.Int(13)}
			out, x, y := a.F(0)[a.Int(5)*s.OutCols+a.Int(6):], a.F(1)[a.Int(8)*s.ACols+a.Int(9):], a.F(2)[a.Int(11)*s.BCols+a.Int(12):]
			switch v.Transpose {
			case "nn":
				ref.MatmulNN(out, x, y, s)
			case "nt":
				ref.MatmulNT(out, x, y, s)
			case "tn":
				ref.MatmulTN(out, x, y, s)
			}
		},
	}
	matmulKernels[v] = k
	return k
}

// ASize and BSize are the elements of a load of a and of b.
func (v matmulVariant) ASize() int {
	if v.Transpose == "tn" {
		return 4
	}
	return v.Step
}

func (v matmulVariant) BSize() int {
	if v.Transpose == "nt" {
		return v.Step
	}
	return 4
}

// prelude declares the vectors that are loaded and stored.
func (v matmulVariant) prelude() string {
	text := roundBF16 + vector("Out", v.Types[0], 4) + vector("A", v.Types[1], v.ASize()) + vector("B", v.Types[2], v.BSize())
	if v.Types[0] == gpu.F32 {
		return text + "fn pack_out(v: vec4<f32>) -> Out { return v; }\n"
	}
	return text + "fn pack_out(v: vec4<f32>) -> Out { return vec2<u32>(round_bf16(v.x) | (round_bf16(v.y) << 16u), round_bf16(v.z) | (round_bf16(v.w) << 16u)); }\n"
}

// vector declares a type of size elements of storage, 2 or 4, and how it becomes
// floats.
func vector(name string, t gpu.DType, size int) string {
	floats := fmt.Sprintf("vec%d<f32>", size)
	stored, value := floats, "p"
	switch {
	case t == gpu.BF16 && size == 2:
		stored, value = "u32", "vec2<f32>(bitcast<f32>(p << 16u), bitcast<f32>(p & 0xffff0000u))"
	case t == gpu.BF16:
		stored, value = "vec2<u32>", "vec4<f32>(bitcast<f32>(p.x << 16u), bitcast<f32>(p.x & 0xffff0000u), bitcast<f32>(p.y << 16u), bitcast<f32>(p.y & 0xffff0000u))"
	}
	return fmt.Sprintf("alias %[1]s = %[2]s;\nfn unpack_%[3]s(p: %[1]s) -> %[4]s { return %[5]s; }\n", name, stored, strings.ToLower(name), floats, value)
}
