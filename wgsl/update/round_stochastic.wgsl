// out = x rounded to bf16 at random, up by as much chance as x lies above the lower one; see random.wgsl.

struct Params { origin: vec3<u32>, n: u32, first: u32, key: u32, count: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<Eight>; // n eights
@group(0) @binding(1) var<storage, read> x: array<mat2x4<f32>>;   // n eights
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn round_stochastic(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	out[i] = stochastic_eight(x[i], params.first + i, params.key, params.count);
}
