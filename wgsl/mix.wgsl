// out = wa * a + wb * b. With wb = 0, b is not read; if then wa = 1, a is rounded
// to out's type and nothing else, as float arithmetic may flush or quiet values.

struct Params { origin: vec3<u32>, n: u32, wa: f32, wb: f32 }

@group(0) @binding(0) var<storage, read_write> out: array<Eight>; // n eights
@group(0) @binding(1) var<storage, read> a: array<mat2x4<f32>>;   // n eights
@group(0) @binding(2) var<storage, read> b: array<mat2x4<f32>>;   // n eights
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn mix(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	if (params.wb == 0.0 && params.wa == 1.0) {
		out[i] = pack_eight(a[i]);
		return;
	}
	var value = a[i] * params.wa;
	if (params.wb != 0.0) { value += b[i] * params.wb; }
	out[i] = pack_eight(value);
}
