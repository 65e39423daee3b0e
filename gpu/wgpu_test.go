package gpu

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rajveermalviya/go-webgpu/wgpu"

	"steplm/gpu/memory"
)

func counter(t *testing.T, d Device, n int) Tensor {
	t.Helper()
	x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{n}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Free(x) })
	return x
}

// add counts n times in x.
func add(d Device, x Tensor, n int) error {
	p := d.Begin("add")
	for range n {
		p.Run(Call{Kernel: &count, Groups: [3]int{x.Elements(), 1, 1}, Params: []uint32{uint32(x.Elements()), 1},
			Tensors: []Tensor{x}})
	}
	return p.End()
}

func counted(t *testing.T, d Device, x Tensor) uint32 {
	t.Helper()
	got := make([]uint32, x.Elements())
	if err := d.Read(x, 0, got); err != nil {
		t.Fatal(err)
	}
	for _, g := range got {
		if g != got[0] {
			t.Fatalf("elements differ: %d", got)
		}
	}
	return got[0]
}

// both are the devices of tests that look at their outside only.
func both(t *testing.T, test func(t *testing.T, d Device)) {
	t.Run("host", func(t *testing.T) { test(t, NewHost()) })
	t.Run("gpu", func(t *testing.T) { test(t, adapter(t)) })
}

// A pass that fails, at whatever point, leaves nothing behind: the next one
// computes right, and the canary still counts.
func TestTheDeviceIsUsableAfterAFailedPass(t *testing.T) {
	d := adapter(t)
	x, y := counter(t, d, 5), counter(t, d, 5)
	good := Call{Kernel: &count, Groups: [3]int{5, 1, 1}, Params: []uint32{5, 1}, Tensors: []Tensor{x}}
	misfit := Kernel{Name: "misfit", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write, Read},
		Source: strings.ReplaceAll(count.Source, "count", "misfit")}
	for name, fail := range map[string]func(p *Pass){
		"caller": func(p *Pass) { p.Fail(fmt.Errorf("the caller's")) },
		"call":   func(p *Pass) { p.Run(Call{Kernel: &count, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{{}}}) },
		"compiler": func(p *Pass) {
			p.Run(Call{Kernel: &Kernel{Name: "bad", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write}, Source: "bad"},
				Groups: [3]int{1, 1, 1}, Tensors: []Tensor{x}})
		},
		"binding": func(p *Pass) { p.Run(Call{Kernel: &misfit, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{x, y}}) },
	} {
		p := d.Begin(name)
		p.Run(good)
		fail(p)
		p.Run(good)
		if p.End() == nil {
			t.Errorf("%s: the pass succeeded", name)
		}
		if d.encoder != nil || d.slot != 0 || d.work != 0 {
			t.Errorf("%s: a submission stayed open", name)
		}
	}
	if err := add(d, x, 3); err != nil {
		t.Fatal(err)
	}
	if got := counted(t, d, x); got != 3 {
		t.Errorf("%d counted, want the 3 of the pass that succeeded", got)
	}
}

// The library finds some mistakes only when a recording is finished.
func TestMistakesFoundAtTheEndAreErrors(t *testing.T) {
	d := adapter(t)
	x := counter(t, d, 5)
	if err := add(d, x, 1); err != nil {
		t.Fatal(err)
	}
	p := d.Begin("late")
	p.Run(Call{Kernel: &count, Groups: [3]int{5, 1, 1}, Params: []uint32{5, 1}, Tensors: []Tensor{x}})
	d.compute.DispatchWorkgroups(1<<30, 1, 1) // above the limit, past all checks
	if err := p.End(); err == nil {
		t.Error("a dispatch above the limit was accepted")
	}
	if err := add(d, x, 1); err != nil {
		t.Fatal(err)
	}
	if got := counted(t, d, x); got != 2 {
		t.Errorf("%d counted, want 2", got)
	}
}

