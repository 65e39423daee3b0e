// out = [out +] the sum of slices, in their order: a product's, whose k was split.

struct Params { origin: vec3<u32>, n: u32, slices: u32, accumulate: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<GradPair>;  // n pairs
@group(0) @binding(1) var<storage, read> partials: array<vec2<f32>>; // (slices, n pairs)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn sum_slices(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	var sum = vec2<f32>(0.0, 0.0);
	if (params.accumulate == 1u) { sum = unpack_grad(out[i]); }
	for (var z = 0u; z < params.slices; z++) { sum += partials[z * params.n + i]; }
	out[i] = pack_grad(sum);
}
