// AdamW on masters in two planes: the bf16 weight and what the master's bits are
// beyond it, a signed 16-bit number. See adamw.wgsl.

@group(0) @binding(0) var<storage, read_write> weight: array<Eight>;  // n eights
@group(0) @binding(1) var<storage, read_write> low: array<vec4<u32>>; // n eights of i16
@group(0) @binding(2) var<storage, read_write> m: array<mat2x4<f32>>; // n eights
@group(0) @binding(3) var<storage, read_write> v: array<mat2x4<f32>>; // n eights
@group(0) @binding(4) var<storage, read> grad: array<GradEight>;      // n eights
@group(0) @binding(5) var<storage, read> stats: array<f32>;           // see stats.go
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn adamw_split(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n || !finite_norm()) { return; }
	let g = unpack_eight_grad(grad[i]);
	let mi = m[i];
	let vi = v[i];
	let a = moments(Moments(mi[0], vi[0]), g[0]);
	let b = moments(Moments(mi[1], vi[1]), g[1]);
	let hi = weight[i];
	let lo = low[i];
	let first = bitcast<vec4<u32>>(stepped(joined(hi.xy, lo.xy), a));
	let second = bitcast<vec4<u32>>(stepped(joined(hi.zw, lo.zw), b));
	weight[i] = vec4<u32>(halves_of(working_weights(first)), halves_of(working_weights(second)));
	// What is left in the lower halves, modulo 2^16, is the rest.
	low[i] = vec4<u32>(halves_of(first), halves_of(second));
	m[i] = mat2x4<f32>(a.m, b.m);
	v[i] = mat2x4<f32>(a.v, b.v);
}
