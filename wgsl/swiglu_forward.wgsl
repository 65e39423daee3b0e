// out = silu(gate) * up, element by element; silu(x) = x / (1 + exp(-x)).

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<Pair>; // (rows, F), n pairs
@group(0) @binding(1) var<storage, read> gate: array<Pair>;      // (rows, F)
@group(0) @binding(2) var<storage, read> up: array<Pair>;        // (rows, F)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn swiglu_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let g = unpack(gate[i]);
	out[i] = pack(g / (1.0 + exp(-g)) * unpack(up[i]));
}
