// dweight = [dweight +] the sum over heads of sums. One invocation has an eight.

struct Params { origin: vec3<u32>, each: u32, heads: u32, accumulate: u32 }

@group(0) @binding(0) var<storage, read_write> dweight: array<GradEight>; // (D), each eights
@group(0) @binding(1) var<storage, read> sums: array<mat2x4<f32>>;        // (H D)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn head_norm_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let j = (group.x + params.origin.x) * 64u + local.x;
	if (j >= params.each) { return; }
	var sum = mat2x4<f32>();
	for (var head = 0u; head < params.heads; head++) { sum += sums[head * params.each + j]; }
	if (params.accumulate != 0u) { sum += unpack_eight_grad(dweight[j]); }
	dweight[j] = pack_eight_grad(sum);
}
