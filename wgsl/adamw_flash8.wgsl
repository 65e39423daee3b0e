// AdamW on masters of 24 bits, the bf16 weight and a signed byte, with moments in a
// byte each. Before it stands how bytes hold moments: companded.wgsl. See adamw.wgsl.
//
// One invocation updates a group of 32 elements, which share the moments' scales. It
// goes over them twice, since what is stored depends on the greatest.

@group(0) @binding(0) var<storage, read_write> weight: array<Pair>; // n pairs
@group(0) @binding(1) var<storage, read_write> low: array<u32>;     // (groups, 8) of four i8
@group(0) @binding(2) var<storage, read_write> m: array<u32>;       // (groups, 8) of four i8
@group(0) @binding(3) var<storage, read_write> v: array<u32>;       // (groups, 8) of four u8
@group(0) @binding(4) var<storage, read_write> scales: array<u32>;  // (groups) of two bf16: of m and of v
@group(0) @binding(5) var<storage, read> grad: array<GradPair>;     // n pairs
@group(0) @binding(6) var<storage, read> stats: array<f32>;         // see stats.go
@group(0) @binding(7) var<uniform> params: Params;

// signed_bytes are the lower two bytes of x, unsigned_bytes without a sign.
fn signed_bytes(x: u32) -> vec2<i32> { return bitcast<vec2<i32>>(vec2<u32>(x << 24u, x << 16u)) >> vec2<u32>(24u, 24u); }
fn unsigned_bytes(x: u32) -> vec2<u32> { return vec2<u32>(x & 0xffu, (x >> 8u) & 0xffu); }

fn packed_bytes(x: vec2<i32>) -> u32 { return (bitcast<u32>(x.x) & 0xffu) | ((bitcast<u32>(x.y) & 0xffu) << 8u); }

// scale_above is the least bf16 that is not below x: so no code exceeds its range. It
// is 0 where x is not a normal number, whose quotients are not exact.
fn scale_above(x: f32) -> u32 {
	let bits = bitcast<u32>(x);
	return select((bits + 0xffffu) >> 16u, 0u, bits < 0x00800000u);
}

fn scales_of(word: u32) -> vec2<f32> { return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u)); }

// next_moments are those of pair j, stored with scales.
fn next_moments(j: u32, scale: vec2<f32>) -> Moments {
	let side = 16u * (j & 1u);
	let was = Moments(
		decode_m(vec2<f32>(signed_bytes(m[j / 2u] >> side)), scale.x),
		decode_v(vec2<f32>(unsigned_bytes(v[j / 2u] >> side)), scale.y),
	);
	return moments(was, unpack_grad(grad[j]));
}

// updated makes pair j's weight and returns its bytes of low, m and v.
fn updated(j: u32, was: vec2<f32>, scale: vec2<f32>) -> vec3<u32> {
	let now = next_moments(j, was);
	let hi = vec2<u32>(weight[j] << 16u, weight[j] & 0xffff0000u);
	let lo = signed_bytes(low[j / 2u] >> (16u * (j & 1u))) << vec2<u32>(8u, 8u);
	let bits = bitcast<vec2<u32>>(stepped(bitcast<vec2<f32>>(hi + bitcast<vec2<u32>>(lo)), now));
	let upper = working_weights(bits);
	weight[j] = upper.x | (upper.y << 16u);
	// The rest to the nearest multiple of 256 that fits.
	let rest = bitcast<vec2<i32>>(bits - (upper << vec2<u32>(16u, 16u)));
	let third = min((rest + vec2<i32>(128, 128)) >> vec2<u32>(8u, 8u), vec2<i32>(127, 127));
	// No quotients by 0: where the scale is 0, all codes are.
	let divisor = select(scale, vec2<f32>(1.0, 1.0), scale == vec2<f32>(0.0, 0.0));
	return vec3<u32>(
		packed_bytes(third),
		packed_bytes(vec2<i32>(encode_m(now.m, divisor.x))),
		packed_bytes(vec2<i32>(encode_v(now.v, divisor.y))),
	);
}

@compute @workgroup_size(64, 1, 1)
fn adamw_flash8(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	let begin = i * 16u;
	if (begin >= params.n || !finite_norm()) { return; }
	let end = min(begin + 16u, params.n); // n is a multiple of 4: rows are padded
	let was = scales_of(scales[i]);
	var most = Moments(vec2<f32>(0.0, 0.0), vec2<f32>(0.0, 0.0));
	for (var j = begin; j < end; j++) {
		let now = next_moments(j, was);
		most.m = max(most.m, abs(now.m));
		most.v = max(most.v, now.v);
	}
	let word = scale_above(max(most.m.x, most.m.y)) | (scale_above(range_v(max(most.v.x, most.v.y))) << 16u);
	let scale = scales_of(word);
	scales[i] = word;
	for (var j = begin; j < end; j += 2u) {
		let first = updated(j, was, scale);
		let bytes = first | (updated(j + 1u, was, scale) << vec3<u32>(16u, 16u, 16u));
		low[j / 2u] = bytes.x;
		m[j / 2u] = bytes.y;
		v[j / 2u] = bytes.z;
	}
}
