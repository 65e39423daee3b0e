// partials[at + g] = the sum of squares of the g-th 16384 elements of grad, one
// workgroup each.

struct Params { origin: vec3<u32>, n: u32, at: u32 }

@group(0) @binding(0) var<storage, read_write> partials: array<f32>;
@group(0) @binding(1) var<storage, read> grad: array<GradEight>; // n eights
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn squared_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let g = group.x + params.origin.x;
	let end = min(params.n, (g + 1u) * 2048u);
	var a = vec4<f32>();
	var b = vec4<f32>();
	for (var i = g * 2048u + local.x; i < end; i += 64u) {
		let x = unpack_eight_grad(grad[i]);
		a += x[0] * x[0];
		b += x[1] * x[1];
	}
	let total = tree_sum(local.x, dot(a + b, vec4<f32>(1.0)));
	if (local.x == 0u) { partials[params.at + g] = total; }
}
