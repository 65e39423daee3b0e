// With g = weight * dout: dx += rstd * (g - x * rstd^2 * mean(g * x)). One
// workgroup per row.

struct Params { origin: vec3<u32>, c: u32, stride: u32 }

@group(0) @binding(0) var<storage, read_write> dx: array<Pair>; // (rows, C)
@group(0) @binding(1) var<storage, read> dout: array<Pair>;     // (rows, C)
@group(0) @binding(2) var<storage, read> x: array<Pair>;        // (rows, C)
@group(0) @binding(3) var<storage, read> weight: array<Pair>;   // (C)
@group(0) @binding(4) var<storage, read> rstd: array<f32>;      // (rows)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn rmsnorm_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	let at = row * params.stride;
	var product = 0.0;
	for (var j = local.x; j < params.stride; j += 64u) {
		product += dot(unpack(weight[j]) * unpack(dout[at + j]), unpack(x[at + j]));
	}
	let s = rstd[row];
	let mean = tree_sum(local.x, product) / f32(params.c);
	for (var j = local.x; j < params.stride; j += 64u) {
		let d = s * (unpack(weight[j]) * unpack(dout[at + j]) - unpack(x[at + j]) * s * s * mean);
		dx[at + j] = pack(unpadded(unpack(dx[at + j]) + d, j, params.c));
	}
}
