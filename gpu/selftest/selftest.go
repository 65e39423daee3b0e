// Package selftest asks a device for what kernels need of it: loops, workgroup memory, floating point with infinities
// and NaN, copies while it works. Drivers are wrong in each, and a run that trusts one trains on noise.
package selftest

import (
	"fmt"
	"math"

	"steplm/gpu"
)

// SelfTest runs small kernels on a device, well below a second, and returns a
// warning (empty if none) for a fault that this program works around, or an
// error if results cannot be trusted.
func SelfTest(d gpu.Device) (warning string, err error) {
	s := selfTest{d: d}
	defer s.free()
	for _, check := range []struct {
		name string
		do   func() error
	}{{"loops", s.loops}, {"workgroup memory", s.sums}, {"floating point", s.floats}, {"copies under load", s.copies}} {
		if err := check.do(); err != nil {
			return "", fmt.Errorf("self-test of %s: %w", check.name, err)
		}
	}
	return s.warning, nil
}

type selfTest struct {
	d       gpu.Device
	warning string
	made    []gpu.Tensor
}

func (s *selfTest) free() {
	for _, t := range s.made {
		s.d.Free(t)
	}
}

func (s *selfTest) tensor(words []uint32) (gpu.Tensor, error) {
	t, err := s.d.New(gpu.Spec{Name: "selftest", Class: gpu.Scratch, DType: gpu.U32, Shape: []int{len(words)}})
	if err == nil {
		s.made = append(s.made, t)
		err = s.d.Write(t, 0, words)
	}
	return t, err
}

// run computes out from words, if any, with one kernel.
func (s *selfTest) run(k *gpu.Kernel, groups int, params []uint32, words []uint32, outputs int) ([]uint32, error) {
	out, err := s.tensor(make([]uint32, outputs))
	if err != nil {
		return nil, err
	}
	tensors := []gpu.Tensor{out}
	if words != nil {
		in, err := s.tensor(words)
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, in)
	}
	p := s.d.Begin("selftest")
	p.Run(gpu.Call{Kernel: k, Groups: [3]int{groups, 1, 1}, Params: params, Tensors: tensors})
	if err := p.End(); err != nil {
		return nil, err
	}
	got := make([]uint32, outputs)
	return got, s.d.Read(out, 0, got)
}

func wrong(i int, got, want uint32) error {
	return fmt.Errorf("element %d is %#x, not %#x: this device computes wrongly", i, got, want)
}

// loops finds drivers that silently end a loop after 65,535 iterations.
func (s *selfTest) loops() error {
	const steps = 70000
	got, err := s.run(&loopKernel, 4, []uint32{steps}, nil, 256)
	if err != nil {
		return err
	}
	for i, g := range got {
		// The sum of i+k over all steps, modulo 2^32.
		sum := func(n uint32) uint32 { return uint32(uint64(i)*uint64(n) + uint64(n)*uint64(n-1)/2) }
		switch g {
		case sum(steps):
		case sum(65535), sum(65536):
			s.warning = "ends loops after 65,535 iterations (old Mesa); steplm's kernels stay below"
		default:
			return wrong(i, g, sum(steps))
		}
	}
	return nil
}

var loopKernel = gpu.Kernel{
	Name: "selftest_loop", Workgroup: [3]int{64, 1, 1}, Access: []gpu.Access{gpu.Write},
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
	Host: func(a gpu.Args) {
		for i := range a.U(0) {
			sum := uint32(0)
			for k := range a.Int(0) {
				sum += uint32(i + k)
			}
			a.U(0)[i] = sum
		}
	},
}

// sums adds up 64 numbers per workgroup through its memory: every barrier must
// hold.
func (s *selfTest) sums() error {
	const groups = 300
	words := make([]uint32, groups*64)
	want := make([]uint32, groups)
	for i := range words {
		words[i] = uint32(i*i + 7)
		want[i/64] += words[i]
	}
	got, err := s.run(&sumKernel, groups, nil, words, groups)
	if err != nil {
		return err
	}
	for i, g := range got {
		if g != want[i] {
			return wrong(i, g, want[i])
		}
	}
	return nil
}

