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

// With p and delta as in attention_backward_query.wgsl.tmpl, over the queries i >= j:
// dv_j = sum of p_ij dout_i, dk_j = scale sum of p_ij (dout_i v_j - delta_i) q_i.
// An invocation, of 2 keys, sums over the query heads of their group too, so
// that the gradients are rounded once. All of a workgroup read the same query, from its
// first key's on. The text is a Go template, see attention_forward.wgsl.tmpl.
// The queries end with the last document of the workgroup's keys; bounds are delta's, see
// attention_backward_query.wgsl.tmpl.

struct Params { origin: vec3<u32>, t: u32, heads: u32, kv: u32, q_stride: u32, k_stride: u32, stat_stride: u32, scale: f32, batch: u32, bounds: u32 }

@group(0) @binding(0) var<storage, read_write> dk: array<vec4<f32>>; // (B T, K D)
@group(0) @binding(1) var<storage, read_write> dv: array<vec4<f32>>; // (B T, K D)
@group(0) @binding(2) var<storage, read> dout: array<vec4<f32>>; // (B T, H D)
@group(0) @binding(3) var<storage, read> q: array<vec4<f32>>; // (B T, H D)
@group(0) @binding(4) var<storage, read> k: array<vec4<f32>>; // (B T, K D)
@group(0) @binding(5) var<storage, read> v: array<vec4<f32>>; // (B T, K D)
@group(0) @binding(6) var<storage, read> lse: array<f32>; // (B, H, T)
@group(0) @binding(7) var<storage, read> delta: array<f32>; // (B H + 2 B, T)
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(32, 1, 1)
fn attention_backward_key_value(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let first = (group.x + params.origin.x) * 64u;
	let j = first + local.x * 2u;
	let n = group.y + params.origin.y;
	let b = group.z + params.origin.z;
	let t = params.t;
	let rows = b * t;
	// Keys past the end repeat the last; they are not stored.
	let row0 = (rows + min(j + 0u, t - 1u)) * params.k_stride + n * 2u;
	let k0_0 = k[row0 + 0u] * params.scale;
	let v0_0 = v[row0 + 0u];
	var x0_0 = vec4<f32>(0.0);
	var y0_0 = vec4<f32>(0.0);
	let k0_1 = k[row0 + 1u] * params.scale;
	let v0_1 = v[row0 + 1u];
	var x0_1 = vec4<f32>(0.0);
	var y0_1 = vec4<f32>(0.0);
	let row1 = (rows + min(j + 1u, t - 1u)) * params.k_stride + n * 2u;
	let k1_0 = k[row1 + 0u] * params.scale;
	let v1_0 = v[row1 + 0u];
	var x1_0 = vec4<f32>(0.0);
	var y1_0 = vec4<f32>(0.0);
	let k1_1 = k[row1 + 1u] * params.scale;
	let v1_1 = v[row1 + 1u];
	var x1_1 = vec4<f32>(0.0);
	var y1_1 = vec4<f32>(0.0);
	let members = params.heads / params.kv;
	let queries = rows * params.q_stride + n * members * 2u;
	let stats = (b * params.heads + n * members) * params.stat_stride;
	let ends = params.bounds + (params.batch + b) * params.stat_stride;
	let queries0 = u32(delta[ends + min(j + 0u, t - 1u)]) - (j + 0u);
	let queries1 = u32(delta[ends + min(j + 1u, t - 1u)]) - (j + 1u);
	let last = u32(delta[ends + min(first + 64u, t) - 1u]);
	// The members' queries in one loop, since old Mesa counts the iterations of nested
	// loops together.
	var member = select(members, 0u, j < t);
	var i = first;
	while (member < members) {
		let at = queries + i * params.q_stride + member * 2u;
		let stat = stats + member * params.stat_stride + i;
		var s0 = 0.0;
		var dp0 = 0.0;
		var s1 = 0.0;
		var dp1 = 0.0;
		let q0 = q[at + 0u];
		let g0 = dout[at + 0u];
		s0 = fma(q0.x, k0_0.x, s0);
		dp0 = fma(g0.x, v0_0.x, dp0);
		s1 = fma(q0.x, k1_0.x, s1);
		dp1 = fma(g0.x, v1_0.x, dp1);
		s0 = fma(q0.y, k0_0.y, s0);
		dp0 = fma(g0.y, v0_0.y, dp0);
		s1 = fma(q0.y, k1_0.y, s1);
		dp1 = fma(g0.y, v1_0.y, dp1);
		s0 = fma(q0.z, k0_0.z, s0);
		dp0 = fma(g0.z, v0_0.z, dp0);
		s1 = fma(q0.z, k1_0.z, s1);
		dp1 = fma(g0.z, v1_0.z, dp1);
		s0 = fma(q0.w, k0_0.w, s0);
		dp0 = fma(g0.w, v0_0.w, dp0);
		s1 = fma(q0.w, k1_0.w, s1);
		dp1 = fma(g0.w, v1_0.w, dp1);
		let q1 = q[at + 1u];
		let g1 = dout[at + 1u];
		s0 = fma(q1.x, k0_1.x, s0);
		dp0 = fma(g1.x, v0_1.x, dp0);
		s1 = fma(q1.x, k1_1.x, s1);
		dp1 = fma(g1.x, v1_1.x, dp1);
		s0 = fma(q1.y, k0_1.y, s0);
		dp0 = fma(g1.y, v0_1.y, dp0);
		s1 = fma(q1.y, k1_1.y, s1);
		dp1 = fma(g1.y, v1_1.y, dp1);
		s0 = fma(q1.z, k0_1.z, s0);
		dp0 = fma(g1.z, v0_1.z, dp0);
		s1 = fma(q1.z, k1_1.z, s1);
		dp1 = fma(g1.z, v1_1.z, dp1);
		s0 = fma(q1.w, k0_1.w, s0);
		dp0 = fma(g1.w, v0_1.w, dp0);
		s1 = fma(q1.w, k1_1.w, s1);
		dp1 = fma(g1.w, v1_1.w, dp1);
		let l = lse[stat];
		let product = delta[stat];
		let p0 = select(0.0, exp(s0 - l), i - (j + 0u) < queries0);
		let ds0 = p0 * (dp0 - product) * params.scale;
		let p1 = select(0.0, exp(s1 - l), i - (j + 1u) < queries1);
		let ds1 = p1 * (dp1 - product) * params.scale;
		x0_0 = fma(vec4<f32>(ds0), q0, x0_0);
		y0_0 = fma(vec4<f32>(p0), g0, y0_0);
		x1_0 = fma(vec4<f32>(ds1), q0, x1_0);
		y1_0 = fma(vec4<f32>(p1), g0, y1_0);
		x0_1 = fma(vec4<f32>(ds0), q1, x0_1);
		y0_1 = fma(vec4<f32>(p0), g1, y0_1);
		x1_1 = fma(vec4<f32>(ds1), q1, x1_1);
		y1_1 = fma(vec4<f32>(p1), g1, y1_1);
		i++;
		if (i == last) {
			member++;
			i = first;
		}
	}
	if (j + 0u < t) {
		dk[row0 + 0u] = x0_0;
		dv[row0 + 0u] = y0_0;
		dk[row0 + 1u] = x0_1;
		dv[row0 + 1u] = y0_1;
		if (n + 1u == params.kv && params.kv * 2u + 0u < params.k_stride) { dk[row0 + 2u] = vec4<f32>(0.0); dv[row0 + 2u] = vec4<f32>(0.0); }
	}
	if (j + 1u < t) {
		dk[row1 + 0u] = x1_0;
		dv[row1 + 0u] = y1_0;
		dk[row1 + 1u] = x1_1;
		dv[row1 + 1u] = y1_1;
		if (n + 1u == params.kv && params.kv * 2u + 0u < params.k_stride) { dk[row1 + 2u] = vec4<f32>(0.0); dv[row1 + 2u] = vec4<f32>(0.0); }
	}
}
