// losses[at + i] = log(sum of exp(logits_i)) - logits_i[target], 0 for a target
// outside the vocabulary. One workgroup per row.

struct Params { origin: vec3<u32>, v: u32, stride: u32, at: u32 }

@group(0) @binding(0) var<storage, read_write> losses: array<f32>; // (all rows)
@group(0) @binding(1) var<storage, read> logits: array<f32>;       // (rows, V), rows begin every stride elements
@group(0) @binding(2) var<storage, read> targets: array<u32>;      // (all rows)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn cross_entropy_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	let begin = row * params.stride;
	var most = -3.0e38;
	for (var j = local.x; j < params.v; j += 64u) { most = max(most, logits[begin + j]); }
	most = tree_max(local.x, most);
	var sum = 0.0;
	for (var j = local.x; j < params.v; j += 64u) { sum += exp(logits[begin + j] - most); }
	sum = tree_sum(local.x, sum);
	if (local.x == 0u) {
		let target_id = targets[params.at + row];
		var loss = 0.0;
		if (target_id < params.v) { loss = log(sum) + (most - logits[begin + target_id]); }
		losses[params.at + row] = loss;
	}
}
