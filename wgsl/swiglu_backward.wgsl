// With s = sigmoid(gate): dup = dout * gate * s,
// dgate = dout * up * s * (1 + gate * (1 - s)).

struct Params { origin: vec3<u32>, n: u32 }

@group(0) @binding(0) var<storage, read_write> dgate: array<f32>; // (rows, F)
@group(0) @binding(1) var<storage, read_write> dup: array<f32>;   // (rows, F)
@group(0) @binding(2) var<storage, read> dout: array<f32>;        // (rows, F)
@group(0) @binding(3) var<storage, read> gate: array<f32>;        // (rows, F)
@group(0) @binding(4) var<storage, read> up: array<f32>;          // (rows, F)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn swiglu_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let g = gate[i];
	let s = 1.0 / (1.0 + exp(-g));
	dup[i] = dout[i] * g * s;
	dgate[i] = dout[i] * up[i] * s * (1.0 + g * (1.0 - s));
}
