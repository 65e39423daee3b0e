// The floats that bfloat16 values stand for: their bits, then 16 zeros. Two to a
// word, the lower half first; one invocation per word.

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<u32>; // (n) f32
@group(0) @binding(1) var<storage, read> x: array<u32>;         // (n) bf16
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn cast_from_bf16(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let word = (group.x + params.origin.x) * 64u + local.x;
	let i = word * 2u;
	if (i >= params.n) { return; }
	out[i] = x[word] << 16u;
	if (i + 1u < params.n) { out[i + 1u] = x[word] & 0xffff0000u; }
}