func TestEndTwiceAndRunAfterEnd(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		x := counter(t, d, 1)
		p := d.Begin("once")
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		if err := p.End(); err != nil {
			t.Errorf("a second End: %v", err)
		}
		p.Run(Call{Kernel: &count, Groups: [3]int{1, 1, 1}, Params: []uint32{1, 1}, Tensors: []Tensor{x}})
		if err := p.End(); err == nil || !strings.Contains(err.Error(), "after its End") {
			t.Errorf("a call after End: %v", err)
		}
		if got := counted(t, d, x); got != 0 {
			t.Errorf("the call after End ran")
		}
	})
}

// What would wait for its own goroutine for ever is refused at once.
func TestCallsInsideAnOpenPass(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		x, y := counter(t, d, 4), counter(t, d, 4)
		before := d.Ledger().Total()
		p := d.Begin("outer")
		inner := d.Begin("inner")
		inner.Run(Call{Kernel: &count, Groups: [3]int{4, 1, 1}, Params: []uint32{4, 1}, Tensors: []Tensor{x}})
		_, newErr := d.New(Spec{Name: "z", Shape: []int{1}})
		for what, err := range map[string]error{
			"Begin": inner.End(), "New": newErr,
			"Write": d.Write(x, 0, make([]uint32, 4)), "Read": d.Read(x, 0, make([]uint32, 4)),
		} {
			if err == nil || !strings.Contains(err.Error(), `pass "outer" is still open`) {
				t.Errorf("%s inside a pass: %v", what, err)
			}
		}
		p.Run(Call{Kernel: &count, Groups: [3]int{4, 1, 1}, Params: []uint32{4, 1}, Tensors: []Tensor{y}})
		d.Free(y)
		if d.Ledger().Total() != before {
			t.Error("Free did not wait for the end of the pass that uses the tensor")
		}
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		if freed := before - d.Ledger().Total(); freed != y.Bytes() {
			t.Errorf("%d bytes were freed at the end of the pass, want %d", freed, y.Bytes())
		}
		if err := add(d, x, 1); err != nil {
			t.Error(err)
		}
	})
}

func TestOtherGoroutinesWaitForAPass(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		x := counter(t, d, 3)
		p := d.Begin("first")
		var ended atomic.Bool
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				if err := add(d, x, 1); err != nil {
					t.Error(err)
				}
				if !ended.Load() {
					t.Error("a second pass ran inside the first")
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
		p.Run(Call{Kernel: &count, Groups: [3]int{3, 1, 1}, Params: []uint32{3, 1}, Tensors: []Tensor{x}})
		ended.Store(true)
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		wait.Wait()
		if got := counted(t, d, x); got != 5 {
			t.Errorf("%d counted, want 5", got)
		}
	})
}

// occupied is every native object alive, by kind; what Release forgets stays.
func occupied() map[string]uint64 {
	m := map[string]uint64{}
	hub := reflect.ValueOf(instance().GenerateReport())
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		if v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
		}
		if r, ok := v.Interface().(wgpu.StorageReport); ok {
			m[path] = r.NumOccupied
			return
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Struct || f.Kind() == reflect.Pointer && !f.IsNil() {
				walk(f, path+" "+v.Type().Field(i).Name)
			}
		}
	}
	walk(hub, "")
	return m
}

func sameObjects(t *testing.T, when string, before map[string]uint64) {
	t.Helper()
	for kind, n := range occupied() {
		// A released device's own entry stays: this library would drop it when it
		// polls all devices, which it offers no call for.
		if n != before[kind] && !strings.HasSuffix(kind, " Devices") {
			t.Errorf("%s: %d native objects of kind%s, %d before", when, n, kind, before[kind])
		}
	}
}

