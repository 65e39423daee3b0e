// AdamW on f32 weights; see adamw.wgsl.

@group(0) @binding(0) var<storage, read_write> weight: array<Pair>;      // n pairs
@group(0) @binding(1) var<storage, read_write> m: array<vec2<f32>>;      // n pairs
@group(0) @binding(2) var<storage, read_write> v: array<vec2<f32>>;      // n pairs
@group(0) @binding(3) var<storage, read> grad: array<GradPair>;          // n pairs
@group(0) @binding(4) var<storage, read> stats: array<f32>;              // see stats.go
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn adamw_f32(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n || !finite_norm()) { return; }
	let now = moments(Moments(m[i], v[i]), unpack_grad(grad[i]));
	weight[i] = pack(stepped(unpack(weight[i]), now));
	m[i] = now.m;
	v[i] = now.v;
}
