// dweight[tokens[s] - first] += the sum of dout's rows order[starts[s] ..
// starts[s+1]-1], for the tokens of the vocabulary rows first to first + V - 1.
// One workgroup per distinct token s and 64 eights of columns, so that no two write
// to one place; a call takes at most limit rows of each segment, after skip.

struct Params { origin: vec3<u32>, stride: u32, first: u32, v: u32, skip: u32, limit: u32 }

@group(0) @binding(0) var<storage, read_write> dweight: array<GradEight>; // (V, C)
@group(0) @binding(1) var<storage, read> dout: array<Eight>;              // (rows, C)
@group(0) @binding(2) var<storage, read> tokens: array<u32>;              // (segments)
@group(0) @binding(3) var<storage, read> starts: array<u32>;              // (segments + 1)
@group(0) @binding(4) var<storage, read> order: array<u32>;               // (rows)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn embed_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let s = group.y + params.origin.y;
	let j = (group.x + params.origin.x) * 64u + local.x;
	let token = tokens[s] - params.first; // wraps to V or more for the tokens below first
	if (j >= params.stride || token >= params.v) { return; }
	let begin = starts[s] + params.skip;
	let end = min(starts[s + 1u], begin + params.limit);
	if (begin >= end) { return; }
	var sum = mat2x4<f32>();
	for (var i = begin; i < end; i++) { sum += unpack_eight(dout[order[i] * params.stride + j]); }
	let at = token * params.stride + j;
	dweight[at] = pack_eight_grad(unpack_eight_grad(dweight[at]) + sum);
}
