// Rotary position embedding in place, Hugging Face's rotate-half: elements i and
// i + D/2 of a head in a row at position p turn by p theta^(-2i/D) (Su et al. 2021,
// arXiv 2104.09864). sign 1 turns forward, -1 back. width is D/2.
//
// Of an even width, one invocation turns a pair of elements and the pair that lies
// width further. Of an odd width the latter are halves of two pairs, and a head is
// one invocation's.

struct Params { origin: vec3<u32>, n: u32, t: u32, heads: u32, width: u32, sign: f32, stride: u32, tables: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<Pair>; // (rows, heads D)
@group(0) @binding(1) var<storage, read> cosine: array<f32>;   // (T, D/2), rows begin every tables elements
@group(0) @binding(2) var<storage, read> sine: array<f32>;     // (T, D/2)
@group(0) @binding(3) var<uniform> params: Params;

fn element(at: u32) -> f32 {
	let v = unpack(x[at / 2u]);
	return select(v.x, v.y, at % 2u == 1u);
}

fn set_element(at: u32, value: f32) {
	var v = unpack(x[at / 2u]);
	if (at % 2u == 1u) { v.y = value; } else { v.x = value; }
	x[at / 2u] = pack(v);
}

@compute @workgroup_size(64, 1, 1)
fn rope(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let invocation = (group.x + params.origin.x) * 64u + local.x;
	if (invocation >= params.n) { return; }
	let even = params.width % 2u == 0u;
	var each = 1u; // invocations of a head
	if (even) { each = params.width / 2u; }
	let head = invocation / each; // row * heads + head
	let row = head / params.heads;
	let begin = row * params.stride + (head - row * params.heads) * params.width; // in pairs
	let angles = row % params.t * params.tables;
	if (even) {
		let i = invocation - head * each;
		let angle = angles + i * 2u;
		let c = vec2<f32>(cosine[angle], cosine[angle + 1u]);
		let s = vec2<f32>(sine[angle], sine[angle + 1u]) * params.sign;
		let a = unpack(x[begin + i]);
		let b = unpack(x[begin + i + each]);
		x[begin + i] = pack(a * c - b * s);
		x[begin + i + each] = pack(b * c + a * s);
		return;
	}
	for (var i = 0u; i < params.width; i++) {
		let c = cosine[angles + i];
		let s = sine[angles + i] * params.sign;
		let at = begin * 2u + i;
		let a = element(at);
		let b = element(at + params.width);
		set_element(at, a * c - b * s);
		set_element(at + params.width, b * c + a * s);
	}
}
