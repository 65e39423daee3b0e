// Adam's moments of a projected gradient clipped by stats[2], and the direction that they
// give: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, out = m / (sqrt v + eps). The bias
// correction is in the update's rate, so epsilon stands outside of it. Nothing is written to m
// and v when the gradients' norm, stats[1], is not finite.

struct Params { origin: vec3<u32>, n: u32, beta1: f32, beta2: f32, eps: f32 }

@group(0) @binding(0) var<storage, read_write> m: array<mat2x4<f32>>;   // n eights
@group(0) @binding(1) var<storage, read_write> v: array<mat2x4<f32>>;   // n eights
@group(0) @binding(2) var<storage, read_write> out: array<mat2x4<f32>>; // n eights
@group(0) @binding(3) var<storage, read> grad: array<mat2x4<f32>>;      // n eights
@group(0) @binding(4) var<storage, read> stats: array<f32>;             // see stats.go
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn direction(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n || (bitcast<u32>(stats[1]) & 0x7f800000u) == 0x7f800000u) { return; }
	let g = grad[i] * stats[2];
	let mi = m[i] * params.beta1 + g * (1.0 - params.beta1);
	let squares = mat2x4<f32>(g[0] * g[0], g[1] * g[1]);
	let vi = v[i] * params.beta2 + squares * (1.0 - params.beta2);
	m[i] = mi;
	v[i] = vi;
	out[i] = mat2x4<f32>(mi[0] / (sqrt(vi[0]) + params.eps), mi[1] / (sqrt(vi[1]) + params.eps));
}
