// AdamW on f32 weights; see adamw.wgsl.

@group(0) @binding(0) var<storage, read_write> weight: array<Eight>;  // n eights
@group(0) @binding(1) var<storage, read_write> m: array<mat2x4<f32>>; // n eights
@group(0) @binding(2) var<storage, read_write> v: array<mat2x4<f32>>; // n eights
@group(0) @binding(3) var<storage, read> grad: array<GradEight>;      // n eights
@group(0) @binding(4) var<storage, read> stats: array<f32>;           // see stats.go
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn adamw_f32(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n || !finite_norm()) { return; }
	let g = unpack_eight_grad(grad[i]);
	let mi = m[i];
	let vi = v[i];
	let a = moments(Moments(mi[0], vi[0]), g[0]);
	let b = moments(Moments(mi[1], vi[1]), g[1]);
	let was = unpack_eight(weight[i]);
	weight[i] = pack_eight(mat2x4<f32>(stepped(was[0], a), stepped(was[1], b)));
	m[i] = mat2x4<f32>(a.m, b.m);
	v[i] = mat2x4<f32>(a.v, b.v);
}
