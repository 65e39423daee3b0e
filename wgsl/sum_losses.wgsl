// stats[0] += the sum of losses, by one workgroup: the same order every time.

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> stats: array<f32>; // see stats.go
@group(0) @binding(1) var<storage, read> losses: array<f32>;      // (n)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn sum_losses(@builtin(local_invocation_id) local: vec3<u32>) {
	var sum = 0.0;
	for (var i = local.x; i < params.n; i += 64u) { sum += losses[i]; }
	sum = tree_sum(local.x, sum);
	if (local.x == 0u) { stats[0] += sum; }
}
