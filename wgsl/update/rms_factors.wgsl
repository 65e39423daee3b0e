// What brings vectors to a root mean square of 1: factors = c / max(c sqrt(factors / count),
// 1e-8) of n sums of squares, in place, where c is what gradients are clipped by, stats[2],
// or 1. The floor is SCALE's (OptimAI-Lab/Minimalist_LLM_Pretraining f5bd4e7).

struct Params { origin: vec3<u32>, n: u32, count: f32, clip: u32 }

@group(0) @binding(0) var<storage, read_write> factors: array<f32>; // (n)
@group(0) @binding(1) var<storage, read> stats: array<f32>;         // see stats.go
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn rms_factors(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let c = select(1.0, stats[2], params.clip != 0u);
	factors[i] = c / max(c * sqrt(factors[i] / params.count), 1e-8);
}
