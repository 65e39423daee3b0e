// The column sums of dout * x * rstd, where every head of a row has an rstd of its own:
// what head_norm_sum.wgsl adds over the heads. Heads are whole eights. See column_slices.wgsl.

struct Params { origin: vec3<u32>, rows: u32, stride: u32, each: u32, heads: u32 }

@group(0) @binding(0) var<storage, read_write> sums: array<mat2x4<f32>>; // (H D), each eights a head
@group(0) @binding(1) var<storage, read> dout: array<Eight>;             // (rows, H D)
@group(0) @binding(2) var<storage, read> x: array<Eight>;                // (rows, H D)
@group(0) @binding(3) var<storage, read> rstd: array<f32>;               // (rows H)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(8, 8, 1)
fn head_norm_backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let j = (group.x + params.origin.x) * 8u + local.x;
	let head = j / params.each;
	var a = vec4<f32>();
	var b = vec4<f32>();
	if (j < params.stride) {
		for (var row = local.y; row < params.rows; row += 8u) {
			let at = row * params.stride + j;
			let d = unpack_eight(dout[at]);
			let v = unpack_eight(x[at]);
			let s = rstd[row * params.heads + head];
			a += d[0] * v[0] * s;
			b += d[1] * v[1] * s;
		}
	}
	let all = over_slices(local, a, b);
	if (j < params.stride && local.y == 0u) { sums[j] = all; }
}
