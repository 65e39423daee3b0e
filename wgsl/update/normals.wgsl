// Normal random numbers of a given deviation, (rows, C), by Box and Muller from the words
// that drawn of random.wgsl gives for their places. Logarithm, sine and cosine are sums of
// our own: those of devices may be off by more than a thousandth.

struct Params { origin: vec3<u32>, n: u32, columns: u32, stride: u32, deviation: f32, key: u32, count: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<mat2x4<f32>>; // n eights
@group(0) @binding(1) var<uniform> params: Params;

// logarithm is that of (x + 1) / 2^24, of whole numbers x below 2^24.
fn logarithm(x: vec2<u32>) -> vec2<f32> {
	let bits = bitcast<vec2<u32>>(vec2<f32>(x + vec2<u32>(1u)));
	// The mantissa from sqrt 1/2 to sqrt 2, and the exponent that goes with it.
	let shifted = bits - vec2<u32>(0x3f3504f3u);
	let exponent = vec2<f32>(bitcast<vec2<i32>>(shifted) >> vec2<u32>(23u)) - vec2<f32>(24.0);
	let m = bitcast<vec2<f32>>((shifted & vec2<u32>(0x007fffffu)) + vec2<u32>(0x3f3504f3u));
	let s = (m - vec2<f32>(1.0)) / (m + vec2<f32>(1.0));
	let q = s * s;
	let sum = fma(q, fma(q, fma(q, fma(q, vec2<f32>(0.11111111), vec2<f32>(0.14285715)), vec2<f32>(0.2)), vec2<f32>(0.33333334)), vec2<f32>(1.0));
	return fma(exponent, vec2<f32>(0.6931472), 2.0 * s * sum);
}

// normals_of are four from a counter's words.
fn normals_of(words: vec4<u32>) -> vec4<f32> {
	let radius = sqrt(max(vec2<f32>(), -2.0 * logarithm(words.xy >> vec2<u32>(8u)))) * params.deviation;
	// An angle as quarters of a turn, and what is beyond the nearest one, at most an eighth.
	let turn = words.zw >> vec2<u32>(8u);
	let quarter = (turn + vec2<u32>(0x200000u)) >> vec2<u32>(22u);
	let beyond = vec2<f32>(bitcast<vec2<i32>>(turn - (quarter << vec2<u32>(22u)))) * 3.7450704e-7; // 2 pi / 2^24
	let q = beyond * beyond;
	let s = beyond * fma(q, fma(q, fma(q, vec2<f32>(-1.9841270e-4), vec2<f32>(8.3333333e-3)), vec2<f32>(-0.16666667)), vec2<f32>(1.0));
	let c = fma(q, fma(q, fma(q, fma(q, vec2<f32>(2.4801587e-5), vec2<f32>(-1.3888889e-3)), vec2<f32>(4.1666668e-2)), vec2<f32>(-0.5)), vec2<f32>(1.0));
	let odd = (quarter & vec2<u32>(1u)) == vec2<u32>(1u);
	let half_turn = (quarter & vec2<u32>(2u)) == vec2<u32>(2u);
	let a = select(c, -s, odd);
	let b = select(s, c, odd);
	let x = radius * select(a, -a, half_turn);
	let y = radius * select(b, -b, half_turn);
	return vec4<f32>(x.x, y.x, x.y, y.y);
}

@compute @workgroup_size(64, 1, 1)
fn normals(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let x = mat2x4<f32>(normals_of(drawn(2u * i, params.key, params.count)), normals_of(drawn(2u * i + 1u, params.key, params.count)));
	let at = vec4<u32>(0u, 1u, 2u, 3u) + 8u * (i % params.stride);
	let columns = vec4<u32>(params.columns);
	out[i] = mat2x4<f32>(select(vec4<f32>(), x[0], at < columns), select(vec4<f32>(), x[1], at + 4u < columns));
}
