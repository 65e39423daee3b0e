// The losses of cross_entropy_forward.wgsl, and each row of logits turned into
// its gradient: (softmax - onehot(target)) * scale, zeros for a target outside
// the vocabulary. One workgroup per row; see softmax.wgsl.

struct Params { origin: vec3<u32>, v: u32, stride: u32, at: u32, scale: f32 }

@group(0) @binding(0) var<storage, read_write> logits: array<mat2x4<f32>>; // (rows, V), rows begin every stride eights
@group(0) @binding(1) var<storage, read_write> losses: array<f32>;         // (all rows)
@group(0) @binding(2) var<storage, read> targets: array<u32>;              // (all rows)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn cross_entropy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	let begin = row * params.stride;
	let all = softmax(local.x, begin, params.v);
	let target_id = targets[params.at + row];
	let counts = target_id < params.v;
	let scale = select(0.0, params.scale, counts);
	// Each eight is read and written by one invocation; the one that owns the target's
	// takes the loss before it overwrites the logit.
	let eight = target_id / 8u;
	let owns = counts && walks(local.x, params.v, eight);
	if (owns) {
		let x = at_column(target_id, eight, logits[begin + eight], mat2x4<f32>());
		let logit = dot(x[0] + x[1], vec4<f32>(1.0));
		losses[params.at + row] = log(all.sum) + (all.most - logit);
	}
	let share = scale / all.sum;
	let own = walk(local.x, params.v);
	for (var j = own.x; j < own.y; j += 8u) {
		let x = logits[begin + j];
		let at = columns(j);
		logits[begin + j] = mat2x4<f32>(
			select(vec4<f32>(), exp(x[0] - all.most) * share, at < vec4<u32>(params.v)),
			select(vec4<f32>(), exp(x[1] - all.most) * share, at + 4u < vec4<u32>(params.v)),
		);
	}
	if (owns) {
		let y = logits[begin + eight];
		let less = mat2x4<f32>(y[0] - scale, y[1] - scale);
		logits[begin + eight] = at_column(target_id, eight, less, y);
	}
	if (local.x == 0u && !counts) { losses[params.at + row] = 0.0; }
}
