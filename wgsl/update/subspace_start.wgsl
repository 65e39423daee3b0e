// Where an iteration for a matrix's singular vectors begins: rows of out are those of a basis
// that was found before, (kept, C) or, turned, (C, kept), and zeros after them.

struct Params { origin: vec3<u32>, rows: u32, columns: u32, stride: u32, kept: u32, turned: u32, basis_stride: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<f32>; // (rows, C)
@group(0) @binding(1) var<storage, read> basis: array<f32>;     // (kept, C) or (C, kept)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn subspace_start(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.rows * params.stride) { return; }
	let row = i / params.stride;
	let j = i - row * params.stride;
	var x = 0.0;
	if (row < params.kept && j < params.columns) {
		x = basis[select(row * params.basis_stride + j, j * params.basis_stride + row, params.turned != 0u)];
	}
	out[i] = x;
}
