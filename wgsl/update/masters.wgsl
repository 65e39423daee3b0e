// What kernels that update parameters share, put before each: masters as the states keep
// them, and whether anything may be written.

fn finite_norm() -> bool { return (bitcast<u32>(stats[1]) & 0x7f800000u) != 0x7f800000u; }

// working_weights rounds the bits of masters to bf16, ties away from zero: then the
// rest fits 16 bits with a sign. NaNs stay NaNs.
fn working_weights(bits: vec4<u32>) -> vec4<u32> {
	return select((bits + 0x8000u) >> vec4<u32>(16u), (bits >> vec4<u32>(16u)) | vec4<u32>(0x40u), (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}

// halves_of puts the lower halves of four words into two.
fn halves_of(x: vec4<u32>) -> vec2<u32> { return (x.xz & vec2<u32>(0xffffu)) | (x.yw << vec2<u32>(16u)); }

// upper_halves moves the halves of two words to the upper ones of four.
fn upper_halves(x: vec2<u32>) -> vec4<u32> { return (x.xxyy << vec4<u32>(16u, 0u, 16u, 0u)) & vec4<u32>(0xffff0000u); }

// joined is the masters of two words of weights and two of the rest.
fn joined(hi: vec2<u32>, lo: vec2<u32>) -> vec4<f32> {
	return bitcast<vec4<f32>>(upper_halves(hi) + bitcast<vec4<u32>>(bitcast<vec4<i32>>(upper_halves(lo)) >> vec4<u32>(16u)));
}
