// out = weight * x * rstd, rstd = 1 / sqrt(mean(x^2) + eps) of each row (Zhang
// and Sennrich 2019, arXiv 1910.07467). One workgroup per row.

struct Params { origin: vec3<u32>, c: u32, stride: u32, eps: f32 }

@group(0) @binding(0) var<storage, read_write> out: array<Pair>; // (rows, C)
@group(0) @binding(1) var<storage, read_write> rstd: array<f32>; // (rows)
@group(0) @binding(2) var<storage, read> x: array<Pair>;         // (rows, C)
@group(0) @binding(3) var<storage, read> weight: array<Pair>;    // (C)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn rmsnorm_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	let at = row * params.stride;
	var squares = 0.0;
	for (var j = local.x; j < params.stride; j += 64u) {
		let v = unpack(x[at + j]);
		squares += dot(v, v);
	}
	let s = 1.0 / sqrt(tree_sum(local.x, squares) / f32(params.c) + params.eps);
	for (var j = local.x; j < params.stride; j += 64u) {
		out[at + j] = pack(unpadded(unpack(weight[j]) * unpack(x[at + j]) * s, j, params.c));
	}
	if (local.x == 0u) { rstd[row] = s; }
}
