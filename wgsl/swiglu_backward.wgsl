// With s = sigmoid(gate): dup = dout * gate * s,
// dgate = dout * up * s * (1 + gate * (1 - s)).

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> dgate: array<Eight>; // (rows, F), n eights
@group(0) @binding(1) var<storage, read_write> dup: array<Eight>;   // (rows, F)
@group(0) @binding(2) var<storage, read> dout: array<Eight>;        // (rows, F)
@group(0) @binding(3) var<storage, read> gate: array<Eight>;        // (rows, F)
@group(0) @binding(4) var<storage, read> up: array<Eight>;          // (rows, F)
@group(0) @binding(5) var<uniform> params: Params;

fn sigmoid(x: vec4<f32>) -> vec4<f32> { return 1.0 / (1.0 + exp(-x)); }

@compute @workgroup_size(64, 1, 1)
fn swiglu_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let d = unpack_eight(dout[i]);
	let g = unpack_eight(gate[i]);
	let u = unpack_eight(up[i]);
	let s = mat2x4<f32>(sigmoid(g[0]), sigmoid(g[1]));
	dup[i] = pack_eight(mat2x4<f32>(d[0] * g[0] * s[0], d[1] * g[1] * s[1]));
	dgate[i] = pack_eight(mat2x4<f32>(d[0] * u[0] * s[0] * (1.0 + g[0] * (1.0 - s[0])), d[1] * u[1] * s[1] * (1.0 + g[1] * (1.0 - s[1]))));
}