// Every native object is released: by Free, after errors, and by Close.
func TestNothingNativeIsLeftBehind(t *testing.T) {
	instance()
	adapter(t).Close() // the first device may leave what is made once
	nothing := occupied()
	if len(nothing) == 0 {
		t.Fatal("the report on native objects is empty")
	}
	d := adapter(t)
	x := counter(t, d, 5)
	work := func() {
		if err := add(d, x, 2); err != nil {
			t.Fatal(err)
		}
		y := counter(t, d, 5)
		p := d.Begin("mixed")
		p.Run(Call{Kernel: &plus, Groups: [3]int{5, 1, 1}, Tensors: []Tensor{x, y}})
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		counted(t, d, x)
		d.Free(y)
		for _, k := range []*Kernel{
			{Name: "bad", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write}, Source: "bad"},
			{Name: "missing", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write}, Source: count.Source},
		} {
			p := d.Begin("bad")
			p.Run(Call{Kernel: &count, Groups: [3]int{5, 1, 1}, Params: []uint32{5, 1}, Tensors: []Tensor{x}})
			p.Run(Call{Kernel: k, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{x}})
			if p.End() == nil {
				t.Fatalf("kernel %s compiled", k.Name)
			}
		}
		counted(t, d, x)
	}
	work()
	one := occupied()
	groups := len(d.groupsOf[x.id])
	for range 5 {
		work()
	}
	sameObjects(t, "after more of the same", one)
	if n := len(d.groupsOf[x.id]); n != groups {
		t.Errorf("%d bind groups are noted for a tensor, %d before its partners were freed", n, groups)
	}
	p := d.Begin("left open")
	p.Run(Call{Kernel: &count, Groups: [3]int{5, 1, 1}, Params: []uint32{5, 1}, Tensors: []Tensor{x}})
	d.Close() // with x live and a pass open
	sameObjects(t, "after Close", nothing)
	if err := p.End(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("the end of a pass on a closed device: %v", err)
	}
	d.Close()
	if _, err := d.New(Spec{Name: "late", Shape: []int{1}}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("New on a closed device: %v", err)
	}
}

// plus adds its input to its output.
var plus = Kernel{
	Name: "plus", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write, Read},
	Source: `struct Params { origin: vec3<u32> }
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(1, 1, 1)
fn plus(@builtin(workgroup_id) group: vec3<u32>) {
	let i = group.x + params.origin.x;
	out[i] = out[i] + x[i];
}
`,
	Host: func(a Args) {
		for i := range a.U(0) {
			a.U(0)[i] += a.U(1)[i]
		}
	},
}

// A new tensor is zeros around whatever is written to it first, at offsets that
// are no multiple of anything.
func TestNewTensorsAreZeroAroundTheFirstWrite(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		const n = 5000
		for _, w := range [][2]int{{0, 1}, {1, 3}, {3, 1111}, {n - 3, 3}, {0, n}} {
			dirty := counter(t, d, n) // memory that may be handed out again
			ones := make([]uint32, n)
			for i := range ones {
				ones[i] = 1
			}
			if err := d.Write(dirty, 0, ones); err != nil {
				t.Fatal(err)
			}
			d.Free(dirty)
			x, y := counter(t, d, n), counter(t, d, n)
			if err := d.Write(x, w[0], ones[:w[1]]); err != nil {
				t.Fatal(err)
			}
			p := d.Begin("sum")
			p.Run(Call{Kernel: &plus, Groups: [3]int{n, 1, 1}, Tensors: []Tensor{y, x}})
			if err := p.End(); err != nil {
				t.Fatal(err)
			}
			got := make([]uint32, n)
			for _, z := range []Tensor{x, y} {
				if err := d.Read(z, 0, got); err != nil {
					t.Fatal(err)
				}
				for i, g := range got {
					if want := i >= w[0] && i < w[0]+w[1]; g != 0 != want {
						t.Fatalf("words %v written: word %d is %d", w, i, g)
					}
				}
			}
		}
	})
}

