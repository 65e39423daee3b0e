// stats[1] = sqrt(stats[3]): the norm of all gradients that release_scale saw, or
// as it is if it is not finite.

struct Params { origin: vec3<u32>, }

@group(0) @binding(0) var<storage, read_write> stats: array<f32>; // see stats.go
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(1, 1, 1)
fn release_norm() {
	let squares = stats[3];
	stats[1] = squares;
	if ((bitcast<u32>(squares) & 0x7f800000u) != 0x7f800000u) { stats[1] = sqrt(squares); }
}
