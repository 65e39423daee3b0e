// rmsnorm_backward.wgsl with a row per invocation, see rmsnorm_forward_rows.wgsl.

struct Params { origin: vec3<u32>, c: u32, stride: u32, rows: u32 }

@group(0) @binding(0) var<storage, read_write> dx: array<Eight>; // (rows, C)
@group(0) @binding(1) var<storage, read> dout: array<Eight>;     // (rows, C)
@group(0) @binding(2) var<storage, read> x: array<Eight>;        // (rows, C)
@group(0) @binding(3) var<storage, read> weight: array<Eight>;   // (C)
@group(0) @binding(4) var<storage, read> rstd: array<f32>;       // (rows)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(8, 1, 1)
fn rmsnorm_backward_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = (group.x + params.origin.x) * 8u + local.x;
	if (row >= params.rows) { return; }
	let at = row * params.stride;
	var a = vec4<f32>();
	var b = vec4<f32>();
	for (var j = 0u; j < params.stride; j++) {
		let v = unpack_eight(x[at + j]);
		let d = unpack_eight(dout[at + j]);
		let g = unpack_eight(weight[j]);
		a += g[0] * d[0] * v[0];
		b += g[1] * d[1] * v[1];
	}
	let s = rstd[row];
	let mean = dot(a + b, vec4<f32>(1.0)) / f32(params.c);
	for (var j = 0u; j < params.stride; j++) {
		let v = unpack_eight(x[at + j]);
		let d = unpack_eight(dout[at + j]);
		let g = unpack_eight(weight[j]);
		let more = mat2x4<f32>(s * (g[0] * d[0] - v[0] * s * s * mean), s * (g[1] * d[1] - v[1] * s * s * mean));
		dx[at + j] = pack_eight(unpadded_eight(unpack_eight(dx[at + j]) + more, j, params.c));
	}
}
