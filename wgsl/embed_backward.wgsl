// dweight[tokens[s]] += the sum of dout's rows order[starts[s] .. starts[s+1]-1].
// One workgroup per distinct token s and 64 columns, so that no two write to
// one place; a call takes at most limit rows of each segment, from the first on.

struct Params { origin: vec3<u32>, c: u32, v: u32, first: u32, limit: u32 }

@group(0) @binding(0) var<storage, read_write> dweight: array<f32>; // (V, C)
@group(0) @binding(1) var<storage, read> dout: array<f32>;          // (rows, C)
@group(0) @binding(2) var<storage, read> tokens: array<u32>;        // (segments)
@group(0) @binding(3) var<storage, read> starts: array<u32>;        // (segments + 1)
@group(0) @binding(4) var<storage, read> order: array<u32>;         // (rows)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn embed_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let s = group.y + params.origin.y;
	let j = (group.x + params.origin.x) * 64u + local.x;
	let token = tokens[s];
	if (j >= params.c || token >= params.v) { return; }
	let begin = starts[s] + params.first;
	let end = min(starts[s + 1u], begin + params.limit);
	if (begin >= end) { return; }
	var sum = 0.0;
	for (var i = begin; i < end; i++) { sum += dout[order[i] * params.c + j]; }
	dweight[token * params.c + j] += sum;
}
