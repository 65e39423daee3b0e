package gpu

import (
	"os"
	"strings"
	"testing"

	"steplm/gpu/memory"
)

// adapter opens the preferred adapter for tests of this package's inside.
func adapter(t *testing.T) *wdevice {
	t.Helper()
	d, err := Open(os.Getenv("STEPLM_DEVICE"))
	if err != nil {
		if os.Getenv("STEPLM_GPU") == "require" {
			t.Fatalf("STEPLM_GPU=require: %v", err)
		}
		t.Skip(err)
	}
	t.Cleanup(d.Close)
	return d.(*wdevice)
}

// count adds one to every element: each workgroup must run exactly once.
var count = Kernel{
	Name: "count", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write},
	Source: `struct Params { origin: vec3<u32>, x: u32, y: u32 }
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
@compute @workgroup_size(1, 1, 1)
fn count(@builtin(workgroup_id) group: vec3<u32>) {
	let g = group + params.origin;
	let i = (g.z * params.y + g.y) * params.x + g.x;
	out[i] = out[i] + 1u;
}
`,
	Host: func(a Args) {
		for i := range a.U(0) {
			a.U(0)[i]++
		}
	},
}

func TestDispatchIsSplitByBudgetAndLimit(t *testing.T) {
	d := adapter(t)
	for _, c := range []struct {
		groups [3]int
		work   float64 // in budgets
		least  uint32  // submissions
	}{
		{[3]int{70000, 1, 1}, 0, 1},
		{[3]int{70000, 1, 1}, 7, 7},
		{[3]int{5, 7, 11}, 1000, 385},
		{[3]int{5, 7, 11}, 0.5, 1},
		{[3]int{1, 1, 1}, 1e9, 1},
	} {
		n := c.groups[0] * c.groups[1] * c.groups[2]
		x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{n}})
		if err != nil {
			t.Fatal(err)
		}
		before := d.submissions
		p := d.Begin("split")
		p.Run(Call{Kernel: &count, Groups: c.groups, Params: []uint32{uint32(c.groups[0]), uint32(c.groups[1])},
			Tensors: []Tensor{x}, Work: c.work * d.Limits().Budget})
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		got := make([]uint32, n)
		if err := d.Read(x, 0, got); err != nil {
			t.Fatal(err)
		}
		for i, g := range got {
			if g != 1 {
				t.Fatalf("%v groups, %g budgets: workgroup %d ran %d times", c.groups, c.work, i, g)
			}
		}
		if n := d.submissions - before; n < c.least {
			t.Errorf("%v groups, %g budgets: %d submissions, want at least %d", c.groups, c.work, n, c.least)
		}
		d.Free(x)
	}
}

// A pass longer than the params slots goes on in another submission.
func TestMoreCallsThanSlots(t *testing.T) {
	d := adapter(t)
	x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(x)
	const calls = 2*slots + 5
	p := d.Begin("many")
	for range calls {
		p.Run(Call{Kernel: &count, Groups: [3]int{1, 1, 1}, Params: []uint32{1, 1}, Tensors: []Tensor{x}})
	}
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	got := make([]uint32, 1)
	if err := d.Read(x, 0, got); err != nil || got[0] != calls {
		t.Fatalf("%d of %d calls ran, %v", got[0], calls, err)
	}
}

// A long pass does not queue submissions without end, and runs them all.
func TestPendingSubmissionsAreBounded(t *testing.T) {
	d := adapter(t)
	x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(x)
	const calls = 3*maxPending + 5
	before := d.submissions
	p := d.Begin("long")
	for range calls { // each fills a submission
		p.Run(Call{Kernel: &count, Groups: [3]int{1, 1, 1}, Params: []uint32{1, 1}, Tensors: []Tensor{x},
			Work: d.Limits().Budget})
		if d.pending > maxPending {
			t.Fatalf("%d submissions are pending, at most %d should be", d.pending, maxPending)
		}
	}
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	got := make([]uint32, 1)
	if err := d.Read(x, 0, got); err != nil || got[0] != calls {
		t.Fatalf("%d of %d calls ran, %v", got[0], calls, err)
	}
	if n := d.submissions - before; n < calls {
		t.Errorf("%d submissions for %d full ones", n, calls)
	}
}

