package wgsl

import (
	"fmt"
	"testing"
	"math"
	"time"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

func BenchmarkMicro(b *testing.B) {
	d := gputest.Adapter(b)
	const n = 1 << 20 // words
	const pre = `struct Params { origin: vec3<u32>, n: u32 }
`
	pair := storages[1].prelude()
	bind := func(t, f string, wg int) string {
		return pre + fmt.Sprintf(`
@group(0) @binding(0) var<storage, read_write> out: array<%[1]s>;
@group(0) @binding(1) var<storage, read> x: array<%[1]s>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(%[2]d, 1, 1)
fn micro(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * %[2]du + local.x;
	if (i >= params.n) { return; }
	%[3]s
}`, t, wg, f)
	}
	octet := `
fn oct(o: vec4<u32>) -> mat2x4<f32> { return mat2x4<f32>(bitcast<vec4<f32>>(o << vec4<u32>(16u)), bitcast<vec4<f32>>(o & vec4<u32>(0xffff0000u))); }
fn rnd(v: vec4<f32>) -> vec4<u32> {
	let bits = bitcast<vec4<u32>>(v);
	let rounded = (bits + vec4<u32>(0x7fffu) + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u)));
	return select(rounded, bits | vec4<u32>(0x400000u), (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}
fn pck(m: mat2x4<f32>) -> vec4<u32> { return (rnd(m[0]) >> vec4<u32>(16u)) | (rnd(m[1]) & vec4<u32>(0xffff0000u)); }
`
	ta, tb := gputest.Indices(b, d, "a", make([]uint32, n)), gputest.Indices(b, d, "b", make([]uint32, n))
	for _, c := range []struct {
		name string
		per, wg  int
		src  string
	}{
		{"add1", 1, 64, pair + bind("Pair", "out[i] = pack(unpack(out[i]) + unpack(x[i]));", 64)},
		{"add2", 2, 64, pair + bind("vec2<u32>", "let a = out[i]; let c = x[i]; out[i] = vec2<u32>(pack(unpack(a.x)+unpack(c.x)), pack(unpack(a.y)+unpack(c.y)));", 64)},
		{"add4", 4, 64, pair + octet + bind("vec4<u32>", "out[i] = pck(oct(out[i]) + oct(x[i]));", 64)},
		{"add4-8", 4, 8, pair + octet + bind("vec4<u32>", "out[i] = pck(oct(out[i]) + oct(x[i]));", 8)},
		{"add4-256", 4, 256, pair + octet + bind("vec4<u32>", "out[i] = pck(oct(out[i]) + oct(x[i]));", 256)},
		{"copy1", 1, 64, pair + bind("u32", "out[i] = x[i];", 64)},
		{"copy2", 2, 64, pair + bind("vec2<u32>", "out[i] = x[i];", 64)},
		{"copy4", 4, 64, pair + bind("vec4<u32>", "out[i] = x[i];", 64)},
		{"copyarr8", 8, 64, "struct E { a: vec4<u32>, b: vec4<u32> }\n" + bind("E", "out[i] = x[i];", 64)},
		{"load4", 4, 64, pair + bind("vec4<u32>", "let v = x[i]; if (v.x == 77u && v.y == 5u && v.z == 7u && v.w == 7u) { out[i] = v; }", 64)},
		{"load1", 1, 64, pair + bind("u32", "let v = x[i]; if (v == 77u) { out[i] = v; }", 64)},
		{"store4", 4, 64, pair + bind("vec4<u32>", "if (x[0].x != 77u) { out[i] = vec4<u32>(i); }", 64)},
		{"store1", 1, 64, pair + bind("u32", "if (x[0] != 77u) { out[i] = i; }", 64)},
		{"nop", 1, 64, pair + bind("u32", "if (i == 77u) { out[i] = x[i]; }", 64)},
		{"div1", 1, 64, pair + bind("u32", "if (i / params.n == 77u) { out[i] = x[i]; }", 64)},
		{"exp1", 1, 64, pair + bind("f32", "if (exp(f32(i)) == 77.0) { out[i] = x[i]; }", 64)},
	} {
		k := &gpu.Kernel{Name: c.name, Entry: "micro", Source: c.src, Workgroup: [3]int{c.wg, 1, 1}, Access: []gpu.Access{w, r}}
		b.Run(c.name, func(b *testing.B) {
			best := time.Duration(math.MaxInt64)
			for b.Loop() {
				cpu := cpuTime()
				p := d.Begin("m")
				for range 4 {
					p.Run(gpu.Call{Kernel: k, Groups: groups1(n/c.per, c.wg), Params: []uint32{uint32(n / c.per)}, Tensors: []gpu.Tensor{ta, tb}, Work: n})
				}
				if err := p.End(); err != nil {
					b.Fatal(err)
				}
				d.Read(ta, 0, make([]uint32, 1))
				best = min(best, cpuTime()-cpu)
			}
			b.ReportMetric(best.Seconds()*1e9/4/n*8, "ns/8words")
		})
	}
}
