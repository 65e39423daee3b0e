// dbias = [dbias +] column sums of dout. See column_slices.wgsl.

struct Params { origin: vec3<u32>, rows: u32, c: u32, stride: u32, accumulate: u32 }

@group(0) @binding(0) var<storage, read_write> dbias: array<GradEight>; // (C)
@group(0) @binding(1) var<storage, read> dout: array<Eight>;            // (rows, C)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(8, 8, 1)
fn bias_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let j = (group.x + params.origin.x) * 8u + local.x;
	var a = vec4<f32>();
	var b = vec4<f32>();
	if (j < params.stride) {
		for (var row = local.y; row < params.rows; row += 8u) {
			let d = unpack_eight(dout[row * params.stride + j]);
			a += d[0];
			b += d[1];
		}
	}
	var sum = over_slices(local, a, b);
	if (j < params.stride && local.y == 0u) {
		if (params.accumulate != 0u) { sum += unpack_eight_grad(dbias[j]); }
		dbias[j] = pack_eight_grad(unpadded_eight(sum, j, params.c));
	}
}
