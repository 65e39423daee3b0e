// out = the sum of the rows of x. An invocation takes an eight of columns.

struct Params { origin: vec3<u32>, rows: u32, stride: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<mat2x4<f32>>; // (C)
@group(0) @binding(1) var<storage, read> x: array<mat2x4<f32>>;         // (rows, C)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn sum_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let j = (group.x + params.origin.x) * 64u + local.x;
	if (j >= params.stride) { return; }
	var a = vec4<f32>();
	var b = vec4<f32>();
	for (var row = 0u; row < params.rows; row++) {
		let v = x[row * params.stride + j];
		a += v[0];
		b += v[1];
	}
	out[j] = mat2x4<f32>(a, b);
}
