// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) with the gradient clipped
// by stats[2]: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
// weight -= lr * (m / correction1 / (sqrt(v / correction2) + eps) + decay * weight).
// Writes nothing when the gradients' norm, stats[1], is not finite.

struct Params { origin: vec3<u32>, n: u32, lr: f32, beta1: f32, beta2: f32, eps: f32, decay: f32, correction1: f32, correction2: f32 }

@group(0) @binding(0) var<storage, read_write> weight: array<f32>; // (n)
@group(0) @binding(1) var<storage, read_write> m: array<f32>;      // (n)
@group(0) @binding(2) var<storage, read_write> v: array<f32>;      // (n)
@group(0) @binding(3) var<storage, read> grad: array<f32>;         // (n)
@group(0) @binding(4) var<storage, read> stats: array<f32>;        // see stats.go
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn adamw_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n || (bitcast<u32>(stats[1]) & 0x7f800000u) == 0x7f800000u) { return; }
	let g = grad[i] * stats[2];
	let first = params.beta1 * m[i] + (1.0 - params.beta1) * g;
	let second = params.beta2 * v[i] + (1.0 - params.beta2) * g * g;
	m[i] = first;
	v[i] = second;
	let step = first / params.correction1 / (sqrt(second / params.correction2) + params.eps);
	weight[i] -= params.lr * (step + params.decay * weight[i]);
}
