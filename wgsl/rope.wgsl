// Rotary position embedding in place, Hugging Face's rotate-half: the pair
// (i, i + D/2) of a row at position p turns by p theta^(-2i/D) (Su et al. 2021,
// arXiv 2104.09864). sign 1 turns forward, -1 back. width is D/2.
// One invocation per pair.

struct Params { origin: vec3<u32>, pairs: u32, t: u32, heads: u32, width: u32, sign: f32 }

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // (rows, heads, D)
@group(0) @binding(1) var<storage, read> cosine: array<f32>;  // (T, D/2)
@group(0) @binding(2) var<storage, read> sine: array<f32>;    // (T, D/2)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn rope(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let pair = (group.x + params.origin.x) * 64u + local.x;
	if (pair >= params.pairs) { return; }
	let head = pair / params.width; // row * heads + head
	let i = pair - head * params.width;
	let angle = head / params.heads % params.t * params.width + i;
	let c = cosine[angle];
	let s = sine[angle] * params.sign;
	let at = head * params.width * 2u + i;
	let a = x[at];
	let b = x[at + params.width];
	x[at] = a * c - b * s;
	x[at + params.width] = b * c + a * s;
}
