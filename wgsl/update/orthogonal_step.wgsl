// Takes from every row of x after one of them what lies along that one, by modified
// Gram-Schmidt. A workgroup takes a row. What is left of a row that is next to nothing beside
// it stays: it points somewhere, and a second time makes it orthogonal.

struct Params { origin: vec3<u32>, rows: u32, stride: u32, row: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // (rows, C)
@group(0) @binding(1) var<uniform> params: Params;                  // stride in vectors of four

@compute @workgroup_size(64, 1, 1)
fn orthogonal_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = params.row + 1u + group.x + params.origin.x;
	let first = params.row * params.stride;
	let own = row * params.stride;
	var squares = 0.0;
	var product = 0.0;
	if (row < params.rows) {
		for (var j = local.x; j < params.stride; j += 64u) {
			let a = x[first + j];
			squares += dot(a, a);
			product += dot(a, x[own + j]);
		}
	}
	squares = tree_sum(local.x, squares);
	product = tree_sum(local.x, product);
	if (row >= params.rows || squares == 0.0) { return; }
	let share = product / squares;
	for (var j = local.x; j < params.stride; j += 64u) { x[own + j] -= share * x[first + j]; }
}
