// Rows of x at length 1, but those of zeros. A workgroup takes a row. Twice over, so that
// squares neither vanish nor overflow.

struct Params { origin: vec3<u32>, rows: u32, stride: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // (rows, C)
@group(0) @binding(1) var<uniform> params: Params;                  // stride in vectors of four

@compute @workgroup_size(64, 1, 1)
fn unit_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	let own = row * params.stride;
	var most = 0.0;
	if (row < params.rows) {
		for (var j = local.x; j < params.stride; j += 64u) {
			let a = abs(x[own + j]);
			most = max(most, max(max(a.x, a.y), max(a.z, a.w)));
		}
	}
	most = tree_max(local.x, most);
	var sum = 0.0;
	if (row < params.rows && most > 0.0) {
		for (var j = local.x; j < params.stride; j += 64u) {
			let a = x[own + j] / most;
			sum += dot(a, a);
		}
	}
	sum = tree_sum(local.x, sum);
	if (row >= params.rows || most == 0.0) { return; }
	for (var j = local.x; j < params.stride; j += 64u) { x[own + j] = x[own + j] / most / sqrt(sum); }
}
