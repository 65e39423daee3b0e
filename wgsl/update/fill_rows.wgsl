// Random numbers beside what is in rows of x, which are of length 1 or zeros: next to nothing, 2^-24 of a row's length,
// or all of it where there are zeros. So a row that lies in others, all but the rounding, which may lie there, too, still
// points out of them. A workgroup takes a row.

struct Params { origin: vec3<u32>, rows: u32, columns: u32, stride: u32, key: u32, count: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // (rows, C)
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn fill_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	var most = 0.0;
	if (row < params.rows) {
		for (var j = local.x; j < params.columns; j += 64u) { most = max(most, abs(x[row * params.stride + j])); }
	}
	most = tree_max(local.x, most);
	if (row >= params.rows) { return; }
	let share = select(1.0, 0x1p-24, most > 0.0) * sqrt(3.0 / f32(params.columns));
	for (var j = local.x; j < params.columns; j += 64u) {
		// A sum of four uniform numbers is near enough to a normal one here; its variance is a third.
		let four = vec4<f32>(drawn(row * params.columns + j, params.key, params.count) >> vec4<u32>(8u)) / 16777216.0;
		x[row * params.stride + j] += share * dot(four - vec4<f32>(0.5), vec4<f32>(1.0));
	}
}