// A tensor is what its device made, whatever the caller did to its copy.
func TestAChangedSpecDeceivesNobody(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		x := counter(t, d, 4)
		before := d.Ledger().Total()
		big := x
		big.Shape = []int{1 << 20}
		if d.Read(big, 0, make([]uint32, 100)) == nil || d.Write(big, 0, make([]uint32, 100)) == nil {
			t.Error("100 words of 4 were copied")
		}
		for _, at := range []int{-1, 1 << 62, int(^uint(0) >> 1)} {
			if d.Read(x, at, make([]uint32, 2)) == nil {
				t.Errorf("a read at %d was accepted", at)
			}
		}
		d.Free(big)
		if freed := before - d.Ledger().Total(); freed != 16 {
			t.Errorf("%d bytes freed, want 16", freed)
		}
	})
}

func TestSpecsThatOverflowAreRefused(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		for _, shape := range [][]int{{1 << 32, 1 << 32}, {1 << 62, 4}, {3, 1 << 61},
			{1 << 20, 1 << 20, 1 << 20, 1 << 4}} {
			if _, err := d.New(Spec{Name: "vast", Shape: shape}); err == nil || !strings.Contains(err.Error(), "vast") {
				t.Errorf("%v: %v", shape, err)
			}
		}
	})
}

// Kernels count elements in 32 bits; the host's memory might hold more.
func TestATensorBeyondIndicesIsRefused(t *testing.T) {
	if _, err := NewHost().New(Spec{Name: "long", Shape: []int{1 << 16, 1 << 16}}); err == nil ||
		!strings.Contains(err.Error(), "4294967296 elements, kernels can index 4294967295") {
		t.Errorf("2^32 elements: %v", err)
	}
}

// A CPU grants any size; a tensor beyond the memory there is must be refused.
func TestATensorBeyondMemoryIsRefused(t *testing.T) {
	free, ok := memory.Available()
	if !ok {
		t.Skip("available memory is unknown here")
	}
	n := int(free/4) + 1<<28
	err := checkRoom(Spec{Name: "vast", Shape: []int{n}}, &Ledger{})
	if n <= math.MaxUint32 { // what kernels can index
		_, err = NewHost().New(Spec{Name: "vast", Shape: []int{n}})
	}
	if err == nil || !strings.Contains(err.Error(), "are free") {
		t.Errorf("a tensor beyond memory: %v", err)
	}
}

