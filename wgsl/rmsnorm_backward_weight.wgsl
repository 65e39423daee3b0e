// dweight = [dweight +] column sums of dout * x * rstd. A workgroup is 16 pairs of
// columns by 16 slices of the rows.

struct Params { origin: vec3<u32>, rows: u32, c: u32, stride: u32, accumulate: u32 }

@group(0) @binding(0) var<storage, read_write> dweight: array<GradPair>; // (C)
@group(0) @binding(1) var<storage, read> dout: array<Pair>;              // (rows, C)
@group(0) @binding(2) var<storage, read> x: array<Pair>;                 // (rows, C)
@group(0) @binding(3) var<storage, read> rstd: array<f32>;               // (rows)
@group(0) @binding(4) var<uniform> params: Params;

// In a struct, since DX12's compiler then takes a third of the time: it is slow at the
// zeros that workgroup memory begins with, of which it writes four at once in a struct.
struct Slices { sums: array<vec2<f32>, 256> }
var<workgroup> slices: Slices;

@compute @workgroup_size(16, 16, 1)
fn rmsnorm_backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let j = (group.x + params.origin.x) * 16u + local.x;
	var sum = vec2<f32>(0.0, 0.0);
	if (j < params.stride) {
		for (var row = local.y; row < params.rows; row += 16u) {
			let at = row * params.stride + j;
			sum += unpack(dout[at]) * unpack(x[at]) * rstd[row];
		}
	}
	slices.sums[local.y * 16u + local.x] = sum;
	workgroupBarrier();
	if (j < params.stride && local.y == 0u) {
		for (var i = 1u; i < 16u; i++) { sum += slices.sums[i * 16u + local.x]; }
		if (params.accumulate != 0u) { sum += unpack_grad(dweight[j]); }
		dweight[j] = pack_grad(unpadded(sum, j, params.c));
	}
}
