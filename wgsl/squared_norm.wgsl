// partials[at + g] = the sum of squares of the g-th 16384 elements of grad, one
// workgroup each.

struct Params { origin: vec3<u32>, n: u32, at: u32 }

@group(0) @binding(0) var<storage, read_write> partials: array<f32>;
@group(0) @binding(1) var<storage, read> grad: array<GradPair>; // n pairs
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn squared_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let g = group.x + params.origin.x;
	let end = min(params.n, (g + 1u) * 8192u);
	var sum = vec2<f32>(0.0, 0.0);
	for (var i = g * 8192u + local.x; i < end; i += 64u) {
		let x = unpack_grad(grad[i]);
		sum += x * x;
	}
	let total = tree_sum(local.x, sum.x + sum.y);
	if (local.x == 0u) { partials[params.at + g] = total; }
}
