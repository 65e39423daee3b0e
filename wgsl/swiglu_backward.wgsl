// With s = sigmoid(gate): dup = dout * gate * s,
// dgate = dout * up * s * (1 + gate * (1 - s)).

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> dgate: array<Pair>; // (rows, F), n pairs
@group(0) @binding(1) var<storage, read_write> dup: array<Pair>;   // (rows, F)
@group(0) @binding(2) var<storage, read> dout: array<Pair>;        // (rows, F)
@group(0) @binding(3) var<storage, read> gate: array<Pair>;        // (rows, F)
@group(0) @binding(4) var<storage, read> up: array<Pair>;          // (rows, F)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn swiglu_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let d = unpack(dout[i]);
	let g = unpack(gate[i]);
	let s = 1.0 / (1.0 + exp(-g));
	dup[i] = pack(d * g * s);
	dgate[i] = pack(d * unpack(up[i]) * s * (1.0 + g * (1.0 - s)));
}
