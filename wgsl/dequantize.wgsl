// out = q * scale, by groups of 64 along the rows. One invocation per eight.

struct Params { origin: vec3<u32>, n: u32, columns: u32, stride: u32, scale_stride: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<Eight>; // (rows, columns), n eights
@group(0) @binding(1) var<storage, read> q: array<vec2<u32>>;     // (rows, columns) int8
@group(0) @binding(2) var<storage, read> scales: array<f32>;      // (rows, groups of columns)
@group(0) @binding(3) var<uniform> params: Params;

fn scaled(word: u32, scale: f32) -> vec4<f32> {
	let steps = bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
	return select(vec4<f32>(steps) * scale, vec4<f32>(scale), bitcast<u32>(scale) > 0x7f800000u);
}

@compute @workgroup_size(64, 1, 1)
fn dequantize(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let row = i / params.stride;
	let j = i - row * params.stride;
	let scale = scales[row * params.scale_stride + j / 8u];
	let words = q[i];
	out[i] = pack_eight(unpadded_eight(mat2x4<f32>(scaled(words.x, scale), scaled(words.y, scale)), j, params.columns));
}
