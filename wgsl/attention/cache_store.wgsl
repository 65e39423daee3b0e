// Rows of k and v go to their places in a cache, rows of padding and all. An
// invocation copies an eight of both.

struct Params { origin: vec3<u32>, rows: u32, stride: u32 }

@group(0) @binding(0) var<storage, read_write> keys: array<Eight>;   // (P, K D)
@group(0) @binding(1) var<storage, read_write> values: array<Eight>; // (P, K D)
@group(0) @binding(2) var<storage, read> k: array<Eight>;            // (R, K D)
@group(0) @binding(3) var<storage, read> v: array<Eight>;            // (R, K D)
@group(0) @binding(4) var<storage, read> places: array<u32>;         // (2, R)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn cache_store(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.rows * params.stride) { return; }
	let row = i / params.stride;
	let to = places[params.rows + row] * params.stride + (i - row * params.stride);
	keys[to] = k[i];
	values[to] = v[i];
}
