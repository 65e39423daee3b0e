// What the kernels of AdamW share, put before each: one step (Loshchilov and Hutter
// 2019, arXiv 1711.05101) with the gradient clipped by stats[2]:
// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
// weight -= lr * (m / correction1 / (sqrt(v / correction2) + eps) + decay * weight).
// They write nothing when the gradients' norm, stats[1], is not finite.
//
// One invocation updates one pair of elements or more. Products are fused with sums
// here, explicitly, so that a compiler cannot fuse them in one kernel and not in
// another: kernels that differ in their storage alone agree bit for bit.

struct Params { origin: vec3<u32>, n: u32, lr: f32, beta1: f32, beta2: f32, eps: f32, decay: f32, correction1: f32, correction2: f32 }

struct Moments { m: vec2<f32>, v: vec2<f32> }

fn finite_norm() -> bool { return (bitcast<u32>(stats[1]) & 0x7f800000u) != 0x7f800000u; }

fn moments(was: Moments, grad: vec2<f32>) -> Moments {
	let g = grad * stats[2];
	return Moments(
		fma(vec2<f32>(params.beta1), was.m, (1.0 - params.beta1) * g),
		fma(vec2<f32>(params.beta2), was.v, (1.0 - params.beta2) * g * g),
	);
}

fn stepped(weight: vec2<f32>, now: Moments) -> vec2<f32> {
	let step = now.m / params.correction1 / (sqrt(now.v / params.correction2) + params.eps);
	return fma(vec2<f32>(-params.lr), fma(vec2<f32>(params.decay), weight, step), weight);
}

// working_weight rounds the bits of a master to bf16, ties away from zero: then the
// rest fits 16 bits with a sign. NaNs stay NaNs.
fn working_weight(bits: u32) -> u32 {
	if ((bits & 0x7fffffffu) > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
	return (bits + 0x8000u) >> 16u;
}

fn working_weights(bits: vec2<u32>) -> vec2<u32> { return vec2<u32>(working_weight(bits.x), working_weight(bits.y)); }
