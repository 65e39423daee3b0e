package attention

import (
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/wgsltest"
)

// Whatever can be chosen fits the device, is found by its name and begins with the
// fallback; workgroup memory is used only where it is worth using.
func TestAttentionBlocks(t *testing.T) {
	real := gpu.Limits{Shared: true, Invocations: 256, WorkgroupMemory: 16384, Budget: 1e12}
	for _, c := range []struct {
		name   string
		change func(*gpu.Limits)
		t, d   int
		kind   kernelKind
		want   block
		shared bool // in the list
	}{
		{"a GPU", func(*gpu.Limits) {}, 1024, 64, forward, block{1, 64, 0, true}, true},
		{"a GPU, backward", func(*gpu.Limits) {}, 1024, 64, backwardQuery, block{1, 64, 0, false}, true},
		{"DX12", func(l *gpu.Limits) { l.Shared = false }, 1024, 64, forward, block{1, 64, 0, true}, false},
		{"little workgroup memory", func(l *gpu.Limits) { l.WorkgroupMemory = 1024 }, 1024, 64, forward,
			block{1, 64, 0, true}, false},
		{"small workgroups", func(l *gpu.Limits) { l.Invocations = 64 }, 1024, 64, backwardKeyValue,
			block{1, 64, 0, false}, true},
		{"a CPU", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 256, 48, forward, block{8, 8, 0, false},
			false},
		{"a CPU, larger heads", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 1024, 64, backwardQuery,
			block{4, 8, 0, false}, false},
		{"a CPU, the largest heads", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 1024, 256, backwardKeyValue,
			block{1, 8, 0, false}, false},
		{"a CPU, few positions", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 64, 16, forward,
			block{2, 8, 0, false}, false},
	} {
		l := real
		c.change(&l)
		class := Class{c.kind, gpu.F32, Shape{B: 1, T: c.t, H: 2, KV: 2, D: c.d}}
		list := class.blocks(l)
		if list[0] != c.want {
			t.Errorf("%s: the fallback is %v, want %v", c.name, list[0], c.want)
		}
		shared := false
		for i, b := range list {
			k := class.kernel(b)
			if k.Invocations() > l.Invocations || k.Shared > l.WorkgroupMemory {
				t.Errorf("%s: kernel %s of %d invocations and %d bytes of workgroup memory does not fit", c.name,
					k.Name, k.Invocations(), k.Shared)
			}
			if blockNames[b.String()] != b {
				t.Errorf("%s: %v is not found by its name", c.name, b)
			}
			if slices.Contains(list[:i], b) {
				t.Errorf("%s: %v is listed twice", c.name, b)
			}
			shared = shared || b.Tile > 0
		}
		if shared != c.shared {
			t.Errorf("%s: workgroup memory is used: %v, want %v", c.name, shared, c.shared)
		}
	}
}

// A trial of a class is a part of a submission, however large the call; its heads still
// divide.
func TestAttentionClassIsCut(t *testing.T) {
	l := gpu.Limits{Budget: 4e8}
	c := Class{backwardKeyValue, gpu.BF16, Shape{B: 64, T: 4096, H: 12, KV: 3, D: 64}}.cut(l)
	if c.work() > kernel.TrialWork(l) || c.Shape.Group() != 4 || c.Shape.B != 1 {
		t.Errorf("%v is %g operations, at most %g are tried", c, c.work(), kernel.TrialWork(l))
	}
	if got, want := c.String(), "attention_backward_key_value bf16 d64 b1 h4 kv1 t256"; got != want {
		t.Errorf("the class is %q, want %q", got, want)
	}
	if specs := c.specs(); len(specs) != 8 || specs[6].DType != gpu.F32 || specs[0].Cols() != 64 ||
		specs[2].Cols() != 256 {
		t.Errorf("the tensors are %v", specs)
	}
}

// What a device was told to run is run, if it can, and noted.
func TestAttentionChosen(t *testing.T) {
	s := Shape{B: 1, T: 16, H: 2, KV: 2, D: 8}
	d := gpu.NewDry(gpu.Limits{Invocations: 64, Binding: 1 << 20, Buffer: 1 << 20, StorageBuffers: gpu.MaxStorage,
		Budget: 1e9})
	c := Class{forward, gpu.F32, s}
	tensors := make([]gpu.Tensor, 0, 5)
	for _, spec := range c.specs() {
		x, err := d.New(spec)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
	}
	for _, v := range []struct{ chosen, want string }{{"", "1_64_branch"}, {"2_32_branch", "2_32_branch"},
		{"1_128_branch", "1_64_branch"}, {"nonsense", "1_64_branch"}} {
		d.Choices().Set(c.String(), v.chosen)
		wgsltest.Run(t, d, func(p *gpu.Pass) {
			Forward(p, tensors[0], tensors[1], tensors[2], tensors[3], tensors[4], gpu.Tensor{}, s)
		})
		calls := d.Calls()
		if used := d.Choices().Used()[c.String()].Variant; used != v.want ||
			calls[len(calls)-1].Kernel.Name != "attention_forward_8_f32_"+v.want {
			t.Errorf("told %q, %s ran and %q was noted, want %q", v.chosen, calls[len(calls)-1].Kernel.Name, used,
				v.want)
		}
	}
}
