// dweight = [dweight +] column sums of dout * x * rstd. A workgroup is 8 eights of
// columns by 8 slices of the rows.

struct Params { origin: vec3<u32>, rows: u32, c: u32, stride: u32, accumulate: u32 }

@group(0) @binding(0) var<storage, read_write> dweight: array<GradEight>; // (C)
@group(0) @binding(1) var<storage, read> dout: array<Eight>;              // (rows, C)
@group(0) @binding(2) var<storage, read> x: array<Eight>;                 // (rows, C)
@group(0) @binding(3) var<storage, read> rstd: array<f32>;                // (rows)
@group(0) @binding(4) var<uniform> params: Params;

// In a struct, since DX12's compiler then takes a third of the time: it is slow at the
// zeros that workgroup memory begins with, of which it writes four at once in a struct.
struct Slices { sums: array<vec4<f32>, 128> }
var<workgroup> slices: Slices;

@compute @workgroup_size(8, 8, 1)
fn rmsnorm_backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let j = (group.x + params.origin.x) * 8u + local.x;
	var a = vec4<f32>();
	var b = vec4<f32>();
	if (j < params.stride) {
		for (var row = local.y; row < params.rows; row += 8u) {
			let at = row * params.stride + j;
			let d = unpack_eight(dout[at]);
			let v = unpack_eight(x[at]);
			let s = rstd[row];
			a += d[0] * v[0] * s;
			b += d[1] * v[1] * s;
		}
	}
	let own = (local.y * 8u + local.x) * 2u;
	slices.sums[own] = a;
	slices.sums[own + 1u] = b;
	workgroupBarrier();
	if (j < params.stride && local.y == 0u) {
		for (var i = own + 16u; i < 128u; i += 16u) {
			a += slices.sums[i];
			b += slices.sums[i + 1u];
		}
		var sum = mat2x4<f32>(a, b);
		if (params.accumulate != 0u) { sum += unpack_eight_grad(dweight[j]); }
		dweight[j] = pack_eight_grad(unpadded_eight(sum, j, params.c));
	}
}
