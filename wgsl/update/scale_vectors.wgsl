// x times factors, in place: by is 1 for one of all elements, 2 for one of each row, 3 for one
// of each column.

struct Params { origin: vec3<u32>, n: u32, stride: u32, by: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<mat2x4<f32>>; // n eights
@group(0) @binding(1) var<storage, read> factors: array<f32>;         // as many as by says
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn scale_vectors(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let row = i / params.stride;
	if (params.by == 3u) {
		let j = (i - row * params.stride) * 8u;
		let a = vec4<f32>(factors[j], factors[j + 1u], factors[j + 2u], factors[j + 3u]);
		let b = vec4<f32>(factors[j + 4u], factors[j + 5u], factors[j + 6u], factors[j + 7u]);
		x[i] = mat2x4<f32>(x[i][0] * a, x[i][1] * b);
		return;
	}
	x[i] = x[i] * factors[select(0u, row, params.by == 2u)];
}