func TestCanaryFindsADroppedSubmission(t *testing.T) {
	d := adapter(t)
	x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(x)
	d.submissions++ // as if one had been handed over and lost
	d.chain = d.chain*31 + d.submissions
	if err := d.Read(x, 0, make([]uint32, 1)); err == nil || !strings.Contains(err.Error(), "dropped work") {
		t.Fatalf("the dropped submission went unnoticed: %v", err)
	}
}

func TestCallsThatWouldAbortAreRefused(t *testing.T) {
	devices := []Device{NewHost()}
	if len(Enumerate()) > 0 {
		devices = append(devices, adapter(t))
	}
	for _, d := range devices {
		x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{4}})
		if err != nil {
			t.Fatal(err)
		}
		gone, _ := d.New(Spec{Name: "gone", Class: Scratch, DType: U32, Shape: []int{4}})
		d.Free(gone)
		d.Free(gone) // once too often does nothing
		two := Kernel{Name: "two", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write, Read}, Host: func(Args) {}}
		for want, c := range map[string]Call{
			"has no tensor":   {Kernel: &count, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{{}}},
			"0 tensors for 1": {Kernel: &count, Groups: [3]int{1, 1, 1}},
			"is below 1":      {Kernel: &count, Groups: [3]int{1, 0, 1}, Tensors: []Tensor{x}},
			"and written":     {Kernel: &two, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{x, x}},
			"params, at most": {Kernel: &count, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{x},
				Params: make([]uint32, 62)},
			"gone is not on": {Kernel: &count, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{gone}},
		} {
			p := d.Begin("bad")
			p.Run(c)
			p.Run(Call{Kernel: &count, Groups: [3]int{4, 1, 1}, Tensors: []Tensor{x}})
			if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v does not say %q", d.Name(), err, want)
			}
		}
		for _, at := range []int{-1, 3} {
			if d.Write(x, at, make([]uint32, 2)) == nil || d.Read(x, at, make([]uint32, 2)) == nil {
				t.Errorf("%s: a copy at %d of 4 words was accepted", d.Name(), at)
			}
		}
		if _, err := d.New(Spec{Name: "void", Shape: []int{3, 0}}); err == nil {
			t.Errorf("%s: an empty tensor was made", d.Name())
		}
		d.Free(x)
		if n := d.Ledger().Total(); n != Plan(d.Own()).Total() {
			t.Errorf("%s: %d bytes left", d.Name(), n)
		}
	}
}

func TestBadShaderIsAnErrorWithItsName(t *testing.T) {
	d := adapter(t)
	x, _ := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{4}})
	defer d.Free(x)
	bad := Kernel{Name: "broken", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write},
		Source: "fn broken() { let x = ; }"}
	huge := count
	huge.Name, huge.Shared = "huge", 1<<30
	for _, k := range []*Kernel{&bad, &huge} {
		p := d.Begin("bad")
		p.Run(Call{Kernel: k, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{x}})
		if err := p.End(); err == nil || !strings.Contains(err.Error(), k.Name) {
			t.Errorf("error %v does not name kernel %s", err, k.Name)
		}
	}
}

func TestTooLargeATensorIsRefused(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		n := d.Limits().Buffer/4 + 1
		if _, err := d.New(Spec{Name: "big", DType: U32, Shape: []int{int(n)}}); err == nil ||
			!strings.Contains(err.Error(), "big") {
			t.Errorf("a tensor beyond the largest buffer: %v", err)
		}
	})
}

