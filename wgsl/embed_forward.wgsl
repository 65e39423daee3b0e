// out[i] = weight[ids[i] - first], for the ids of the vocabulary rows first to
// first + V - 1. The call for the first rows gives zeros for all other ids, which
// later calls overwrite if they are in their rows.

struct Params { origin: vec3<u32>, n: u32, stride: u32, first: u32, v: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<Eight>; // (rows, C), n eights
@group(0) @binding(1) var<storage, read> weight: array<Eight>;    // (V, C)
@group(0) @binding(2) var<storage, read> ids: array<u32>;         // (rows)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn embed_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let row = i / params.stride;
	let id = ids[row] - params.first; // wraps to V or more for the ids below first
	if (id < params.v) {
		out[i] = weight[id * params.stride + (i - row * params.stride)];
	} else if (params.first == 0u) {
		out[i] = pack_eight(mat2x4<f32>());
	}
}
