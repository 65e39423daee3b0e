package wgsl

import (
	"fmt"
	"strings"
	"sync"
	"text/template"

	"steplm/gpu"
	"steplm/wgsl/ref"
)

// attentionBlock is how a kernel of attention cuts its work: what is tuned. Every
// block walks the keys of a query (the key-value kernel: the queries of a key) one by
// one, ascending, with explicit fma: all give the same bits on a device.
type attentionBlock struct {
	Rows   int  // queries (the key-value kernel: keys) per invocation
	Size   int  // invocations per workgroup, a multiple of 8
	Tile   int  // rows of what is walked per tile in workgroup memory; 0: registers only
	Branch bool // forward: the outputs are rescaled in a branch, where the maximum has risen
}

// count is the rows of a workgroup.
func (b attentionBlock) count() int { return b.Rows * b.Size }

func (b attentionBlock) String() string {
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
func (b attentionBlock) shared(x head) int { return 2 * b.Tile * x.bytes() }

// fits reports whether a device can run the block.
func (b attentionBlock) fits(x head, l gpu.Limits) bool {
	return b.Size <= l.Invocations && (b.Tile == 0 || l.Shared && b.shared(x) <= l.WorkgroupMemory)
}

// attentionKind is one of the three kernels.
type attentionKind int

const (
	attentionForward attentionKind = iota
	attentionBackwardQuery
	attentionBackwardKeyValue
)

// attentionKinds tell the kernels apart.
var attentionKinds = [...]struct {
	name string
	// tensors are the bindings: two that are written, then those that are read; Q: as
	// q (B T, H D), K: as k (B T, KV D), S: F32 (B, H, T).
	tensors string
	ops     int                                   // per query head, query, key and element
	perKey  bool                                  // invocations own keys, else queries
	live    int                                   // vectors of a head that an invocation holds for each of its rows
	ref     func(x [][]float32, s AttentionShape) // of the tensors in that order
}{
	attentionForward: {"attention_forward", "QSQKK", 4, false, 2, func(x [][]float32, s AttentionShape) {
		ref.AttentionForward(x[0], x[1], x[2], x[3], x[4], s)
	}},
	attentionBackwardQuery: {"attention_backward_query", "QSQQQKKS", 6, false, 3, func(x [][]float32, s AttentionShape) {
		ref.AttentionBackwardQuery(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], s)
	}},
	attentionBackwardKeyValue: {"attention_backward_key_value", "KKQQKKSS", 8, true, 4, func(x [][]float32, s AttentionShape) {
		ref.AttentionBackwardKeyValue(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], s)
	}},
}

// attentionVariant names one kernel.
type attentionVariant struct {
	attentionBlock
	head
	kind attentionKind
}

var (
	attentionMu      sync.Mutex
	attentionKernels = map[attentionVariant]*gpu.Kernel{}
)

func (v attentionVariant) name() string {
	return fmt.Sprintf("%s_%d_%s_%s", attentionKinds[v.kind].name, v.size, v.dtype, v.attentionBlock)
}

// kernel is made once; its identity keys the device's pipelines.
func (v attentionVariant) kernel() *gpu.Kernel {
	attentionMu.Lock()
	defer attentionMu.Unlock()
	if k, ok := attentionKernels[v]; ok {
		return k
	}
	kind := attentionKinds[v.kind]
	access, types := []gpu.Access{w, w}, strings.NewReplacer("Q", "P", "K", "P", "S", "F").Replace(kind.tensors)
	for range types[len(access):] {
		access = append(access, r)
	}
	k := &gpu.Kernel{
		Name: v.name(), Entry: kind.name, Source: v.source(), Workgroup: [3]int{v.Size, 1, 1}, Shared: v.shared(v.head),
		Access: access, DTypes: storage{v.dtype, v.dtype}.dtypes(types), Host: func(a gpu.Args) {
			x := make([][]float32, len(access))
			for i := range x {
				x[i] = a.F(i)
			}
			kind.ref(x, v.shape(a))
		},
	}
	attentionKernels[v] = k
	return k
}

// shape is the one behind a call's params; kernels know B from their workgroups,
// Host from the last param.
func (v attentionVariant) shape(a gpu.Args) AttentionShape {
	return AttentionShape{B: a.Int(7), T: a.Int(0), H: a.Int(1), KV: a.Int(2), D: v.size}
}

// attentionText is what the templates see.
type attentionText struct {
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
	First, Second string // the arrays that are walked
}

// source fills the template of file NAME.wgsl.tmpl.
func (v attentionVariant) source() string {
	name := attentionKinds[v.kind].name
	text, err := files.ReadFile(name + ".wgsl.tmpl")
	if err != nil {
		panic(fmt.Sprintf("kernel %s: %v", name, err)) // a mistake in this package
	}
	u := v.units()
	data := attentionText{
		Element: u.element, Head: v.size / u.size, Parts: upTo(gpu.Groups(v.size, 4)), Components: []string{"x", "y", "z", "w"},
		Padding: upTo((gpu.RowPadding - 1) / u.size), Rows: upTo(v.Rows), Several: v.Rows > 1, Block: v.count(), Size: v.Size, Tile: v.Tile, Branch: v.Branch,
	}
	tmpl := template.Must(template.New(name).Funcs(template.FuncMap{
		"load": u.load, "store": u.store, "mul": func(a, b int) int { return a * b },
		"clear": func(x, at string, n int) string { return fmt.Sprintf("%s[%s + %du] = %s;", x, at, data.Head+n, u.zero) },
		"of": func(x attentionText, first, second string) attentionText {
			x.First, x.Second = first, second
			return x
		},
	}).Parse(string(text)))
	var src strings.Builder
	src.WriteString(storage{v.dtype, v.dtype}.prelude() + u.prelude)
	if err := tmpl.Execute(&src, data); err != nil {
		panic(fmt.Sprintf("kernel %s: %v", name, err)) // a mistake in this package
	}
	return src.String()
}

// upTo lists 0 to n-1.
func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}
