// rmsnorm_forward.wgsl with a row per invocation, for CPUs: there a workgroup is a loop,
// and its barriers cost more than what they are for.

struct Params { origin: vec3<u32>, c: u32, stride: u32, eps: f32, rows: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<Eight>; // (rows, C)
@group(0) @binding(1) var<storage, read_write> rstd: array<f32>;  // (rows)
@group(0) @binding(2) var<storage, read> x: array<Eight>;         // (rows, C)
@group(0) @binding(3) var<storage, read> weight: array<Eight>;    // (C)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(8, 1, 1)
fn rmsnorm_forward_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = (group.x + params.origin.x) * 8u + local.x;
	if (row >= params.rows) { return; }
	let at = row * params.stride;
	var a = vec4<f32>();
	var b = vec4<f32>();
	for (var j = 0u; j < params.stride; j++) {
		let v = unpack_eight(x[at + j]);
		a += v[0] * v[0];
		b += v[1] * v[1];
	}
	let s = 1.0 / sqrt(dot(a + b, vec4<f32>(1.0)) / f32(params.c) + params.eps);
	for (var j = 0u; j < params.stride; j++) {
		let v = unpack_eight(x[at + j]);
		let g = unpack_eight(weight[j]);
		out[at + j] = pack_eight(unpadded_eight(mat2x4<f32>(g[0] * v[0] * s, g[1] * v[1] * s), j, params.c));
	}
	rstd[row] = s;
}