func TestKernelsThatWouldAbortAreRefused(t *testing.T) {
	l := Limits{Invocations: 256, WorkgroupMemory: 16384, StorageBuffers: 8}
	ok := Kernel{Name: "k", Workgroup: [3]int{64, 1, 1}, Access: []Access{Write}, Source: "x"}
	if err := checkKernel(&ok, l); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Kernel){
		"entry point":        func(k *Kernel) { k.Name = "" },
		"1 or more":          func(k *Kernel) { k.Workgroup[2] = 0 },
		"257 invocations":    func(k *Kernel) { k.Workgroup[0] = 257 },
		"device has 16384":   func(k *Kernel) { k.Shared = 16388 },
		"does not declare":   func(k *Kernel) { k.Source = "var<workgroup> tile: array<f32, 64>;" },
		"9 storage buffers,": func(k *Kernel) { k.Access = make([]Access, 9) },
	} {
		k := ok
		change(&k)
		if err := checkKernel(&k, l); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// Handles are read from the binding's structs; another version must not slip in.
func TestTheBindingsLayout(t *testing.T) {
	for v, want := range map[any]string{wgpu.Device{}: "ref", wgpu.Buffer{}: "deviceRef ref"} {
		r := reflect.TypeOf(v)
		var names []string
		for i := range r.NumField() {
			if f := r.Field(i); f.Type.Size() == 8 {
				names = append(names, f.Name)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%v has fields %q, want %q", r, got, want)
		}
	}
}

func TestLimitsAreChecked(t *testing.T) {
	good := wgpu.Limits{
		MaxStorageBuffersPerShaderStage: 8, MaxBindGroups: 4, MaxUniformBuffersPerShaderStage: 12,
		MaxDynamicUniformBuffersPerPipelineLayout: 8,
		MaxUniformBufferBindingSize:               64 << 10, MaxStorageBufferBindingSize: 128 << 20,
		MaxBufferSize:                     256 << 20,
		MaxComputeInvocationsPerWorkgroup: 256, MaxComputeWorkgroupSizeX: 256, MaxComputeWorkgroupsPerDimension: 65535,
		MinUniformBufferOffsetAlignment: 256,
	}
	if err := floor(good); err != nil {
		t.Fatalf("WebGPU's guaranteed limits: %v", err)
	}
	few := good
	few.MaxStorageBuffersPerShaderStage = 4
	coarse := good
	coarse.MinUniformBufferOffsetAlignment = 512
	views := good
	views.MinStorageBufferOffsetAlignment = 512
	for want, n := range map[string]wgpu.Limits{"4 storage buffers per kernel": few,
		"uniform offsets aligned to 512": coarse, "storage offsets aligned to 512": views} {
		if err := floor(n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestLimitsOfAdapters(t *testing.T) {
	n := wgpu.Limits{MaxBufferSize: 1<<64 - 1, MaxStorageBufferBindingSize: 1<<32 - 1,
		MaxComputeWorkgroupStorageSize: 32768}
	l := limitsOf(n, "discrete", "vulkan")
	if l.Buffer != maxBuffer || l.Binding != 1<<32-1 || !l.Shared || l.CPU {
		t.Errorf("a discrete GPU: %+v", l)
	}
	if l := limitsOf(n, "discrete", "dx12"); l.Shared {
		t.Error("DX12 uses workgroup memory, which takes its compiler minutes")
	}
	if l := limitsOf(n, "cpu", "vulkan"); l.Shared || !l.CPU {
		t.Errorf("a CPU: %+v", l)
	}
	n.MaxBufferSize = 1 << 30
	if l := limitsOf(n, "integrated", "vulkan"); l.Binding != 1<<30 {
		t.Errorf("a binding of %d bytes in buffers of %d", l.Binding, l.Buffer)
	}
	// The slowest of each kind, in FLOP/s at its peak; kernels may reach a tenth.
	for _, c := range []struct {
		kind, backend string
		slowest       float64
	}{{"discrete", "vulkan", 3.5e11}, {"integrated", "vulkan", 1e11}, {"integrated", "dx12", 1e11},
		{"integrated", "metal", 4e11}, {"unknown", "vulkan", 1e11}} {
		if s := limitsOf(n, c.kind, c.backend).Budget / (c.slowest / 10); s > 1 {
			t.Errorf("%s on %s: a submission takes up to %.1f s, Windows resets after 2", c.kind, c.backend, s)
		}
	}
}

// residentKiB is the memory of this process.
func residentKiB(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	var n int
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Memory must not grow by tensors that come and go, nor by passes.
func TestMemoryStaysFlat(t *testing.T) {
	d := adapter(t)
	words := make([]uint32, 2<<20)
	small := counter(t, d, 8)
	for name, c := range map[string]struct {
		warm, rounds int
		do           func()
	}{
		"tensors": {10, 200, func() {
			x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{len(words)}})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Write(x, 0, words); err != nil {
				t.Fatal(err)
			}
			d.Free(x)
		}},
		"passes": {200, 2000, func() {
			if err := add(d, small, 1); err != nil {
				t.Fatal(err)
			}
		}},
		"reads": {200, 2000, func() { counted(t, d, small) }},
	} {
		for range c.warm {
			c.do()
		}
		before := residentKiB(t)
		for range c.rounds {
			c.do()
		}
		after := residentKiB(t)
		t.Logf("%s: %d KiB resident, %d before %d rounds", name, after, before, c.rounds)
		if grown := after - before; grown > 64<<10 {
			t.Errorf("%s: %d rounds leave %d KiB more", name, c.rounds, grown)
		}
	}
}
