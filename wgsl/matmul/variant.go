package matmul

import (
	"fmt"
	"strings"
	"sync"
	"text/template"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// tile is how a kernel of the family cuts its work: what is tuned. Every
// tile keeps one accumulator per output, k ascending, with explicit fma: all give
// the same bits on a device.
type tile struct {
	TM, TN int // outputs per invocation; multiples of 4
	GX, GY int // invocations per workgroup along n and m
	Step   int // k per iteration and per load of an operand that is contiguous along k: 2, 4 or 8
	Slab   int // k per tile in workgroup memory; 0: registers only
}

func (t tile) block() (m, n int) { return t.TM * t.GY, t.TN * t.GX }

func (t tile) String() string {
	memory := ""
	if t.Slab > 0 {
		memory = fmt.Sprintf("_shared%d", t.Slab)
	}
	return fmt.Sprintf("%dx%d_%dx%d_by%d%s", t.TM, t.TN, t.GX, t.GY, t.Step, memory)
}

// shared is the bytes of workgroup memory.
func (t tile) shared() int {
	m, n := t.block()
	return 4 * t.Slab * (m + n)
}

// fits reports whether a device can run the tile.
func (t tile) fits(l gpu.Limits) bool {
	return t.GX*t.GY <= l.Invocations && (t.Slab == 0 || l.Shared && t.shared() <= l.WorkgroupMemory)
}

// dtypes are those of out, a and b.
type dtypes [3]gpu.DType

// variant names one kernel of the family.
type variant struct {
	tile
	Transpose string // nn, nt, tn: of a and b
	Types     dtypes
	Residual  bool // out starts from another tensor
	Second    bool // a second product is added
	Split     bool // k in slices along z, each into an out of its own; tn alone
	Aligned   bool // whole blocks: no edges
}

func (v variant) name() string {
	text := fmt.Sprintf("matmul_%s_%s_%s_%s_%s", v.Transpose, v.tile, v.Types[0], v.Types[1], v.Types[2])
	for _, f := range []struct {
		is   bool
		name string
	}{{v.Residual, "_residual"}, {v.Second, "_second"}, {v.Split, "_split"}, {v.Aligned, "_aligned"}} {
		if f.is {
			text += f.name
		}
	}
	return text
}

// functions are what the template calls besides the variant's methods.
var functions = template.FuncMap{
	"seq": kernel.UpTo,
	"add": func(a, b int) int { return a + b },
	"sub": func(a, b int) int { return a - b },
	"mod": func(a, b int) int { return a % b },
	"mul": func(a, b int) int { return a * b },
	"div": func(a, b int) int { return a / b },
	"dict": func(pairs ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	},
}

// source is the template of the whole family.
var source = library.Parse("matmul", functions)

var (
	mu      sync.Mutex
	kernels = map[variant]*gpu.Kernel{}
)

// kernel is made once; its identity keys the device's pipelines.
func (v variant) kernel() *gpu.Kernel {
	mu.Lock()
	defer mu.Unlock()
	k, ok := kernels[v]
	if !ok {
		k = v.make()
		kernels[v] = k
	}
	return k
}

func (v variant) make() *gpu.Kernel {
	bm, bn := v.block()
	text := kernel.Fill(source, map[string]any{"V": v, "Name": v.name(), "BM": bm, "BN": bn, "Size": v.GX * v.GY})
	access, dtypes := []gpu.Access{gpu.Write, gpu.Read, gpu.Read}, v.Types[:]
	if v.Residual {
		access, dtypes = append(access, gpu.Read), append(dtypes, v.Types[0])
	}
	if v.Second {
		access, dtypes = append(access, gpu.Read, gpu.Read), append(dtypes, v.Types[1], v.Types[2])
	}
	return &gpu.Kernel{
		Name: v.name(), Source: v.prelude() + text, Workgroup: [3]int{v.GX * v.GY, 1, 1},
		Shared: v.shared(), Access: access, DTypes: dtypes, Host: v.host,
	}
}

// The params of a kernel after origin.
const (
	paramM = iota
	paramN
	paramK
	paramAccumulate
	paramScale
	paramSlice
	paramOut     // row, column and columns of a block, as of those below
	paramA       = paramOut + 3
	paramB       = paramA + 3
	paramSecondK = paramB + 3
	paramSecondA = paramSecondK + 1
	paramSecondB = paramSecondA + 3
	paramCount   = paramSecondB + 3
)

// host is the kernel in plain Go.
func (v variant) host(x gpu.Args) {
	at := func(binding, param int) []float32 { return x.F(binding)[x.Int(param)*x.Int(param+2)+x.Int(param+1):] }
	m, n, k := x.Int(paramM), x.Int(paramN), x.Int(paramK)
	s := ref.MatmulShape{M: m, N: n, K: k, Accumulate: x.Int(paramAccumulate) == 1, Scale: x.Float(paramScale),
		OutCols: x.Int(paramOut + 2), ACols: x.Int(paramA + 2), BCols: x.Int(paramB + 2)}
	product := map[string]func(out, a, b []float32, s ref.MatmulShape){
		"nn": ref.MatmulNN, "nt": ref.MatmulNT, "tn": ref.MatmulTN}[v.Transpose]
	out := at(0, paramOut)
	if v.Residual {
		residual := at(v.ResidualBinding(), paramOut)
		for i := range m {
			copy(out[i*s.OutCols:i*s.OutCols+n], residual[i*s.OutCols:])
		}
		s.Accumulate = true
	}
	if v.Split {
		for first := 0; first < k; first += x.Int(paramSlice) {
			s.K = min(x.Int(paramSlice), k-first)
			product(out[first/x.Int(paramSlice)*m*s.OutCols:], at(1, paramA)[first*s.ACols:],
				at(2, paramB)[first*s.BCols:], s)
		}
		return
	}
	product(out, at(1, paramA), at(2, paramB), s)
	if v.Second {
		s.K, s.Accumulate, s.Scale, s.ACols, s.BCols = x.Int(paramSecondK), true, 1, x.Int(paramSecondA+2),
			x.Int(paramSecondB+2)
		product(out, at(v.SecondBinding(), paramSecondA), at(v.SecondBinding()+1, paramSecondB), s)
	}
}

// What the template asks.

// AcrossA reports whether a lies with k along its rows' numbers, (K, M).
func (v variant) AcrossA() bool { return v.Transpose == "tn" }

// AlongB reports whether b lies with k along its rows, (N, K).
func (v variant) AlongB() bool { return v.Transpose == "nt" }

// ASize and BSize are the elements of a load of a and of b.
func (v variant) ASize() int {
	if v.AcrossA() {
		return 4
	}
	return v.Step
}

func (v variant) BSize() int {
	if v.AlongB() {
		return v.Step
	}
	return 4
}

// Halves are the vectors that a load along k gives.
func (v variant) Halves() []int { return kernel.UpTo(gpu.Groups(v.Step, 4)) }

// ResidualBinding, SecondBinding and Bindings are the numbers of the bindings after a and b.
func (v variant) ResidualBinding() int { return 3 }

func (v variant) SecondBinding() int {
	if v.Residual {
		return 4
	}
	return 3
}

func (v variant) Bindings() int {
	if v.Second {
		return v.SecondBinding() + 2
	}
	return v.SecondBinding()
}

// Clamp is an index that edges bound, or in aligned kernels nothing does.
func (v variant) Clamp(index, most string) string {
	if v.Aligned {
		return "(" + index + ")"
	}
	return "min(" + index + ", " + most + ")"
}

// prelude declares the vectors that are loaded and stored.
func (v variant) prelude() string {
	text := kernel.RoundBF16 + vector("Out", v.Types[0], 4) + vector("A", v.Types[1], v.ASize()) + vector("B",
		v.Types[2], v.BSize())
	if v.Types[0] == gpu.F32 {
		return text + "fn pack_out(v: vec4<f32>) -> Out { return v; }\n"
	}
	return text +
		"fn pack_out(v: vec4<f32>) -> Out { return vec2<u32>(round_bf16(v.x) | (round_bf16(v.y) << 16u), " +
		"round_bf16(v.z) | (round_bf16(v.w) << 16u)); }\n"
}

// vector declares a type of size elements of storage, 2, 4 or 8, and how it becomes
// floats: of 8 elements two vectors.
func vector(name string, t gpu.DType, size int) string {
	lower := strings.ToLower(name)
	bf16 := func(words ...string) string {
		var list []string
		for _, word := range words {
			list = append(list, fmt.Sprintf("bitcast<f32>(%[1]s << 16u), bitcast<f32>(%[1]s & 0xffff0000u)", word))
		}
		return fmt.Sprintf("vec%d<f32>(%s)", 2*len(words), strings.Join(list, ", "))
	}
	function := func(suffix, floats, value string) string {
		return fmt.Sprintf("fn unpack_%s%s(p: %s) -> %s { return %s; }\n", lower, suffix, name, floats, value)
	}
	alias := func(stored string) string { return fmt.Sprintf("alias %s = %s;\n", name, stored) }
	switch {
	case size == 8 && t == gpu.BF16:
		return alias("vec4<u32>") + function("", "vec4<f32>", bf16("p.x", "p.y")) + function("1", "vec4<f32>",
			bf16("p.z", "p.w"))
	case size == 8:
		return alias("mat2x4<f32>") + function("", "vec4<f32>", "p[0]") + function("1", "vec4<f32>", "p[1]")
	case size == 4 && t == gpu.BF16:
		return alias("vec2<u32>") + function("", "vec4<f32>", bf16("p.x", "p.y"))
	case t == gpu.BF16:
		return alias("u32") + function("", "vec2<f32>", bf16("p"))
	}
	floats := fmt.Sprintf("vec%d<f32>", size)
	return alias(floats) + function("", floats, "p")
}
