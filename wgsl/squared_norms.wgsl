// The sum of squares of each 16384 elements of up to seven gradients, one workgroup each:
// one dispatch for many small tensors.
//
// Of each gradient params has the workgroup that begins it, its eights, and the partial
// sum that its first workgroup writes.

struct Params { origin: vec3<u32>, count: u32, grads: array<vec4<u32>, 7> }

@group(0) @binding(0) var<storage, read_write> partials: array<f32>;
@group(0) @binding(1) var<storage, read> grad0: array<GradEight>;
@group(0) @binding(2) var<storage, read> grad1: array<GradEight>;
@group(0) @binding(3) var<storage, read> grad2: array<GradEight>;
@group(0) @binding(4) var<storage, read> grad3: array<GradEight>;
@group(0) @binding(5) var<storage, read> grad4: array<GradEight>;
@group(0) @binding(6) var<storage, read> grad5: array<GradEight>;
@group(0) @binding(7) var<storage, read> grad6: array<GradEight>;
@group(0) @binding(8) var<uniform> params: Params;

fn add_squares(sums: ptr<function, mat2x4<f32>>, e: GradEight) {
	let x = unpack_eight_grad(e);
	(*sums)[0] += x[0] * x[0];
	(*sums)[1] += x[1] * x[1];
}

@compute @workgroup_size(64, 1, 1)
fn squared_norms(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let g = group.x + params.origin.x;
	var which = 0u;
	while (which + 1u < params.count && g >= params.grads[which + 1u].x) { which++; }
	let grad = params.grads[which];
	let part = g - grad.x;
	let begin = part * 2048u + local.x;
	let end = min(grad.y, (part + 1u) * 2048u);
	var sums = mat2x4<f32>();
	switch (which) {
		case 0u: { for (var i = begin; i < end; i += 64u) { add_squares(&sums, grad0[i]); } }
		case 1u: { for (var i = begin; i < end; i += 64u) { add_squares(&sums, grad1[i]); } }
		case 2u: { for (var i = begin; i < end; i += 64u) { add_squares(&sums, grad2[i]); } }
		case 3u: { for (var i = begin; i < end; i += 64u) { add_squares(&sums, grad3[i]); } }
		case 4u: { for (var i = begin; i < end; i += 64u) { add_squares(&sums, grad4[i]); } }
		case 5u: { for (var i = begin; i < end; i += 64u) { add_squares(&sums, grad5[i]); } }
		default: { for (var i = begin; i < end; i += 64u) { add_squares(&sums, grad6[i]); } }
	}
	let total = tree_sum(local.x, dot(sums[0] + sums[1], vec4<f32>(1.0)));
	if (local.x == 0u) { partials[grad.z + part] = total; }
}
