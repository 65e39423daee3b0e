// A round of one-sided Jacobi (Hestenes 1958): pairs of rows of x are turned until they are orthogonal, so that in the
// end all are. A workgroup takes a pair of blocks of 16 rows and turns each row of one with each of the other, 16 pairs
// at a time, in round 0 also those within a block. Pairs of blocks of a round have none in common; they are a round
// robin's: of an even number of players, the last one stays, and the others move on by one in each round.

struct Params { origin: vec3<u32>, rows: u32, stride: u32, blocks: u32, round: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // (rows, C)
@group(0) @binding(1) var<uniform> params: Params;                  // stride in vectors of four

// In a struct for DX12's compiler, see column_slices.wgsl.
struct Shared { parts: array<vec4<f32>, 128> }
var<workgroup> shared_by: Shared;

@compute @workgroup_size(128, 1, 1)
fn jacobi_blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let pair = group.x + params.origin.x;
	let others = max(params.blocks, 2u) - 1u;
	let a = (params.round + pair) % others;
	let b = select((params.round + others - pair % others) % others, others, pair == 0u);
	let first = 16u * min(a, b);
	let second = 16u * max(a, b);
	// Eight invocations take a pair of rows.
	let lane = local.x & 7u;
	let i = local.x >> 3u;
	let rounds = select(16u, 31u, params.round == 0u);
	for (var round = 0u; round < rounds; round++) {
		var p = i;
		var q = 16u + ((i + round) & 15u);
		if (params.round == 0u) { // of the 32 rows, again a round robin
			p = (round + i) % 31u;
			q = select((round + 31u - i) % 31u, 31u, i == 0u);
		}
		let low = min(p, q);
		let high = max(p, q);
		p = select(first + low, second + low - 16u, low >= 16u);
		q = select(first + high, second + high - 16u, high >= 16u);
		let both = p < params.rows && q < params.rows;
		p *= params.stride;
		q *= params.stride;
		var products = vec4<f32>();
		if (both) {
			for (var j = lane; j < params.stride; j += 8u) {
				let u = x[p + j];
				let v = x[q + j];
				products += vec4<f32>(dot(u, u), dot(v, v), dot(u, v), 0.0);
			}
		}
		shared_by.parts[local.x] = products;
		workgroupBarrier();
		products = vec4<f32>();
		for (var j = 0u; j < 8u; j++) { products += shared_by.parts[8u * i + j]; }
		let alpha = products.x;
		let beta = products.y;
		let gamma = products.z;
		// Next to orthogonal is enough.
		if (both && abs(gamma) > 1e-7 * sqrt(alpha) * sqrt(beta)) {
			let zeta = (beta - alpha) / (2.0 * gamma);
			// A square that overflows is that of zeta alone.
			let t = select(-1.0, 1.0, zeta >= 0.0) / (abs(zeta) + max(abs(zeta), sqrt(1.0 + min(zeta * zeta, 1e30))));
			let c = 1.0 / sqrt(1.0 + t * t);
			let s = c * t;
			for (var j = lane; j < params.stride; j += 8u) {
				let u = x[p + j];
				let v = x[q + j];
				x[p + j] = c * u - s * v;
				x[q + j] = s * u + c * v;
			}
		}
		storageBarrier();
		workgroupBarrier();
	}
}
