// AdamW on masters in two planes: the bf16 weight and what the master's bits are
// beyond it, a signed 16-bit number. See adamw.wgsl.

@group(0) @binding(0) var<storage, read_write> weight: array<Pair>; // n pairs
@group(0) @binding(1) var<storage, read_write> low: array<u32>;     // n pairs of i16
@group(0) @binding(2) var<storage, read_write> m: array<vec2<f32>>; // n pairs
@group(0) @binding(3) var<storage, read_write> v: array<vec2<f32>>; // n pairs
@group(0) @binding(4) var<storage, read> grad: array<GradPair>;     // n pairs
@group(0) @binding(5) var<storage, read> stats: array<f32>;         // see stats.go
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn adamw_split(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n || !finite_norm()) { return; }
	let now = moments(Moments(m[i], v[i]), unpack_grad(grad[i]));
	let lo = bitcast<i32>(low[i]);
	let was = vec2<u32>(
		(weight[i] << 16u) + bitcast<u32>((lo << 16u) >> 16u),
		(weight[i] & 0xffff0000u) + bitcast<u32>(lo >> 16u),
	);
	let bits = bitcast<vec2<u32>>(stepped(bitcast<vec2<f32>>(was), now));
	let hi = working_weights(bits);
	let rest = bits - (hi << vec2<u32>(16u, 16u));
	weight[i] = hi.x | (hi.y << 16u);
	low[i] = (rest.x & 0xffffu) | (rest.y << 16u);
	m[i] = now.m;
	v[i] = now.v;
}
