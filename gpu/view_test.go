package gpu

import (
	"strings"
	"testing"
)

// bump adds params.by to words 0, every, 2 every ... below params.n of its output.
var bump = Kernel{
	Name: "bump", Entry: "add_to_all", Workgroup: [3]int{64, 1, 1}, Access: []Access{Write}, DTypes: []DType{U32},
	Source: `struct Params { origin: vec3<u32>, n: u32, by: u32, every: u32 }
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
@compute @workgroup_size(64, 1, 1)
fn add_to_all(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = ((group.x + params.origin.x) * 64u + local.x) * params.every;
	if (i < params.n) { out[i] = out[i] + params.by; }
}
`,
	Host: func(a Args) {
		for i := 0; i < a.Int(0); i += a.Int(2) {
			a.U(0)[i] += uint32(a.Int(1))
		}
	},
}

func runBump(d Device, x Tensor, by uint32) error {
	p := d.Begin("bump")
	p.Run(Call{Kernel: &bump, Groups: [3]int{Groups(x.Words(), 64), 1, 1}, Params: []uint32{uint32(x.Words()), by, 1},
		Tensors: []Tensor{x}})
	return p.End()
}

// ramp makes a U32 tensor whose word i is i.
func ramp(t *testing.T, d Device, shape ...int) Tensor {
	t.Helper()
	x := newTensor(t, d, Spec{Name: "x", DType: U32, Shape: shape})
	words := make([]uint32, x.Words())
	for i := range words {
		words[i] = uint32(i)
	}
	if err := d.Write(x, 0, words); err != nil {
		t.Fatal(err)
	}
	return x
}

func words(t *testing.T, d Device, x Tensor, at, n int) []uint32 {
	t.Helper()
	w := make([]uint32, n)
	if err := d.Read(x, at, w); err != nil {
		t.Fatal(err)
	}
	return w
}

// A view is read, written and bound where it lies, and nothing beside it.
func TestViews(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		x := ramp(t, d, 3, 2, 64) // 6 rows of 256 bytes
		part := x.Part(2, 3)
		if part.Elements() != 192 || part.Rows() != 3 {
			t.Fatalf("a part of 3 rows: %v", part.Shape)
		}
		if w := words(t, d, part, 64, 2); w[0] != 192 || w[1] != 193 {
			t.Errorf("words %d of the part, want 192 193", w)
		}
		if w := words(t, d, part.Part(1, 1), 1, 1); w[0] != 193 {
			t.Errorf("word %d of a part's part, want 193", w)
		}
		if err := d.Write(part, 5, []uint32{1000}); err != nil {
			t.Fatal(err)
		}
		if err := runBump(d, part, 10000); err != nil {
			t.Fatal(err)
		}
		for i, g := range words(t, d, x, 0, x.Words()) {
			want := uint32(i)
			if i == 133 {
				want = 1000
			}
			if i >= 128 && i < 320 {
				want += 10000
			}
			if g != want {
				t.Fatalf("word %d is %d, want %d", i, g, want)
			}
		}
		// Another type's view, at any word as long as it is only copied.
		half := x.As(Spec{Name: "half", DType: BF16, Shape: []int{2, 3}}, 7)
		if err := WriteF32(d, half, []float32{1, 2, 3, 4, 5, 6}); err != nil {
			t.Fatal(err)
		}
		if w := words(t, d, x, 6, 10); w[0] != 6 || w[1] != 0x40003f80 || w[2] != 0x4040 || w[5] != 0x40a04080 ||
			w[9] != 15 {
			t.Errorf("around a bf16 view: %#x", w)
		}
	})
}

