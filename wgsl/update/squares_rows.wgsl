// out = the sum of squares of each row of x. A workgroup takes a row.

struct Params { origin: vec3<u32>, rows: u32, stride: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<f32>; // (rows)
@group(0) @binding(1) var<storage, read> x: array<GradEight>;   // (rows, C)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn squares_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	var sums = vec4<f32>();
	if (row < params.rows) {
		for (var j = local.x; j < params.stride; j += 64u) {
			let v = unpack_eight_grad(x[row * params.stride + j]);
			sums += v[0] * v[0] + v[1] * v[1];
		}
	}
	let total = tree_sum(local.x, dot(sums, vec4<f32>(1.0)));
	if (local.x == 0u && row < params.rows) { out[row] = total; }
}
