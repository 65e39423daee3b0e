// The losses of cross_entropy_forward.wgsl, and each row of logits turned into
// its gradient: (softmax - onehot(target)) * scale, zeros for a target outside
// the vocabulary. One workgroup per row.

struct Params { origin: vec3<u32>, v: u32, stride: u32, at: u32, scale: f32 }

@group(0) @binding(0) var<storage, read_write> logits: array<f32>; // (rows, V), rows begin every stride elements
@group(0) @binding(1) var<storage, read_write> losses: array<f32>; // (all rows)
@group(0) @binding(2) var<storage, read> targets: array<u32>;      // (all rows)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn cross_entropy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	let begin = row * params.stride;
	let target_id = targets[params.at + row];
	var most = -3.0e38;
	for (var j = local.x; j < params.v; j += 64u) { most = max(most, logits[begin + j]); }
	most = tree_max(local.x, most);
	var sum = 0.0;
	for (var j = local.x; j < params.v; j += 64u) { sum += exp(logits[begin + j] - most); }
	sum = tree_sum(local.x, sum);
	var scale = 0.0;
	if (target_id < params.v) { scale = params.scale; }
	// Each element is read and written by one invocation; the one that owns the
	// target's takes the loss before it overwrites the logit.
	for (var j = local.x; j < params.v; j += 64u) {
		let x = logits[begin + j] - most;
		var y = exp(x) / sum;
		if (j == target_id) {
			losses[params.at + row] = log(sum) - x;
			y -= 1.0;
		}
		logits[begin + j] = y * scale;
	}
	if (local.x == 0u && target_id >= params.v) { losses[params.at + row] = 0.0; }
}