func TestViewsThatAreRefused(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		x, y := ramp(t, d, 8, 64), ramp(t, d, 64)
		gone := newTensor(t, d, Spec{Name: "gone", DType: U32, Shape: []int{4, 64}})
		view := gone.Part(1, 1)
		d.Free(gone)
		floats := newTensor(t, d, Spec{Name: "floats", DType: F32, Shape: []int{64}})
		one := func(v Tensor) Call {
			return Call{Kernel: &count, Groups: [3]int{1, 1, 1}, Params: []uint32{1, 1}, Tensors: []Tensor{v}}
		}
		for _, c := range []struct {
			want string
			call Call
		}{
			{"begins at byte 4, which is no multiple of 256", one(x.As(y.Spec, 1))},
			{"begins at byte 128", one(x.As(Spec{Name: "v", DType: U32, Shape: []int{32}}, 32))},
			{"bind tensor x: words 448 to 576 of 512", one(x.Part(7, 2))},
			{"bind tensor x: words -64 to 0 of 512", one(x.Part(-1, 1))},
			{"bind tensor x: words 64 to 576 of 512", one(x.As(x.Spec, 64))},
			{"dimension below 1", one(x.Part(2, 0))},
			{"dimension below 1", one(x.Part(2, -1))},
			{"has no shape", one(x.As(Spec{Name: "v"}, 0))},
			{"tensor gone is not on device", one(view)},
			{"tensor x is bound at 0 and 1 and written",
				Call{Kernel: &plus, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{x.Part(0, 1), x.Part(4, 1)}}},
			{"tensor floats is f32, binding 0 takes u32",
				Call{Kernel: &bump, Groups: [3]int{1, 1, 1}, Params: []uint32{64, 1, 1}, Tensors: []Tensor{floats}}},
		} {
			p := d.Begin("refused")
			p.Run(c.call)
			if err := p.End(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %q", err, c.want)
			}
		}
		for _, v := range []Tensor{view, x.Part(7, 2), x.Part(-1, 1), x.As(Spec{Name: "v"}, 0), x.Part(0, -1),
			x.As(x.Spec, -1<<62)} {
			if d.Read(v, 0, make([]uint32, 128)) == nil || d.Write(v, 0, make([]uint32, 128)) == nil {
				t.Errorf("%s: 128 words were copied", v.Spec)
			}
		}
		for i, g := range words(t, d, x, 0, x.Words()) {
			if g != uint32(i) {
				t.Fatalf("word %d became %d", i, g)
			}
		}
		// Two parts may be read by one call, beside another tensor that is written.
		three := Kernel{
			Name: "three", Workgroup: [3]int{64, 1, 1}, Access: []Access{Write, Read, Read},
			Source: `struct Params { origin: vec3<u32> }
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;
@compute @workgroup_size(64, 1, 1)
fn three(@builtin(global_invocation_id) id: vec3<u32>) { out[id.x] = a[id.x] * 1000u + b[id.x] + params.origin.x; }
`,
			Host: func(a Args) {
				for i := range a.U(0) {
					a.U(0)[i] = a.U(1)[i]*1000 + a.U(2)[i]
				}
			},
		}
		p := d.Begin("three")
		p.Run(Call{Kernel: &three, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{y, x.Part(1, 1), x.Part(7, 1)}})
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		if w := words(t, d, y, 3, 1); w[0] != 67451 {
			t.Errorf("%d of two parts, want 67451", w)
		}
	})
}

// Freeing a view frees the whole, once.
func TestFreeingAView(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		before := d.Ledger().Total()
		x := ramp(t, d, 4, 64)
		d.Free(x.Part(1, 1))
		d.Free(x)
		if n := d.Ledger().Total(); n != before {
			t.Errorf("%d bytes, %d before", n, before)
		}
		if err := d.Read(x, 0, make([]uint32, 1)); err == nil {
			t.Error("the whole outlived its view")
		}
	})
}

