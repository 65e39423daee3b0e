// losses[at + i] = log(sum of exp(logits_i)) - logits_i[target], 0 for a target
// outside the vocabulary. One workgroup per row; see softmax.wgsl.

struct Params { origin: vec3<u32>, v: u32, stride: u32, at: u32 }

@group(0) @binding(0) var<storage, read_write> losses: array<f32>;   // (all rows)
@group(0) @binding(1) var<storage, read> logits: array<mat2x4<f32>>; // (rows, V), rows begin every stride eights
@group(0) @binding(2) var<storage, read> targets: array<u32>;        // (all rows)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn cross_entropy_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	let begin = row * params.stride;
	let all = softmax(local.x, begin, params.v);
	if (local.x == 0u) {
		let target_id = targets[params.at + row];
		var loss = 0.0;
		if (target_id < params.v) {
			let x = at_column(target_id, target_id / 8u, logits[begin + target_id / 8u], mat2x4<f32>());
			loss = log(all.sum) + (all.most - dot(x[0] + x[1], vec4<f32>(1.0)));
		}
		losses[params.at + row] = loss;
	}
}
