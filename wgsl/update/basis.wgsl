// A basis of singular vectors from rows of y and their squared singular values: those of the
// largest values, each in its place, with the sign that makes its entry of largest magnitude
// positive, of equal ones the first. Out is (kept, C) or, turned, (C, kept); nothing is
// written when the gradients' norm, stats[1], is not finite. A workgroup takes a row of y.

struct Params { origin: vec3<u32>, rows: u32, columns: u32, stride: u32, kept: u32, turned: u32, out_stride: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<f32>; // (kept, C) or (C, kept)
@group(0) @binding(1) var<storage, read> y: array<f32>;         // (rows, C)
@group(0) @binding(2) var<storage, read> squares: array<f32>;   // (rows)
@group(0) @binding(3) var<storage, read> stats: array<f32>;     // see stats.go
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> places: array<u32, 64>;

@compute @workgroup_size(64, 1, 1)
fn basis(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = group.x + params.origin.x;
	var place = 0.0; // exact: rows are fewer than 2^24
	var most = 0.0;
	if (row < params.rows) {
		let own = squares[row];
		for (var i = local.x; i < params.rows; i += 64u) {
			let other = squares[i];
			if (other > own || (other == own && i < row)) { place += 1.0; }
		}
		for (var j = local.x; j < params.columns; j += 64u) { most = max(most, abs(y[row * params.stride + j])); }
	}
	place = tree_sum(local.x, place);
	most = tree_max(local.x, most);
	// The first entry of that magnitude.
	var at = params.columns;
	if (row < params.rows) {
		for (var j = local.x; j < params.columns; j += 64u) {
			if (abs(y[row * params.stride + j]) == most) { at = min(at, j); }
		}
	}
	places[local.x] = at;
	workgroupBarrier();
	if (local.x == 0u) {
		for (var i = 1u; i < 64u; i++) { places[0] = min(places[0], places[i]); }
	}
	workgroupBarrier();
	at = places[0];
	if (row >= params.rows || u32(place) >= params.kept || (bitcast<u32>(stats[1]) & 0x7f800000u) == 0x7f800000u) { return; }
	var sign = 1.0;
	if (at < params.columns && y[row * params.stride + at] < 0.0) { sign = -1.0; }
	for (var j = local.x; j < params.columns; j += 64u) {
		let to = select(u32(place) * params.out_stride + j, j * params.out_stride + u32(place), params.turned != 0u);
		out[to] = sign * y[row * params.stride + j];
	}
}
