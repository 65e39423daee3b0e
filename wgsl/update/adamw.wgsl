// What the kernels of AdamW share, put before each: one step (Loshchilov and Hutter
// 2019, arXiv 1711.05101) with the gradient clipped by stats[2]:
// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
// weight -= lr * (m / correction1 / (sqrt(v / correction2) + eps) + decay * weight).
// They write nothing when the gradients' norm, stats[1], is not finite.
//
// One invocation updates eight elements or more, four at a time. Products are fused with
// sums here, explicitly, so that a compiler cannot fuse them in one kernel and not in
// another: kernels that differ in their storage alone agree bit for bit.
//
// first is the first eight's number in the whole weight; key and count are what
// adamw_stochastic draws by.

struct Params { origin: vec3<u32>, n: u32, lr: f32, beta1: f32, beta2: f32, eps: f32, decay: f32, correction1: f32, correction2: f32, first: u32, key: u32, count: u32 }

struct Moments { m: vec4<f32>, v: vec4<f32> }

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
