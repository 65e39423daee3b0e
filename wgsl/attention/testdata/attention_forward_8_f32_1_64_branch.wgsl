alias Pair = vec2<f32>;
fn unpack(p: Pair) -> vec2<f32> { return p; }
fn pack(v: vec2<f32>) -> Pair { return v; }
alias Eight = mat2x4<f32>;
fn unpack_eight(e: Eight) -> mat2x4<f32> { return e; }
fn pack_eight(v: mat2x4<f32>) -> Eight { return v; }
alias GradPair = vec2<f32>;
fn unpack_grad(p: GradPair) -> vec2<f32> { return p; }
fn pack_grad(v: vec2<f32>) -> GradPair { return v; }
alias GradEight = mat2x4<f32>;
fn unpack_eight_grad(e: GradEight) -> mat2x4<f32> { return e; }
fn pack_eight_grad(v: mat2x4<f32>) -> GradEight { return v; }
fn unpadded(v: vec2<f32>, j: u32, columns: u32) -> vec2<f32> {
	return select(vec2<f32>(0.0, 0.0), v, vec2<bool>(2u * j < columns, 2u * j + 1u < columns));
}
fn unpadded_eight(v: mat2x4<f32>, j: u32, columns: u32) -> mat2x4<f32> {
	let at = vec4<u32>(0u, 1u, 2u, 3u) + 8u * j;
	return mat2x4<f32>(select(vec4<f32>(), v[0], at < vec4<u32>(columns)), select(vec4<f32>(), v[1], at + 4u < vec4<u32>(columns)));
}

// Causal attention with an online softmax: an invocation has 1 queries, walks the
// keys up to their positions and keeps the running maxima, sums and outputs, so
// that nothing of size T x T exists (Milakov and Gimelshein 2018, arXiv
// 1805.02867; FlashAttention, arXiv 2205.14135).
//
// The text is a Go template: the head size D is a literal and a head's row lives
// in named vec4 variables, which stay in registers where an indexed array would not.
// Bindings count in vec4<f32>s, as do the strides of the padded rows of q and of k.

struct Params { origin: vec3<u32>, t: u32, heads: u32, kv: u32, q_stride: u32, k_stride: u32, stat_stride: u32, scale: f32 }

@group(0) @binding(0) var<storage, read_write> out: array<vec4<f32>>; // (B T, H D)
@group(0) @binding(1) var<storage, read_write> lse: array<f32>; // (B, H, T)
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>; // (B T, H D)
@group(0) @binding(3) var<storage, read> k: array<vec4<f32>>; // (B T, K D)
@group(0) @binding(4) var<storage, read> v: array<vec4<f32>>; // (B T, K D)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn attention_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let first = (group.x + params.origin.x) * 64u;
	let i = first + local.x * 1u;
	let h = group.y + params.origin.y;
	let b = group.z + params.origin.z;
	let t = params.t;
	let rows = b * t;
	let keys = rows * params.k_stride + h / (params.heads / params.kv) * 2u;
	// Queries past the end repeat the last; they are not stored.
	let row0 = (rows + min(i + 0u, t - 1u)) * params.q_stride + h * 2u;
	var most0 = -3.0e38;
	var sum0 = 0.0;
	let q0_0 = q[row0 + 0u] * params.scale;
	var a0_0 = vec4<f32>(0.0);
	let q0_1 = q[row0 + 1u] * params.scale;
	var a0_1 = vec4<f32>(0.0);
	let count = select(0u, min(i + 1u, t), i < t);
	for (var j = 0u; j < count; j++) {
		let at = keys + j * params.k_stride;
		var s0 = 0.0;
		let k0 = k[at + 0u];
		s0 = fma(q0_0.x, k0.x, s0);
		s0 = fma(q0_0.y, k0.y, s0);
		s0 = fma(q0_0.z, k0.z, s0);
		s0 = fma(q0_0.w, k0.w, s0);
		let k1 = k[at + 1u];
		s0 = fma(q0_1.x, k1.x, s0);
		s0 = fma(q0_1.y, k1.y, s0);
		s0 = fma(q0_1.z, k1.z, s0);
		s0 = fma(q0_1.w, k1.w, s0);
		// One exp for both the old sum's factor and the new term: the larger's is 1.
		let higher0 = s0 > most0;
		let x0 = exp(-abs(s0 - most0));
		let c0 = select(1.0, x0, higher0);
		let e0 = select(x0, 1.0, higher0);
		most0 = max(most0, s0);
		sum0 = fma(sum0, c0, e0);
		if (higher0) {
			a0_0 *= c0;
			a0_1 *= c0;
		}
		let v0 = v[at + 0u];
		a0_0 = fma(vec4<f32>(e0), v0, a0_0);
		let v1 = v[at + 1u];
		a0_1 = fma(vec4<f32>(e0), v1, a0_1);
	}
	let stat = (b * params.heads + h) * params.stat_stride + i;
	if (i + 0u < t) {
		lse[stat + 0u] = most0 + log(sum0);
		let o0 = a0_0 / sum0;
		out[row0 + 0u] = o0;
		let o1 = a0_1 / sum0;
		out[row0 + 1u] = o1;
		if (h + 1u == params.heads && params.heads * 2u + 0u < params.q_stride) { out[row0 + 2u] = vec4<f32>(0.0); }
	} else if (i + 0u < params.stat_stride) {
		lse[stat + 0u] = 0.0;
	}
}
