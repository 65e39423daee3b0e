// out[i] = weight[ids[i]]; a row of zeros for an id outside the vocabulary.

struct Params { origin: vec3<u32>, n: u32, c: u32, v: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<f32>; // (rows, C), n elements
@group(0) @binding(1) var<storage, read> weight: array<f32>;    // (V, C)
@group(0) @binding(2) var<storage, read> ids: array<u32>;       // (rows)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn embed_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let row = i / params.c;
	let id = ids[row];
	var value = 0.0;
	if (id < params.v) { value = weight[id * params.c + (i - row * params.c)]; }
	out[i] = value;
}
