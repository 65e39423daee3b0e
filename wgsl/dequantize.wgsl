// out = q * scale, by groups of 64 along the rows. One invocation per word of q.

struct Params { origin: vec3<u32>, n: u32, columns: u32, stride: u32, scale_stride: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<Pair>; // (rows, columns)
@group(0) @binding(1) var<storage, read> q: array<u32>;          // (rows, columns) int8
@group(0) @binding(2) var<storage, read> scales: array<f32>;     // (rows, groups of columns)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn dequantize(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let row = i / params.stride;
	let j = i % params.stride;
	let scale = scales[row * params.scale_stride + j / 16u];
	let word = q[i];
	let steps = vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(word << 24u, word << 16u, word << 8u, word)) >> vec4<u32>(24u));
	var v = steps * scale;
	if (bitcast<u32>(scale) > 0x7f800000u) { v = vec4<f32>(scale); }
	out[2u * i] = pack(unpadded(v.xy, 2u * j, params.columns));
	out[2u * i + 1u] = pack(unpadded(v.zw, 2u * j + 1u, params.columns));
}
