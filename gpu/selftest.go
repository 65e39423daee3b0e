package gpu

import "fmt"

// SelfTest runs small kernels on an adapter and returns a warning (empty if
// none) for a fault that this program works around, or an error if results
// cannot be trusted.
func SelfTest(d Device) (warning string, err error) {
	t, err := d.New(Spec{Name: "selftest", Class: Scratch, DType: U32, Shape: []int{256}})
	if err != nil {
		return "", err
	}
	defer d.Free(t)
	const steps = 70000 // above 65,535
	p := d.Begin("selftest")
	p.Run(Call{Kernel: &loopKernel, Groups: [3]int{4, 1, 1}, Params: []uint32{steps}, Tensors: []Tensor{t}})
	if err := p.End(); err != nil {
		return "", err
	}
	got := make([]uint32, 256)
	if err := d.Read(t, 0, got); err != nil {
		return "", err
	}
	cut := false
	for i, g := range got {
		// The sum of i+k over all steps, modulo 2^32.
		sum := func(n uint32) uint32 { return uint32(uint64(i)*uint64(n) + uint64(n)*uint64(n-1)/2) }
		switch g {
		case sum(steps):
		case sum(65535), sum(65536):
			cut = true
		default:
			return "", fmt.Errorf("self-test: element %d is %d, not %d: this device computes wrongly", i, g, sum(steps))
		}
	}
	if cut {
		warning = "ends loops after 65,535 iterations (old Mesa); steplm's kernels stay below"
	}
	return warning, nil
}

var loopKernel = Kernel{
	Name: "selftest_loop", Workgroup: [3]int{64, 1, 1}, Access: []Access{Write},
	Source: `struct Params { origin: vec3<u32>, steps: u32 }
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
@compute @workgroup_size(64, 1, 1)
fn selftest_loop(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	var sum = 0u;
	for (var k = 0u; k < params.steps; k = k + 1u) { sum = sum + i + k; }
	out[i] = sum;
}
`,
	Host: func(a Args) {
		for i := range a.U(0) {
			sum := uint32(0)
			for k := range a.Int(0) {
				sum += uint32(i + k)
			}
			a.U(0)[i] = sum
		}
	},
}
