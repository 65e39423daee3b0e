package attention

import (
	"fmt"
	"strings"
	"sync"
	"text/template"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// block is how a kernel of attention cuts its work: what is tuned. Every
// block walks the keys of a query (the key-value kernel: the queries of a key) one by
// one, ascending, with explicit fma: all give the same bits on a device.
type block struct {
	Rows   int  // queries (the key-value kernel: keys) per invocation
	Size   int  // invocations per workgroup, a multiple of 8
	Tile   int  // rows of what is walked per tile in workgroup memory; 0: registers only
	Branch bool // forward: the outputs are rescaled in a branch, where the maximum has risen
}

// count is the rows of a workgroup.
func (b block) count() int { return b.Rows * b.Size }

func (b block) String() string {
	text := fmt.Sprintf("%d_%d", b.Rows, b.Size)
	if b.Branch {
		text += "_branch"
	}
	if b.Tile > 0 {
		text += fmt.Sprintf("_shared%d", b.Tile)
	}
	return text
}

// head is what an attention kernel is made for.
type head struct {
	size  int       // even
	dtype gpu.DType // F32 or BF16
}

// bytes are those of a head's row.
func (x head) bytes() int {
	if x.dtype == gpu.BF16 {
		return 2 * x.size
	}
	return 4 * x.size
}

// shared is the bytes of workgroup memory: two tiles as they are stored.
func (b block) shared(x head) int { return 2 * b.Tile * x.bytes() }

// fits reports whether a device can run the block.
func (b block) fits(x head, l gpu.Limits) bool {
	return b.Size <= l.Invocations && (b.Tile == 0 || l.Shared && b.shared(x) <= l.WorkgroupMemory)
}

// kernelKind is one of the three kernels.
type kernelKind int

const (
	forward kernelKind = iota
	backwardQuery
	backwardKeyValue
)

// kinds tell the kernels apart.
var kinds = [...]struct {
	name string
	// tensors are the bindings: two that are written, then those that are read; Q: as
	// q (B T, H D), K: as k (B T, KV D), S: F32 (B, H, T).
	tensors string
	// documents are the bindings of Shape.Documents. B: bounds, the last rows of an F32 (.., T); D: an S
	// with bounds behind it.
	documents string
	ops       int                          // per query head, query, key and element
	perKey    bool                         // invocations own keys, else queries
	live      int                          // vectors of a head that an invocation holds for each of its rows
	ref       func(x [][]float32, s Shape) // of the tensors in that order
}{
	forward: {"attention_forward", "QSQKK", "QSQKKB", 4, false, 2, func(x [][]float32, s Shape) {
		_, bounds := cutBounds(x[len(x)-1], s)
		ref.AttentionForward(x[0], x[1], x[2], x[3], x[4], bounds, s)
	}},
	backwardQuery: {"attention_backward_query", "QSQQQKKS", "QDQQQKKS", 6, false, 3, func(x [][]float32, s Shape) {
		delta, bounds := cutBounds(x[1], s)
		ref.AttentionBackwardQuery(x[0], delta, x[2], x[3], x[4], x[5], x[6], x[7], bounds, s)
	}},
	backwardKeyValue: {"attention_backward_key_value", "KKQQKKSS", "KKQQKKSD", 8, true, 4,
		func(x [][]float32, s Shape) {
			delta, bounds := cutBounds(x[7], s)
			ref.AttentionBackwardKeyValue(x[0], x[1], x[2], x[3], x[4], x[5], x[6], delta, bounds, s)
		}},
}

// tensors are a kernel's bindings, see kinds.
func (k kernelKind) tensors(documents bool) string {
	if documents {
		return kinds[k].documents
	}
	return kinds[k].tensors
}

// variant names one kernel.
type variant struct {
	block
	head
	kind      kernelKind
	documents bool // attention stays inside them
}

var (
	mu      sync.Mutex
	kernels = map[variant]*gpu.Kernel{}
)

func (v variant) name() string {
	name := fmt.Sprintf("%s_%d_%s_%s", kinds[v.kind].name, v.size, v.dtype, v.block)
	if v.documents {
		name += "_documents"
	}
	return name
}

// kernel is made once; its identity keys the device's pipelines.
func (v variant) kernel() *gpu.Kernel {
	mu.Lock()
	defer mu.Unlock()
	if k, ok := kernels[v]; ok {
		return k
	}
	kind := kinds[v.kind]
	access, types := []gpu.Access{gpu.Write, gpu.Write},
		strings.NewReplacer("Q", "P", "K", "P", "S", "F", "D", "F", "B", "F").Replace(v.kind.tensors(v.documents))
	for range types[len(access):] {
		access = append(access, gpu.Read)
	}
	k := &gpu.Kernel{
		Name: v.name(), Entry: kind.name, Source: v.source(), Workgroup: [3]int{v.Size, 1, 1}, Shared: v.shared(v.head),
		Access: access, DTypes: kernel.Storage{Pair: v.dtype, Grad: v.dtype}.DTypes(types), Host: func(a gpu.Args) {
			x := make([][]float32, len(access))
			for i := range x {
				x[i] = a.F(i)
			}
			kind.ref(x, v.shape(a))
		},
	}
	kernels[v] = k
	return k
}

// shape is the one behind a call's params; kernels know B from their workgroups,
// Host from the last param.
func (v variant) shape(a gpu.Args) Shape {
	return Shape{B: a.Int(7), T: a.Int(0), H: a.Int(1), KV: a.Int(2), D: v.size, Documents: v.documents}
}

// templateData is what the templates see.
type templateData struct {
	Element       string // what bindings count in
	Head          int    // elements of a head
	Parts         []int  // vec4s of a head
	Components    []string
	Padding       []int // elements by which a row may be longer than its heads
	Rows          []int // of an invocation
	Several       bool  // rows
	Block         int   // rows of a workgroup
	Size, Tile    int
	Branch        bool
	Documents     bool
	First, Second string // the arrays that are walked, or where bounds are
}

// source fills the template of file NAME.wgsl.tmpl.
func (v variant) source() string {
	u := v.units()
	data := templateData{
		Element: u.element, Head: v.size / u.size, Parts: kernel.UpTo(gpu.Groups(v.size, 4)), Components: []string{"x",
			"y", "z", "w"},
		Padding: kernel.UpTo((gpu.RowPadding - 1) / u.size), Rows: kernel.UpTo(v.Rows), Several: v.Rows > 1,
		Block: v.count(), Size: v.Size, Tile: v.Tile, Branch: v.Branch, Documents: v.documents,
	}
	functions := template.FuncMap{
		"load": u.load, "store": u.store, "mul": func(a, b int) int { return a * b },
		"clear": func(x, at string, n int) string {
			return fmt.Sprintf("%s[%s + %du] = %s;", x, at, data.Head+n, u.zero)
		},
		"of": func(x templateData, first, second string) templateData {
			x.First, x.Second = first, second
			return x
		},
	}
	text := library.Parse(kinds[v.kind].name, functions)
	template.Must(text.Parse(library.TemplateText("attention_documents")))
	return kernel.Storage{Pair: v.dtype, Grad: v.dtype}.Prelude() + u.prelude + kernel.Fill(text, data)
}
