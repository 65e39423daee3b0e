// out = 0.

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<u32>; // n words
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn zero(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	out[i] = 0u;
}
