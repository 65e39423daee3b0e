// By how much an update exceeds its gradient, judged in a projection, and limited in growth:
// APOLLO's factors (zhuhanqing/APOLLO 76b3472) and Fira's (xichen-fy/Fira 5c28b13).
//
// Of sums of squares of rows of a direction N and a projected gradient R, f = ||N|| / (c ||R||
// + 1e-8), for each row or of all of them; c is what gradients are clipped by, stats[2]. They
// scale vectors, whose sums of squares are others, to an update of norm U = ||f c x||. It may
// grow by a hundredth in an update: l = max(U / (norm + 1e-8), 1.01) / 1.01, but for the first
// one; norm becomes U / l. What is written is f c gain / l, and zeros to the end of the padding.
// norm is not, when the gradients' norm, stats[1], is not finite. One workgroup.

struct Params { origin: vec3<u32>, rows: u32, vectors: u32, padded: u32, one: u32, first: u32, gain: f32 }

@group(0) @binding(0) var<storage, read_write> factors: array<f32>; // (vectors), or one
@group(0) @binding(1) var<storage, read_write> norm: array<f32>;    // the last update's
@group(0) @binding(2) var<storage, read> directions: array<f32>;    // (rows) squares of N
@group(0) @binding(3) var<storage, read> projected: array<f32>;     // (rows) squares of R
@group(0) @binding(4) var<storage, read> squares: array<f32>;       // (vectors) squares of x
@group(0) @binding(5) var<storage, read> stats: array<f32>;         // see stats.go
@group(0) @binding(6) var<uniform> params: Params;

fn factor(n: f32, p: f32) -> f32 { return stats[2] * sqrt(n) / fma(stats[2], sqrt(p), 1e-8); }

@compute @workgroup_size(64, 1, 1)
fn limited_factors(@builtin(local_invocation_id) local: vec3<u32>) {
	var f = 0.0; // of all rows
	if (params.one != 0u) {
		var n = 0.0;
		var p = 0.0;
		for (var i = local.x; i < params.rows; i += 64u) {
			n += directions[i];
			p += projected[i];
		}
		n = tree_sum(local.x, n);
		p = tree_sum(local.x, p);
		f = factor(n, p);
	}
	var sum = 0.0;
	for (var i = local.x; i < params.vectors; i += 64u) {
		var own = f;
		if (params.one == 0u) { own = factor(directions[i], projected[i]); }
		let u = own * sqrt(squares[i]);
		sum += u * u;
	}
	let whole = sqrt(tree_sum(local.x, sum));
	var limit = 1.0;
	if (params.first == 0u) { limit = max(whole / (norm[0] + 1e-8), 1.01) / 1.01; }
	workgroupBarrier(); // all have read the norm
	let share = params.gain / limit;
	let count = select(params.vectors, 1u, params.one != 0u);
	for (var i = local.x; i < params.padded; i += 64u) {
		var own = 0.0;
		if (i < count) {
			own = f;
			if (params.one == 0u) { own = factor(directions[i], projected[i]); }
		}
		factors[i] = own * share;
	}
	if (local.x == 0u && (bitcast<u32>(stats[1]) & 0x7f800000u) != 0x7f800000u) { norm[0] = whole / limit; }
}
