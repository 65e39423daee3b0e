// AdamW on masters of 24 bits, the bf16 weight and a signed byte, with moments in a
// byte each. Before it stands how bytes hold moments: companded.wgsl. See adamw.wgsl.
//
// One invocation updates a group of 32 elements, which share the moments' scales. It
// goes over them twice, since what is stored depends on the greatest.

@group(0) @binding(0) var<storage, read_write> weight: array<Eight>;  // n eights
@group(0) @binding(1) var<storage, read_write> low: array<vec2<u32>>; // (groups, 4) of eight i8
@group(0) @binding(2) var<storage, read_write> m: array<vec2<u32>>;   // (groups, 4) of eight i8
@group(0) @binding(3) var<storage, read_write> v: array<vec2<u32>>;   // (groups, 4) of eight u8
@group(0) @binding(4) var<storage, read_write> scales: array<u32>;    // (groups) of two bf16: of m and of v
@group(0) @binding(5) var<storage, read> grad: array<GradEight>;      // n eights
@group(0) @binding(6) var<storage, read> stats: array<f32>;           // see stats.go
@group(0) @binding(7) var<uniform> params: Params;

fn signed_bytes(x: u32) -> vec4<i32> { return bitcast<vec4<i32>>(vec4<u32>(x) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u); }
fn unsigned_bytes(x: u32) -> vec4<u32> { return (vec4<u32>(x) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu); }

fn packed_bytes(x: vec4<i32>) -> u32 {
	let bytes = (bitcast<vec4<u32>>(x) & vec4<u32>(0xffu)) << vec4<u32>(0u, 8u, 16u, 24u);
	return bytes.x | bytes.y | bytes.z | bytes.w;
}

// scale_above is the least bf16 that is not below x: so no code exceeds its range. It
// is 0 where x is not a normal number, whose quotients are not exact.
fn scale_above(x: f32) -> u32 {
	let bits = bitcast<u32>(x);
	return select((bits + 0xffffu) >> 16u, 0u, bits < 0x00800000u);
}

fn scales_of(word: u32) -> vec2<f32> { return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u)); }

// next_moments are those after a gradient, of words of m and v stored with scales.
fn next_moments(m: u32, v: u32, scale: vec2<f32>, grad: vec4<f32>) -> Moments {
	return moments(Moments(decode_m(vec4<f32>(signed_bytes(m)), scale.x), decode_v(vec4<f32>(unsigned_bytes(v)), scale.y)), grad);
}

// updated makes four weights of two words and a word of low, and returns their words and
// the one of low.
fn updated(hi: vec2<u32>, lo: u32, now: Moments) -> vec3<u32> {
	let was = upper_halves(hi) + bitcast<vec4<u32>>(signed_bytes(lo) << vec4<u32>(8u));
	let bits = bitcast<vec4<u32>>(stepped(bitcast<vec4<f32>>(was), now));
	let upper = working_weights(bits);
	// The rest to the nearest multiple of 256 that fits.
	let rest = bitcast<vec4<i32>>(bits - (upper << vec4<u32>(16u)));
	let third = min((rest + vec4<i32>(128)) >> vec4<u32>(8u), vec4<i32>(127));
	return vec3<u32>(halves_of(upper), packed_bytes(third));
}

@compute @workgroup_size(64, 1, 1)
fn adamw_flash8(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	let begin = i * 4u;
	if (begin >= params.n || !finite_norm()) { return; }
	let end = min(begin + 4u, params.n);
	let was = scales_of(scales[i]);
	var most = Moments(vec4<f32>(), vec4<f32>());
	for (var j = begin; j < end; j++) {
		let mj = m[j];
		let vj = v[j];
		let g = unpack_eight_grad(grad[j]);
		let a = next_moments(mj.x, vj.x, was, g[0]);
		let b = next_moments(mj.y, vj.y, was, g[1]);
		most.m = max(most.m, max(abs(a.m), abs(b.m)));
		most.v = max(most.v, max(a.v, b.v));
	}
	let most_m = max(max(most.m.x, most.m.y), max(most.m.z, most.m.w));
	let most_v = max(max(most.v.x, most.v.y), max(most.v.z, most.v.w));
	let word = scale_above(most_m) | (scale_above(range_v(most_v)) << 16u);
	let scale = scales_of(word);
	// No quotients by 0: where the scale is 0, all codes are.
	let divisor = select(scale, vec2<f32>(1.0, 1.0), scale == vec2<f32>(0.0, 0.0));
	scales[i] = word;
	for (var j = begin; j < end; j++) {
		let mj = m[j];
		let vj = v[j];
		let g = unpack_eight_grad(grad[j]);
		let a = next_moments(mj.x, vj.x, was, g[0]);
		let b = next_moments(mj.y, vj.y, was, g[1]);
		let hi = weight[j];
		let lo = low[j];
		let first = updated(hi.xy, lo.x, a);
		let second = updated(hi.zw, lo.y, b);
		weight[j] = vec4<u32>(first.xy, second.xy);
		low[j] = vec2<u32>(first.z, second.z);
		m[j] = vec2<u32>(packed_bytes(vec4<i32>(encode_m(a.m, divisor.x))), packed_bytes(vec4<i32>(encode_m(b.m, divisor.x))));
		v[j] = vec2<u32>(packed_bytes(vec4<i32>(encode_v(a.v, divisor.y))), packed_bytes(vec4<i32>(encode_v(b.v, divisor.y))));
	}
}
