// A counter-based generator, put before the kernels that draw: pcg4d (Jarzynski and Olano
// 2020, Hash Functions for GPU Rendering). What it gives follows from its argument alone, so
// nothing is stored, and a step that is run again draws the same.

fn drawn(counter: u32, key: u32, count: u32) -> vec4<u32> {
	var v = vec4<u32>(counter, key, count, 0x9e3779b9u) * vec4<u32>(1664525u) + vec4<u32>(1013904223u);
	v.x += v.y * v.w;
	v.y += v.z * v.x;
	v.z += v.x * v.y;
	v.w += v.y * v.z;
	v ^= v >> vec4<u32>(16u);
	v.x += v.y * v.w;
	v.y += v.z * v.x;
	v.z += v.x * v.y;
	v.w += v.y * v.z;
	return v;
}

// stochastic rounds the bits of four floats to bf16, up by as much chance as they lie above
// the lower one, of 2^16 parts; draws are below 2^16. NaNs stay NaNs.
fn stochastic(bits: vec4<u32>, draws: vec4<u32>) -> vec4<u32> {
	return select((bits + draws) >> vec4<u32>(16u), (bits >> vec4<u32>(16u)) | vec4<u32>(0x40u), (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}

// stochastic_eight rounds eight floats to four words, by the draws of the eight's number.
fn stochastic_eight(x: mat2x4<f32>, eight: u32, key: u32, count: u32) -> vec4<u32> {
	let draws = drawn(eight, key, count);
	let a = stochastic(bitcast<vec4<u32>>(x[0]), draws & vec4<u32>(0xffffu));
	let b = stochastic(bitcast<vec4<u32>>(x[1]), draws >> vec4<u32>(16u));
	return vec4<u32>(a.x | (a.y << 16u), a.z | (a.w << 16u), b.x | (b.y << 16u), b.z | (b.w << 16u));
}
