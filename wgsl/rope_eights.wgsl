// rope.wgsl where half a head is a multiple of eight elements: one invocation turns an
// eight, and the one that lies half a head further, of some heads of a row. CPUs give it
// all heads, as the angles then are loaded once.

struct Params { origin: vec3<u32>, n: u32, t: u32, heads: u32, each: u32, sign: f32, stride: u32, some: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<Eight>;         // (rows, heads D), rows begin every stride eights
@group(0) @binding(1) var<storage, read> cosine: array<mat2x4<f32>>;    // (T, D/2), which is each eights
@group(0) @binding(2) var<storage, read> sine: array<mat2x4<f32>>;      // (T, D/2)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn rope_eights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let invocation = (group.x + params.origin.x) * 64u + local.x;
	if (invocation >= params.n) { return; }
	let parts = (params.heads + params.some - 1u) / params.some;
	let part = invocation / params.each; // row * parts + part
	let i = invocation - part * params.each;
	let row = part / parts;
	let first = (part - row * parts) * params.some;
	let angle = row % params.t * params.each + i;
	let c = cosine[angle];
	let s = sine[angle] * params.sign;
	for (var head = first; head < min(first + params.some, params.heads); head++) {
		let at = row * params.stride + head * 2u * params.each + i;
		let a = unpack_eight(x[at]);
		let b = unpack_eight(x[at + params.each]);
		x[at] = pack_eight(mat2x4<f32>(a[0] * c[0] - b[0] * s[0], a[1] * c[1] - b[1] * s[1]));
		x[at + params.each] = pack_eight(mat2x4<f32>(b[0] * c[0] + a[0] * s[0], b[1] * c[1] + a[1] * s[1]));
	}
}
