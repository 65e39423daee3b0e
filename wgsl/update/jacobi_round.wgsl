// A round of one-sided Jacobi (Hestenes 1958): pairs of rows of x are turned until they are
// orthogonal, and those of y with them, so that in the end the rows of x are orthogonal and y
// is turned as x is. Pairs of a round have no row in common; they are a round robin's: of an
// even number of players, the last one stays, and the others move on by one in each round. A
// workgroup takes a pair.

struct Params { origin: vec3<u32>, rows: u32, players: u32, round: u32, x_stride: u32, y_stride: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // (rows, C)
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>; // (rows, D)
@group(0) @binding(2) var<uniform> params: Params;                  // strides in vectors of four

@compute @workgroup_size(64, 1, 1)
fn jacobi_round(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let pair = group.x + params.origin.x;
	let others = max(params.players, 2u) - 1u;
	var a = (params.round + pair) % others;
	var b = (params.round + others - pair % others) % others;
	if (pair == 0u) { b = others; }
	let first = min(a, b);
	let second = max(a, b);
	let both = 2u * pair < params.players && second < params.rows && first < second;
	let p = first * params.x_stride;
	let q = second * params.x_stride;
	var alpha = 0.0;
	var beta = 0.0;
	var gamma = 0.0;
	if (both) {
		for (var j = local.x; j < params.x_stride; j += 64u) {
			let u = x[p + j];
			let v = x[q + j];
			alpha += dot(u, u);
			beta += dot(v, v);
			gamma += dot(u, v);
		}
	}
	alpha = tree_sum(local.x, alpha);
	beta = tree_sum(local.x, beta);
	gamma = tree_sum(local.x, gamma);
	// Next to orthogonal is enough.
	if (!both || abs(gamma) <= 1e-7 * sqrt(alpha) * sqrt(beta)) { return; }
	let zeta = (beta - alpha) / (2.0 * gamma);
	// A square that overflows would be the same.
	let t = select(-1.0, 1.0, zeta >= 0.0) / (abs(zeta) + sqrt(1.0 + min(zeta * zeta, 1e30)));
	let c = 1.0 / sqrt(1.0 + t * t);
	let s = c * t;
	for (var j = local.x; j < params.x_stride; j += 64u) {
		let u = x[p + j];
		let v = x[q + j];
		x[p + j] = c * u - s * v;
		x[q + j] = s * u + c * v;
	}
	let m = first * params.y_stride;
	let n = second * params.y_stride;
	for (var j = local.x; j < params.y_stride; j += 64u) {
		let u = y[m + j];
		let v = y[n + j];
		y[m + j] = c * u - s * v;
		y[n + j] = s * u + c * v;
	}
}
