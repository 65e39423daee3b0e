// rope.wgsl where half a head is an odd number of elements: then its second half shares
// a pair with the first, and a head is one invocation's.

struct Params { origin: vec3<u32>, n: u32, t: u32, q_heads: u32, k_heads: u32, width: u32, sign: f32, q_stride: u32, k_stride: u32, tables: u32 }

@group(0) @binding(0) var<storage, read_write> q: array<Pair>; // (rows, H D), rows begin every q_stride pairs
@group(0) @binding(1) var<storage, read_write> k: array<Pair>; // (rows, K D)
@group(0) @binding(2) var<storage, read> cosine: array<f32>;   // (T, D/2), rows begin every tables elements
@group(0) @binding(3) var<storage, read> sine: array<f32>;     // (T, D/2)
@group(0) @binding(4) var<uniform> params: Params;

fn load(of_k: bool, at: u32) -> vec2<f32> {
	if (of_k) { return unpack(k[at]); }
	return unpack(q[at]);
}

fn element(of_k: bool, at: u32) -> f32 {
	let v = load(of_k, at / 2u);
	return select(v.x, v.y, at % 2u == 1u);
}

fn set_element(of_k: bool, at: u32, value: f32) {
	var v = load(of_k, at / 2u);
	if (at % 2u == 1u) { v.y = value; } else { v.x = value; }
	if (of_k) { k[at / 2u] = pack(v); } else { q[at / 2u] = pack(v); }
}

@compute @workgroup_size(64, 1, 1)
fn rope_odd(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let invocation = (group.x + params.origin.x) * 64u + local.x;
	if (invocation >= params.n) { return; }
	let heads = params.q_heads + params.k_heads;
	let row = invocation / heads;
	let head = invocation - row * heads;
	let of_k = head >= params.q_heads;
	var begin = row * params.q_stride + head * params.width; // in pairs
	if (of_k) { begin = row * params.k_stride + (head - params.q_heads) * params.width; }
	let angles = row % params.t * params.tables;
	for (var i = 0u; i < params.width; i++) {
		let c = cosine[angles + i];
		let s = sine[angles + i] * params.sign;
		let at = begin * 2u + i;
		let a = element(of_k, at);
		let b = element(of_k, at + params.width);
		set_element(of_k, at, a * c - b * s);
		set_element(of_k, at + params.width, b * c + a * s);
	}
}
