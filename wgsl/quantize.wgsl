// q = x / scale, rounded half away from zero, scale = the largest magnitude of each
// group of 64 / 127, rounded to 16 significant bits (see ref.Quantize). One
// invocation per group. Comparisons alone decide, and what they compare is
// exact, so that q does not depend on how a device divides.

struct Params { origin: vec3<u32>, groups: u32, columns: u32, stride: u32, scale_stride: u32 }

@group(0) @binding(0) var<storage, read_write> q: array<u32>;      // (rows, columns) int8
@group(0) @binding(1) var<storage, read_write> scales: array<f32>; // (rows, groups of columns)
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;      // (rows, columns)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn quantize(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.groups) { return; }
	let row = i / params.scale_stride;
	let first = i % params.scale_stride * 16u; // of the row's vec4s
	let at = row * params.stride + first;
	let count = min(16u, max(params.stride, first) - first);
	var bits = vec4<u32>(0u);
	for (var j = 0u; j < count; j++) {
		bits = max(bits, bitcast<vec4<u32>>(x[at + j]) & vec4<u32>(0x7fffffffu));
	}
	let most = max(max(bits.x, bits.y), max(bits.z, bits.w));
	var scale = 0u;
	if (most >= 0x7f800000u) {
		scale = 0x7fc00000u;
	} else if (most >= 0x04800000u) {
		scale = (bitcast<u32>(bitcast<f32>(most) * 0.007874015748031496) + 0x80u) & 0xffffff00u;
	}
	scales[i] = bitcast<f32>(scale);
	let filled = scale != 0u && scale < 0x7f800000u;
	for (var j = 0u; j < count; j++) {
		var word = 0u;
		if (filled) {
			let s = bitcast<f32>(scale);
			let v = x[at + j];
			let a = abs(v);
			var n = round(a / s); // or a neighbour
			n = select(n, n + 1.0, a >= (n + 0.5) * s);
			n = select(n, n - 1.0, a < (n - 0.5) * s);
			let bytes = bitcast<vec4<u32>>(vec4<i32>(min(n, vec4<f32>(127.0)) * sign(v))) & vec4<u32>(0xffu);
			word = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
		}
		q[at + j] = word;
	}
}
