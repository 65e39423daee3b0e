// A step of Gram-Schmidt by panels of 16 rows: takes from the rows of x, from one on, what lies along the panel before
// it, whose rows are orthonormal, and makes the first 16 of them orthonormal, which is the next step's panel. A
// workgroup takes 16 rows; the first one goes on with its own by modified Gram-Schmidt, some times over. What is left
// of a row that is next to nothing beside the others stays: it points somewhere, and another time makes it orthogonal.

struct Params { origin: vec3<u32>, rows: u32, stride: u32, first: u32, times: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // (rows, C)
@group(0) @binding(1) var<uniform> params: Params;                  // stride in vectors of four

// In a struct for DX12's compiler, see column_slices.wgsl.
struct Shared { shares: array<vec4<f32>, 64>, parts: array<f32, 128> }
var<workgroup> shared_by: Shared;

// eighth adds up what each eight invocations have.
fn eighth(lane: u32, part: f32) -> f32 {
	shared_by.parts[lane] = part;
	workgroupBarrier();
	var sum = 0.0;
	for (var i = 0u; i < 8u; i++) { sum += shared_by.parts[(lane & 0x78u) + i]; }
	workgroupBarrier(); // before the next use
	return sum;
}

fn eighths(lane: u32, part: vec4<f32>) -> vec4<f32> {
	return vec4<f32>(eighth(lane, part.x), eighth(lane, part.y), eighth(lane, part.z), eighth(lane, part.w));
}

// row is where a row begins; those beyond the end are read as the last one, and not written.
fn row(i: u32) -> u32 { return min(i, max(params.rows, 1u) - 1u) * params.stride; }

@compute @workgroup_size(128, 1, 1)
fn orthogonal_panel(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let lane = local.x;
	let own = params.first + 16u * (group.x + params.origin.x);
	if (params.first > 0u) {
		// Products of 4 rows with 4 of the panel's, of which eight invocations take an eighth each.
		let tile = lane >> 3u;
		let before = params.first - 16u + 4u * (tile & 3u);
		let a = own + 4u * (tile >> 2u);
		let a0 = row(a);
		let a1 = row(a + 1u);
		let a2 = row(a + 2u);
		let a3 = row(a + 3u);
		let b0 = row(before);
		let b1 = row(before + 1u);
		let b2 = row(before + 2u);
		let b3 = row(before + 3u);
		var s0 = vec4<f32>();
		var s1 = vec4<f32>();
		var s2 = vec4<f32>();
		var s3 = vec4<f32>();
		for (var j = lane & 7u; j < params.stride; j += 8u) {
			let u0 = x[a0 + j];
			let u1 = x[a1 + j];
			let u2 = x[a2 + j];
			let u3 = x[a3 + j];
			let v0 = x[b0 + j];
			let v1 = x[b1 + j];
			let v2 = x[b2 + j];
			let v3 = x[b3 + j];
			s0 += vec4<f32>(dot(u0, v0), dot(u1, v0), dot(u2, v0), dot(u3, v0));
			s1 += vec4<f32>(dot(u0, v1), dot(u1, v1), dot(u2, v1), dot(u3, v1));
			s2 += vec4<f32>(dot(u0, v2), dot(u1, v2), dot(u2, v2), dot(u3, v2));
			s3 += vec4<f32>(dot(u0, v3), dot(u1, v3), dot(u2, v3), dot(u3, v3));
		}
		s0 = eighths(lane, s0);
		s1 = eighths(lane, s1);
		s2 = eighths(lane, s2);
		s3 = eighths(lane, s3);
		if ((lane & 7u) == 0u) {
			let at = 16u * (tile & 3u) + (tile >> 2u); // of each of the panel's rows four fours of rows
			shared_by.shares[at] = s0;
			shared_by.shares[at + 4u] = s1;
			shared_by.shares[at + 8u] = s2;
			shared_by.shares[at + 12u] = s3;
		}
		workgroupBarrier();
		// 32 invocations take 4 rows.
		let four = lane >> 5u;
		let c = own + 4u * four;
		let c0 = row(c);
		let c1 = row(c + 1u);
		let c2 = row(c + 2u);
		let c3 = row(c + 3u);
		let panel = row(params.first - 16u);
		for (var j = lane & 31u; j < params.stride; j += 32u) {
			var y0 = x[c0 + j];
			var y1 = x[c1 + j];
			var y2 = x[c2 + j];
			var y3 = x[c3 + j];
			for (var k = 0u; k < 16u; k++) {
				let v = x[panel + k * params.stride + j];
				let s = shared_by.shares[4u * k + four];
				y0 -= s.x * v;
				y1 -= s.y * v;
				y2 -= s.z * v;
				y3 -= s.w * v;
			}
			if (c < params.rows) { x[c0 + j] = y0; }
			if (c + 1u < params.rows) { x[c1 + j] = y1; }
			if (c + 2u < params.rows) { x[c2 + j] = y2; }
			if (c + 3u < params.rows) { x[c3 + j] = y3; }
		}
		storageBarrier();
	}
	// Eight invocations take a row of the next panel.
	let i = lane >> 3u;
	let mine = own + i;
	let times = select(0u, params.times, own == params.first);
	for (var time = 0u; time < times; time++) {
		var squares = 0.0;
		for (var k = 0u; k < 16u; k++) {
			let first = row(own + k);
			var part = 0.0;
			if (i >= k && mine < params.rows) {
				for (var j = lane & 7u; j < params.stride; j += 8u) {
					part += dot(x[first + j], x[mine * params.stride + j]);
				}
			}
			let product = eighth(lane, part);
			if (i == k) { squares = product; }
			if ((lane & 7u) == 0u && i == k) { shared_by.shares[0] = vec4<f32>(product); }
			workgroupBarrier();
			let most = shared_by.shares[0].x;
			if (i > k && mine < params.rows && most > 0.0) {
				let share = product / most;
				for (var j = lane & 7u; j < params.stride; j += 8u) {
					x[mine * params.stride + j] -= share * x[first + j];
				}
			}
			storageBarrier();
			workgroupBarrier();
		}
		if (mine < params.rows && squares > 0.0) {
			let inverse = 1.0 / sqrt(squares);
			for (var j = lane & 7u; j < params.stride; j += 8u) { x[mine * params.stride + j] *= inverse; }
		}
		storageBarrier();
	}
}