var sumKernel = gpu.Kernel{
	Name: "selftest_sum", Workgroup: [3]int{64, 1, 1}, Shared: 64 * 4, Access: []gpu.Access{gpu.Write, gpu.Read},
	Source: `struct Params { origin: vec3<u32> }
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;
var<workgroup> tile: array<u32, 64>;
@compute @workgroup_size(64, 1, 1)
fn selftest_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let g = group.x + params.origin.x;
	tile[local.x] = x[g * 64u + local.x];
	workgroupBarrier();
	for (var width = 32u; width > 0u; width = width / 2u) {
		if (local.x < width) { tile[local.x] = tile[local.x] + tile[local.x + width]; }
		workgroupBarrier();
	}
	if (local.x == 0u) { out[g] = tile[0]; }
}
`,
	Host: func(a gpu.Args) {
		clear(a.U(0))
		for i, v := range a.U(1) {
			a.U(0)[i/64] += v
		}
	},
}

// canonicalNaN is what selftest_fma writes for any NaN.
const canonicalNaN = 0x7fc00000

// floats checks a*b+c, and that infinities and NaN come through it and are told
// apart by their bits, which is how a diverged step is noticed.
func (s *selfTest) floats() error {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	cases := []struct {
		a, b, c     float32
		want, other uint32 // either will do
	}{
		{2, 3, 4, gpu.Param(10), gpu.Param(10)},
		{-0.5, 8, 1, gpu.Param(-3), gpu.Param(-3)},
		{4097, 4097, -16785408, gpu.Param(1), gpu.Param(0)}, // rounded once, or twice
		{1e30, 1e30, 1, gpu.Param(inf), gpu.Param(inf)},
		{inf, -1, 5, gpu.Param(-inf), gpu.Param(-inf)},
		{inf, 1, -inf, canonicalNaN, canonicalNaN},
		{inf, 0, 1, canonicalNaN, canonicalNaN},
		{nan, 1, 2, canonicalNaN, canonicalNaN},
		{1, 2, nan, canonicalNaN, canonicalNaN},
	}
	const n = 640
	words := make([]uint32, 0, 3*n)
	for i := range n {
		c := cases[i%len(cases)]
		words = append(words, gpu.Param(c.a), gpu.Param(c.b), gpu.Param(c.c))
	}
	got, err := s.run(&fmaKernel, n/64, nil, words, n)
	if err != nil {
		return err
	}
	for i, g := range got {
		if c := cases[i%len(cases)]; g != c.want && g != c.other {
			return wrong(i, g, c.want)
		}
	}
	return nil
}

var fmaKernel = gpu.Kernel{
	Name: "selftest_fma", Workgroup: [3]int{64, 1, 1}, Access: []gpu.Access{gpu.Write, gpu.Read},
	Source: `struct Params { origin: vec3<u32> }
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(64, 1, 1)
fn selftest_fma(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	var bits = bitcast<u32>(fma(x[i * 3u], x[i * 3u + 1u], x[i * 3u + 2u]));
	if ((bits & 0x7fffffffu) > 0x7f800000u) { bits = 0x7fc00000u; }
	out[i] = bits;
}
`,
	Host: func(a gpu.Args) {
		x := a.F(1)
		for i := range a.U(0) {
			f := float32(math.FMA(float64(x[3*i]), float64(x[3*i+1]), float64(x[3*i+2])))
			if f != f {
				a.U(0)[i] = canonicalNaN
			} else {
				a.U(0)[i] = gpu.Param(f)
			}
		}
	},
}

// copies writes and reads more than one chunk while the device is busy.
func (s *selfTest) copies() error {
	busy, err := s.tensor(make([]uint32, 256))
	if err != nil {
		return err
	}
	words := make([]uint32, gpu.StagingBytes/4+12345)
	for i := range words {
		words[i] = uint32(i) * 2654435761
	}
	var moved gpu.Tensor
	for range 4 {
		p := s.d.Begin("selftest")
		p.Run(gpu.Call{Kernel: &loopKernel, Groups: [3]int{4, 1, 1}, Params: []uint32{30000},
			Tensors: []gpu.Tensor{busy}})
		if err := p.End(); err != nil {
			return err
		}
		if moved.None() {
			if moved, err = s.tensor(words); err != nil {
				return err
			}
		}
	}
	const at = 3
	got := make([]uint32, len(words)-at)
	if err := s.d.Read(moved, at, got); err != nil {
		return err
	}
	for i, g := range got {
		if g != words[i+at] {
			return wrong(i+at, g, words[i+at])
		}
	}
	return nil
}

// Kernels are what SelfTest runs.
func Kernels() []*gpu.Kernel { return []*gpu.Kernel{&loopKernel, &sumKernel, &fmaKernel} }
