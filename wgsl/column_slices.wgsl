// Column sums of a workgroup of 8 eights of columns by 8 slices of the rows.

// In a struct, since DX12's compiler then takes a third of the time: it is slow at the
// zeros that workgroup memory begins with, of which it writes four at once in a struct.
struct Slices { sums: array<vec4<f32>, 128> }
var<workgroup> slices: Slices;

// over_slices adds an eight's sums a, b of all slices: the result is that of slice 0 alone.
fn over_slices(local: vec3<u32>, a: vec4<f32>, b: vec4<f32>) -> mat2x4<f32> {
	let own = (local.y * 8u + local.x) * 2u;
	slices.sums[own] = a;
	slices.sums[own + 1u] = b;
	workgroupBarrier();
	var first = a;
	var second = b;
	if (local.y == 0u) {
		for (var i = own + 16u; i < 128u; i += 16u) {
			first += slices.sums[i];
			second += slices.sums[i + 1u];
		}
	}
	return mat2x4<f32>(first, second);
}
