package attention

import (
	"fmt"
	"text/template"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// cachedWay is one of two ways to walk a row's keys, which give other bits.
type cachedWay int

const (
	walk   cachedWay = iota // an invocation walks all of them, as in Forward
	spread                  // lanes share them
)

// cachedWays are their kernels' names.
var cachedWays = [...]string{walk: "attention_cached", spread: "attention_spread"}

// spreadLanes share a row of a head. A tile of as many keys is what running sums are for, so that
// with another number the bits would be others.
const spreadLanes = 64

// spreads reports whether a head can be shared: each lane has a unit of the outputs, at most.
func spreads(size int, dtype gpu.DType) bool {
	return size/head{size, dtype}.unit() <= spreadLanes
}

// cachedBlock is how a kernel cuts its work: what is tuned.
type cachedBlock struct {
	Size   int  // invocations per workgroup; where lanes share a row, a multiple of them
	Branch bool // where they do not: the outputs are rescaled in a branch, see block
}

func (b cachedBlock) String() string {
	if b.Branch {
		return fmt.Sprintf("%d_branch", b.Size)
	}
	return fmt.Sprint(b.Size)
}

// cachedVariant names one kernel.
type cachedVariant struct {
	cachedBlock
	head
	way cachedWay
}

func (v cachedVariant) name() string {
	return fmt.Sprintf("%s_%d_%s_%s", cachedWays[v.way], v.size, v.dtype, v.cachedBlock)
}

var cachedKernels = map[cachedVariant]*gpu.Kernel{} // under mu

// kernel is made once; its identity keys the device's pipelines.
func (v cachedVariant) kernel() *gpu.Kernel {
	mu.Lock()
	defer mu.Unlock()
	if k, ok := cachedKernels[v]; ok {
		return k
	}
	k := &gpu.Kernel{
		Name: v.name(), Entry: cachedWays[v.way], Source: v.source(), Workgroup: [3]int{v.Size, 1, 1},
		Shared: v.shared(),
		Access: []gpu.Access{gpu.Write, gpu.Read, gpu.Read, gpu.Read, gpu.Read},
		DTypes: kernel.Storage{Pair: v.dtype, Grad: v.dtype}.DTypes("PPPPU"), Host: func(a gpu.Args) {
			s := CachedShape{Rows: a.Int(0), H: a.Int(1), KV: a.Int(2), D: v.size, Window: a.Int(6),
				Positions: a.Int(7)}
			ref.CachedAttention(a.F(0), a.F(1), a.F(2), a.F(3), a.U(4), s)
		},
	}
	cachedKernels[v] = k
	return k
}

// shared is the bytes of workgroup memory: of each lane two floats and its share of the outputs.
func (v cachedVariant) shared() int {
	if v.way == walk {
		return 0
	}
	return v.Size * (8 + 16*v.halves())
}

// halves are the vec4s of a unit.
func (v cachedVariant) halves() int { return gpu.Groups(v.unit(), 4) }

// cachedData is what the templates see.
type cachedData struct {
	templateData
	Lanes, Heads int
	Ranks        int   // of lanes, each of which has all units of a head
	Halves       []int // vec4s of a unit
	Tree         []int // half the lanes, a quarter, ..., 1
}

// source fills the template of file NAME.wgsl.tmpl, which may take attention_forward's step.
func (v cachedVariant) source() string {
	u := v.units()
	units := v.size / u.size
	data := cachedData{templateData: templateData{
		Element: u.element, Head: units, Parts: kernel.UpTo(gpu.Groups(v.size, 4)),
		Components: []string{"x", "y", "z", "w"}, Padding: kernel.UpTo((gpu.RowPadding - 1) / u.size),
		Rows: []int{0}, Size: v.Size, Branch: v.Branch,
	}, Lanes: spreadLanes, Heads: v.Size / spreadLanes, Ranks: spreadLanes / units, Halves: kernel.UpTo(v.halves())}
	for half := spreadLanes / 2; half > 0; half /= 2 {
		data.Tree = append(data.Tree, half)
	}
	functions := template.FuncMap{
		"load": u.load, "store": u.store, "mul": func(a, b int) int { return a * b },
		"clear": func(x, at string, n int) string {
			return fmt.Sprintf("%s[%s + %du] = %s;", x, at, units+n, u.zero)
		},
		"of": func(x any, first, second string) templateData {
			y := data.templateData
			y.First, y.Second = first, second
			return y
		},
		"unit": func(x, at string, half int) string {
			if u.size == 2 {
				return fmt.Sprintf("vec4<f32>(unpack(%s[%s]), 0.0, 0.0)", x, at)
			}
			return u.load(x, at, half)
		},
		"put": func(x, at, value string) string {
			if u.size == 2 {
				return fmt.Sprintf("%s[%s] = pack(%s0.xy);", x, at, value)
			}
			return u.store(x, at, v.halves()-1, value)
		},
	}
	text := library.Parse(cachedWays[v.way], functions)
	for _, name := range []string{"attention_documents", "attention_forward"} {
		template.Must(text.New(name).Parse(library.TemplateText(name)))
	}
	return kernel.Storage{Pair: v.dtype, Grad: v.dtype}.Prelude() + u.prelude + kernel.Fill(text, data)
}
