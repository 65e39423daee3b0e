// out = silu(gate) * up, element by element; silu(x) = x / (1 + exp(-x)).

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<Eight>; // (rows, F), n eights
@group(0) @binding(1) var<storage, read> gate: array<Eight>;      // (rows, F)
@group(0) @binding(2) var<storage, read> up: array<Eight>;        // (rows, F)
@group(0) @binding(3) var<uniform> params: Params;

fn silu(x: vec4<f32>) -> vec4<f32> { return x / (1.0 + exp(-x)); }

@compute @workgroup_size(64, 1, 1)
fn swiglu_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let g = unpack_eight(gate[i]);
	let u = unpack_eight(up[i]);
	out[i] = pack_eight(mat2x4<f32>(silu(g[0]) * u[0], silu(g[1]) * u[1]));
}
