// out += bias, row by row. One invocation has an eight.

struct Params { origin: vec3<u32>, n: u32, stride: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<Eight>; // (rows, C), n eights
@group(0) @binding(1) var<storage, read> bias: array<Eight>;      // (C)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn bias_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	out[i] = pack_eight(unpack_eight(out[i]) + unpack_eight(bias[i % params.stride]));
}
