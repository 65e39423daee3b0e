// out = 1 / (||x|| + 1e-7) of n sums of squares of x's parts: what a Newton-Schulz iteration
// begins with. One workgroup.

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<f32>;   // (1)
@group(0) @binding(1) var<storage, read> squares: array<f32>;     // (n)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn inverse_norm(@builtin(local_invocation_id) local: vec3<u32>) {
	var sum = 0.0;
	for (var i = local.x; i < params.n; i += 64u) { sum += squares[i]; }
	sum = tree_sum(local.x, sum);
	if (local.x == 0u) { out[0] = 1.0 / (sqrt(sum) + 1e-7); }
}
