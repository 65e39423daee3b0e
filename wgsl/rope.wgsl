// Rotary position embedding in place, Hugging Face's rotate-half: elements i and
// i + D/2 of a head in a row at position p turn by p theta^(-2i/D) (Su et al. 2021,
// arXiv 2104.09864). sign 1 turns forward, -1 back.
//
// A Unit is a Pair or an Eight, of which half a head has each. One invocation turns a
// unit, and the one that lies half a head further, of some heads of a row, which has
// those of q and then those of k. CPUs give it all heads, as the angles then are loaded
// once.

struct Params { origin: vec3<u32>, n: u32, t: u32, q_heads: u32, k_heads: u32, each: u32, sign: f32, q_stride: u32, k_stride: u32, tables: u32, some: u32 }

@group(0) @binding(0) var<storage, read_write> q: array<Unit>;  // (rows, H D), rows begin every q_stride units
@group(0) @binding(1) var<storage, read_write> k: array<Unit>;  // (rows, K D)
@group(0) @binding(2) var<storage, read> cosine: array<Floats>; // (T, D/2), rows begin every tables units
@group(0) @binding(3) var<storage, read> sine: array<Floats>;   // (T, D/2)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn rope(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let invocation = (group.x + params.origin.x) * 64u + local.x;
	if (invocation >= params.n) { return; }
	let heads = params.q_heads + params.k_heads;
	let parts = (heads + params.some - 1u) / params.some;
	let part = invocation / params.each; // row * parts + part
	let i = invocation - part * params.each;
	let row = part / parts;
	let first = (part - row * parts) * params.some;
	let end = min(first + params.some, heads);
	let angle = row % params.t * params.tables + i;
	let c = cosine[angle];
	let s = sine[angle] * params.sign;
	for (var head = first; head < min(end, params.q_heads); head++) {
		let at = row * params.q_stride + head * 2u * params.each + i;
		let a = unpack_unit(q[at]);
		let b = unpack_unit(q[at + params.each]);
		q[at] = pack_unit(times(a, c) - times(b, s));
		q[at + params.each] = pack_unit(times(b, c) + times(a, s));
	}
	for (var head = max(first, params.q_heads); head < end; head++) {
		let at = row * params.k_stride + (head - params.q_heads) * 2u * params.each + i;
		let a = unpack_unit(k[at]);
		let b = unpack_unit(k[at + params.each]);
		k[at] = pack_unit(times(a, c) - times(b, s));
		k[at + params.each] = pack_unit(times(b, c) + times(a, s));
	}
}
