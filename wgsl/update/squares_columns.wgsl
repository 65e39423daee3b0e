// The sums of squares of each column of x over 64 rows at a time: row c of out holds those
// of rows 64 c to 64 c + 63. An invocation takes an eight of columns.

struct Params { origin: vec3<u32>, n: u32, rows: u32, stride: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<mat2x4<f32>>; // (ceil(rows/64), C)
@group(0) @binding(1) var<storage, read> x: array<GradEight>;           // (rows, C)
@group(0) @binding(2) var<uniform> params: Params;                      // n: eights of out

@compute @workgroup_size(64, 1, 1)
fn squares_columns(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let chunk = i / params.stride;
	let j = i - chunk * params.stride;
	let end = min(params.rows, chunk * 64u + 64u);
	var a = vec4<f32>();
	var b = vec4<f32>();
	for (var row = chunk * 64u; row < end; row++) {
		let v = unpack_eight_grad(x[row * params.stride + j]);
		a += v[0] * v[0];
		b += v[1] * v[1];
	}
	out[i] = mat2x4<f32>(a, b);
}
