// m = beta m + (1 - beta) g of a gradient g clipped by stats[2]. Nothing is written when the
// gradients' norm, stats[1], is not finite.

struct Params { origin: vec3<u32>, n: u32, beta: f32 }

@group(0) @binding(0) var<storage, read_write> m: array<mat2x4<f32>>; // n eights
@group(0) @binding(1) var<storage, read> grad: array<GradEight>;      // n eights
@group(0) @binding(2) var<storage, read> stats: array<f32>;           // see stats.go
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn momentum(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n || (bitcast<u32>(stats[1]) & 0x7f800000u) == 0x7f800000u) { return; }
	let g = unpack_eight_grad(grad[i]);
	let was = m[i];
	let share = (1.0 - params.beta) * stats[2];
	m[i] = mat2x4<f32>(fma(vec4<f32>(params.beta), was[0], share * g[0]), fma(vec4<f32>(params.beta), was[1], share * g[1]));
}
