// What the kernels of AdamW share, put before each: one step (Loshchilov and Hutter
// 2019, arXiv 1711.05101) with the gradient clipped by stats[2]:
// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
// weight -= lr * (m / correction1 / (sqrt(v / correction2) + eps) + decay * weight).
// They write nothing when the gradients' norm, stats[1], is not finite.
//
// One invocation updates eight elements or more, four at a time. Products are fused with
// sums here, explicitly, so that a compiler cannot fuse them in one kernel and not in
// another: kernels that differ in their storage alone agree bit for bit.

struct Params { origin: vec3<u32>, n: u32, lr: f32, beta1: f32, beta2: f32, eps: f32, decay: f32, correction1: f32, correction2: f32 }

struct Moments { m: vec4<f32>, v: vec4<f32> }

fn finite_norm() -> bool { return (bitcast<u32>(stats[1]) & 0x7f800000u) != 0x7f800000u; }

fn moments(was: Moments, grad: vec4<f32>) -> Moments {
	let g = grad * stats[2];
	return Moments(
		fma(vec4<f32>(params.beta1), was.m, (1.0 - params.beta1) * g),
		fma(vec4<f32>(params.beta2), was.v, (1.0 - params.beta2) * g * g),
	);
}

fn stepped(weight: vec4<f32>, now: Moments) -> vec4<f32> {
	let step = now.m / params.correction1 / (sqrt(now.v / params.correction2) + params.eps);
	return fma(vec4<f32>(-params.lr), fma(vec4<f32>(params.decay), weight, step), weight);
}

// working_weights rounds the bits of masters to bf16, ties away from zero: then the
// rest fits 16 bits with a sign. NaNs stay NaNs.
fn working_weights(bits: vec4<u32>) -> vec4<u32> {
	return select((bits + 0x8000u) >> vec4<u32>(16u), (bits >> vec4<u32>(16u)) | vec4<u32>(0x40u), (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}

// halves_of puts the lower halves of four words into two.
fn halves_of(x: vec4<u32>) -> vec2<u32> { return (x.xz & vec2<u32>(0xffffu)) | (x.yw << vec2<u32>(16u)); }

// upper_halves moves the halves of two words to the upper ones of four.
fn upper_halves(x: vec2<u32>) -> vec4<u32> { return (x.xxyy << vec4<u32>(16u, 0u, 16u, 0u)) & vec4<u32>(0xffff0000u); }
