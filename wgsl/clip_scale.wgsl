// stats[1] = norm = sqrt(sum of partials), stats[2] = min(1, most / (norm + 1e-6));
// 1 if most is not positive, 0 if the sum is not finite. One workgroup.

struct Params { origin: vec3<u32>, n: u32, most: f32 }

@group(0) @binding(0) var<storage, read_write> stats: array<f32>; // see stats.go
@group(0) @binding(1) var<storage, read> partials: array<f32>;    // (n)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn clip_scale(@builtin(local_invocation_id) local: vec3<u32>) {
	var sum = 0.0;
	for (var i = local.x; i < params.n; i += 64u) { sum += partials[i]; }
	sum = tree_sum(local.x, sum);
	if (local.x != 0u) { return; }
	// In integers: with fast arithmetic, compilers assume that no NaN exists.
	if ((bitcast<u32>(sum) & 0x7f800000u) == 0x7f800000u) {
		stats[1] = sum;
		stats[2] = 0.0;
		return;
	}
	let norm = sqrt(sum);
	stats[1] = norm;
	stats[2] = 1.0;
	if (params.most > 0.0) { stats[2] = min(1.0, params.most / (norm + 1e-6)); }
}