// The bind groups of views go with the tensor, and are made once per view.
func TestBindGroupsOfViews(t *testing.T) {
	d := adapter(t)
	x := ramp(t, d, 4, 64)
	if err := runBump(d, x, 1); err != nil {
		t.Fatal(err)
	}
	groups, objects := len(d.groups), occupied()
	y := ramp(t, d, 4, 64)
	for range 3 {
		for row := range 4 {
			if err := runBump(d, y.Part(row, 1), 1); err != nil {
				t.Fatal(err)
			}
		}
		// begins as row 0 does
		if err := runBump(d, y.As(Spec{Name: "two", DType: U32, Shape: []int{128}}, 0), 1); err != nil {
			t.Fatal(err)
		}
		p := d.Begin("two parts")
		p.Run(Call{Kernel: &plus, Groups: [3]int{64, 1, 1}, Tensors: []Tensor{x.Part(0, 1), y.Part(3, 1)}})
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.groups) - groups; n != 6 {
		t.Errorf("%d bind groups for 4 rows, 2 at once and a pair", n)
	}
	for i, g := range words(t, d, y, 0, y.Words()) {
		want := uint32(i) + 3
		if i < 128 {
			want += 3
		}
		if g != want {
			t.Fatalf("word %d is %d, want %d", i, g, want)
		}
	}
	d.Free(y)
	if n := len(d.groups); n != groups {
		t.Errorf("%d bind groups, %d before the freed tensor's", n, groups)
	}
	after := occupied()
	for kind, n := range objects {
		if strings.HasSuffix(kind, "BindGroups") && after[kind] != n {
			t.Errorf("%d objects of kind%s, %d before", after[kind], kind, n)
		}
	}
}

// What exceeds the binding limit is made, copied and bound in parts; bound whole
// it is refused with both numbers.
func TestATensorBeyondTheBindingLimit(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		const limit = 64 << 10
		own := d.Limits().Binding
		restore := RestrictBinding(d, limit)
		defer restore()
		x := ramp(t, d, 700, 100) // 280,000 bytes
		if err := runBump(d, x, 1); err == nil || !strings.Contains(err.Error(),
			"tensor x has 280000 bytes, the device binds 65536") {
			t.Errorf("bound whole: %v", err)
		}
		rows := x.PartRows(d.Limits().Binding)
		for row := 0; row < x.Rows(); row += rows {
			if err := runBump(d, x.Part(row, min(rows, x.Rows()-row)), 5); err != nil {
				t.Fatal(err)
			}
		}
		for i, g := range words(t, d, x, 0, x.Words()) {
			if g != uint32(i)+5 {
				t.Fatalf("word %d is %d, want %d", i, g, i+5)
			}
		}
		restore()
		if d.Limits().Binding != own {
			t.Errorf("the limit is %d after all, %d before", d.Limits().Binding, own)
		}
		if err := runBump(d, x, 1); err != nil {
			t.Errorf("without the restriction: %v", err)
		}
	})
}

// An adapter's real limit, at a tensor one row above it.
func TestATensorBeyondTheAdaptersBinding(t *testing.T) {
	d := adapter(t)
	const cols = 1 << 20
	row := int64(cols * 4)
	rows := int(d.Limits().Binding/row) + 1
	if n := int64(rows) * row; n > min(d.Limits().Buffer, 256<<20) {
		t.Skipf("the adapter binds %s at once", Bytes(d.Limits().Binding))
	}
	x := newTensor(t, d, Spec{Name: "x", DType: U32, Shape: []int{rows, cols}})
	if err := runBump(d, x, 1); err == nil || !strings.Contains(err.Error(), "the device binds") {
		t.Errorf("bound whole: %v", err)
	}
	if err := d.Write(x, x.Words()-2, []uint32{5, 6}); err != nil {
		t.Fatal(err)
	}
	if err := runBump(d, x.Part(rows-1, 1), 3); err != nil {
		t.Fatal(err)
	}
	if w := words(t, d, x, x.Words()-3, 3); w[0] != 3 || w[1] != 8 || w[2] != 9 {
		t.Errorf("the last words are %d, want 3 8 9", w)
	}
	if w := words(t, d, x, (rows-1)*cols-1, 2); w[0] != 0 || w[1] != 3 {
		t.Errorf("around the last row's beginning: %d, want 0 3", w)
	}
}
