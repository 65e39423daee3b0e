// The products of rows with those that Gram-Schmidt made of them, a triangle: takes away what rounding left below x's
// diagonal, divides it by the root of the squares' sum, and gives it a diagonal that is not zero. Where a row lay in
// those before it, what is next to nothing, 1e-14, stands for it, so that it has a direction of its own. A workgroup
// takes a row.

struct Params { origin: vec3<u32>, rows: u32, stride: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // (rows, rows)
@group(0) @binding(1) var<storage, read> squares: array<f32>; // (rows)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn triangle(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	var sum = 0.0;
	for (var i = local.x; i < params.rows; i += 64u) { sum += squares[i]; }
	sum = tree_sum(local.x, sum);
	if (row >= params.rows) { return; }
	let inverse = select(1.0, 1.0 / sqrt(sum), sum > 0.0);
	for (var j = local.x; j < params.rows; j += 64u) {
		var v = x[row * params.stride + j] * inverse;
		if (j < row) { v = 0.0; }
		if (j == row && abs(v) < 1e-14) { v = select(1e-14, -1e-14, v < 0.0); }
		x[row * params.stride + j] = v;
	}
}
