// clip_scale for one parameter of several that are updated one by one: norm from its
// partials alone; stats[3] += norm^2. Once a gradient or the loss, stats[0], is not
// finite, stats[1] and stats[3] are not and stats[2] is 0. One workgroup.

struct Params { origin: vec3<u32>, n: u32, most: f32 }

@group(0) @binding(0) var<storage, read_write> stats: array<f32>; // see stats.go
@group(0) @binding(1) var<storage, read> partials: array<f32>;    // (n)
@group(0) @binding(2) var<uniform> params: Params;

// In integers: with fast arithmetic, compilers assume that no NaN exists.
fn finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }

@compute @workgroup_size(64, 1, 1)
fn release_scale(@builtin(local_invocation_id) local: vec3<u32>) {
	var part = 0.0;
	for (var i = local.x; i < params.n; i += 64u) { part += partials[i]; }
	let sum = tree_sum(local.x, part);
	if (local.x != 0u) { return; }
	if (!finite(sum) || !finite(stats[0]) || !finite(stats[3])) {
		let nan = bitcast<f32>(bitcast<u32>(sum) | 0x7fc00000u);
		stats[1] = nan;
		stats[2] = 0.0;
		stats[3] = nan;
		return;
	}
	let norm = sqrt(sum);
	stats[1] = norm;
	stats[2] = 1.0;
	if (params.most > 0.0) { stats[2] = min(1.0, params.most / (norm + 1e-6)); }
	stats[3] += sum;
}