func TestLedgerFollowsPlan(t *testing.T) {
	specs := []Spec{{Name: "a", Class: Weights, Shape: []int{3, 5}},
		{Name: "b", Class: Optimizer, DType: BF16, Shape: []int{7}}}
	const a, b = 3 * 8 * 4, 8 * 2 // rows padded to 8 elements
	h := NewHost()
	var made []Tensor
	for _, s := range specs {
		x, err := h.New(s)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, x)
	}
	if d := h.Ledger().Difference(Plan(specs)); d != "" {
		t.Error(d)
	}
	if got := h.Ledger().Total(); got != a+b {
		t.Errorf("%d bytes, want %d", got, a+b)
	}
	h.Free(made[0])
	if h.Ledger().Total() != b || h.Ledger().Peak() != a+b || h.Ledger().AtPeak(Weights) != a {
		t.Errorf("after a free: %s, peak %d", h.Ledger(), h.Ledger().Peak())
	}
	h.Ledger().ResetPeak()
	if h.Ledger().Peak() != b {
		t.Errorf("peak %d after a reset", h.Ledger().Peak())
	}
}

func TestPick(t *testing.T) {
	list := []Adapter{{Index: 0, Name: "Radeon", Backend: "vulkan"}, {Index: 1, Name: "Arc A770", Backend: "dx12"}}
	for choice, want := range map[string]int{"": 0, "1": 1, "dx12": 1, "arc": 1, "Vulkan": 0} {
		if a, err := pick(list, choice); err != nil || a.Index != want {
			t.Errorf("%q picks %d, %v; want %d", choice, a.Index, err, want)
		}
	}
	for _, choice := range []string{"2", "-1", "geforce"} {
		if _, err := pick(list, choice); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(choice, "-")) {
			t.Errorf("%q: %v", choice, err)
		}
	}
	if _, err := pick(nil, ""); err == nil || !strings.Contains(err.Error(), "mesa-vulkan-drivers") {
		t.Errorf("no adapter: %v", err)
	}
}

func TestPreferenceOrder(t *testing.T) {
	best := []Adapter{{Kind: "discrete"}, {Kind: "integrated"}, {Kind: "unknown"}, {Kind: "discrete", Backend: "dx12"},
		{Kind: "cpu"}}
	for i := range best[1:] {
		if preference(best[i]) >= preference(best[i+1]) {
			t.Errorf("%+v does not come before %+v", best[i], best[i+1])
		}
	}
}

func TestCheckFits(t *testing.T) {
	h := NewHost()
	live := counter(t, h, 1<<20) // 4 MiB, which the plan counts too
	plan := Plan([]Spec{live.Spec, {Name: "y", Class: Optimizer, Shape: []int{3 << 20}}})
	const need = 12 << 20
	for _, c := range []struct {
		name string
		free int64
		want []string
	}{
		{"exactly", need + memory.ProcessOverhead, nil},
		{"one byte less", need + memory.ProcessOverhead - 1,
			[]string{"does not fit", "needs 12.0 MiB more on host", "640.0 MiB for the process",
				"1 B above the 652.0 MiB that are free", "optimizer 12.0 MiB", "scratch 4.0 MiB", "total 16.0 MiB"}},
		{"nothing", 0, []string{"652.0 MiB above the 0 B that are free"}},
	} {
		err := checkFits(h, plan, c.free)
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, w := range c.want {
			if err != nil && !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, err, w)
			}
		}
	}
	if err := checkFits(h, Plan([]Spec{live.Spec}), 0); err != nil {
		t.Errorf("a plan of which all is there already: %v", err)
	}
	if free, ok := memory.Available(); ok {
		vast := Plan([]Spec{{Name: "x", Class: Optimizer, Shape: []int{int(free/4) + 1<<28}}})
		if err := CheckFits(h, vast); err == nil || !strings.Contains(err.Error(), "optimizer") {
			t.Errorf("more than there is: %v", err)
		}
	}
}
