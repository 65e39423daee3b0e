// bfloat16 is the upper half of a float: rounded to nearest, ties to even, in
// integers. NaNs stay NaNs (quiet). Two to a word, the lower half first; one
// invocation per word.

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<u32>; // (n) bf16
@group(0) @binding(1) var<storage, read> x: array<u32>;         // (n) f32
@group(0) @binding(2) var<uniform> params: Params;

fn rounded(bits: u32) -> u32 {
	if ((bits & 0x7fffffffu) > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
	return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

@compute @workgroup_size(64, 1, 1)
fn cast_to_bf16(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let word = (group.x + params.origin.x) * 64u + local.x;
	let i = word * 2u;
	if (i >= params.n) { return; }
	var pair = rounded(x[i]);
	if (i + 1u < params.n) { pair |= rounded(x[i + 1u]) << 16u; }
	out[word] = pair;
}
