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

// MatmulShape is one product out(M,N) = [out +] Scale op(a) op(b). The offsets
// count elements from each tensor's start, so that row chunks of a tensor can
// be multiplied in place.
type MatmulShape struct {
	M, N, K         int
	Scale           float32 // 0 means 1
	Accumulate      bool
	OutAt, AAt, BAt int
}

// MatmulNN is out(M,N) from a(M,K) and b(K,N).
func MatmulNN(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape) { matmul(p, "nn", out, a, b, s) }

// MatmulNT is out(M,N) from a(M,K) and b(N,K).
func MatmulNT(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape) { matmul(p, "nt", out, a, b, s) }

// MatmulTN is out(M,N) from a(K,M) and b(K,N).
func MatmulTN(p *gpu.Pass, out, a, b gpu.Tensor, s MatmulShape) { matmul(p, "tn", out, a, b, s) }

func matmul(p *gpu.Pass, transpose string, out, a, b gpu.Tensor, s MatmulShape) {
	if s.M < 1 || s.N < 1 || s.K < 1 {
		p.Fail(fmt.Errorf("matmul %s into %s: %d x %d x %d, every size must be 1 or more", transpose, out.Name, s.M, s.N, s.K))
		return
	}
	for _, x := range []struct {
		t        gpu.Tensor
		at, size int
	}{{out, s.OutAt, s.M * s.N}, {a, s.AAt, s.M * s.K}, {b, s.BAt, s.K * s.N}} {
		if x.at < 0 || x.at+x.size > x.t.Elements() {
			p.Fail(fmt.Errorf("matmul %s into %s: elements %d to %d of %s, which has %d", transpose, out.Name, x.at, x.at+x.size, x.t.Name, x.t.Elements()))
			return
		}
	}
	if s.Scale == 0 {
		s.Scale = 1
	}
	v := chooseMatmul(p.Limits(), transpose, s)
	k := v.kernel()
	bm, bn := v.block()
	// One invocation loops over k. Longer sums go in slabs; the accumulator
	// starts from out, so the bits are those of one loop.
	for k0 := 0; k0 < s.K; k0 += maxLoop {
		n := min(maxLoop, s.K-k0)
		accumulate := uint32(0)
		if s.Accumulate || k0 > 0 {
			accumulate = 1
		}
		p.Run(gpu.Call{
			Kernel: k, Tensors: []gpu.Tensor{out, a, b},
			Groups: [3]int{gpu.Groups(s.N, bn), gpu.Groups(s.M, bm), 1},
			Params: []uint32{uint32(s.M), uint32(s.N), uint32(s.K), uint32(k0), uint32(k0 + n), accumulate, gpu.Param(s.Scale), uint32(s.OutAt), uint32(s.AAt), uint32(s.BAt)},
			Work:   2 * float64(s.M) * float64(s.N) * float64(n),
		})
	}
}

// matmulVariant names one kernel of the family. Every variant keeps one
// accumulator per output, k ascending, with explicit fma: all agree bit for bit
// on a device.
type matmulVariant struct {
	Transpose string // nn, nt, tn: of a and b
	TM, TN    int    // outputs per invocation; TN a multiple of 4
	GX, GY    int    // invocations per workgroup along n and m
	Slab      int    // k per tile in workgroup memory; 0: registers only
}

func (v matmulVariant) block() (m, n int) { return v.TM * v.GY, v.TN * v.GX }

func (v matmulVariant) name() string {
	memory := ""
	if v.Slab > 0 {
		memory = fmt.Sprintf("_shared%d", v.Slab)
	}
	return fmt.Sprintf("matmul_%s_%dx%d_%dx%d%s", v.Transpose, v.TM, v.TN, v.GX, v.GY, memory)
}

// chooseMatmul picks a variant by shape and device kind: big register tiles
// where memory is the CPU's cache, workgroup tiles on GPUs; on a GPU that must
// do without, workgroups that fill its lanes, as long as there are rows for them.
func chooseMatmul(l gpu.Limits, transpose string, s MatmulShape) matmulVariant {
	if l.Shared && l.Invocations >= 256 && l.WorkgroupMemory >= 8192 && s.M >= 32 && s.N >= 32 {
		return matmulVariant{transpose, 4, 4, 16, 16, 16}
	}
	tile := func(n int) int {
		switch {
		case n >= 16 && l.CPU:
			return 16
		case n >= 8:
			return 8
		}
		return 4
	}
	rows := 1
	if !l.CPU && s.M >= 32 {
		rows = 8
	}
	return matmulVariant{transpose, tile(s.M), tile(s.N), 8, rows, 0}
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
	err := matmulTemplate.Execute(&text, map[string]any{"V": v, "Name": v.name(), "BM": bm, "BN": bn, "Size": v.GX * v.GY})
	if err != nil {
		panic(err) // a mistake in the template
	}
	k := &gpu.Kernel{
		Name: v.name(), Source: text.String(), Workgroup: [3]int{v.GX, v.GY, 1},
		Shared: 4 * v.Slab * (bm + bn), Access: []gpu.Access{w, r, r},
		Host: func(a gpu.Args) {
			s := ref.MatmulShape{M: a.Int(0), N: a.Int(1), K: a.Int(2), Begin: a.Int(3), End: a.Int(4), Accumulate: a.Int(5) == 1, Scale: a.Float(6)}
			out, x, y := a.F(0)[a.Int(7):], a.F(1)[a.Int(8):], a.F(2)[a.Int(9):]
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
