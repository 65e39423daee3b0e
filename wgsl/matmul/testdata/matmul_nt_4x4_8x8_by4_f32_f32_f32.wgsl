fn round_bf16(x: f32) -> u32 {
	let bits = bitcast<u32>(x);
	return select((bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u, (bits >> 16u) | 0x40u, (bits & 0x7fffffffu) > 0x7f800000u);
}
fn round_bf16s(x: vec4<f32>) -> vec4<u32> {
	let bits = bitcast<vec4<u32>>(x);
	let upper = bits >> vec4<u32>(16u);
	return select((bits + 0x7fffu + (upper & vec4<u32>(1u))) >> vec4<u32>(16u), upper | vec4<u32>(0x40u), (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}
alias Out = vec4<f32>;
fn unpack_out(p: Out) -> vec4<f32> { return p; }
alias A = vec4<f32>;
fn unpack_a(p: A) -> vec4<f32> { return p; }
alias B = vec4<f32>;
fn unpack_b(p: B) -> vec4<f32> { return p; }
fn pack_out(v: vec4<f32>) -> Out { return v; }
// out(M,N) = [out +] scale * a b with 4 x 4 outputs per invocation.
// Each matrix is a block of a larger one, from (row, col) on; a row of that one takes
// stride elements, cols rounded up to 8. The padding is zero.

struct Params { origin: vec3<u32>, m: u32, n: u32, k: u32, accumulate: u32, scale: f32, slice: u32, out_row: u32, out_col: u32, out_cols: u32, a_row: u32, a_col: u32, a_cols: u32, b_row: u32, b_col: u32, b_cols: u32, second_k: u32, second_a_row: u32, second_a_col: u32, second_a_cols: u32, second_b_row: u32, second_b_col: u32, second_b_cols: u32 }

@group(0) @binding(0) var<storage, read_write> out: array<Out>; // (M, N)
@group(0) @binding(1) var<storage, read> a: array<A>;        // (M, K)
@group(0) @binding(2) var<storage, read> b: array<B>;        // (N, K)
@group(0) @binding(3) var<uniform> params: Params;

// The stride of rows of so many elements, in vectors of size.
fn stride(cols: u32, size: u32) -> u32 { return (cols + 7u) / 8u * (8u / size); }

// 8 invocations along n and 8 along m, numbered along x alone: CPUs' vectors are filled along it.
@compute @workgroup_size(64, 1, 1)
fn matmul_nt_4x4_8x8_by4_f32_f32_f32(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
	let local = vec2<u32>(index % 8u, index / 8u);
	let m = params.m;
	let n = params.n;
	let row = (group.y + params.origin.y) * 32u + local.y * 4u;
	let col = (group.x + params.origin.x) * 32u + local.x * 4u;
	let out_stride = stride(params.out_cols, 4u);
	let out_at = params.out_row * out_stride + params.out_col / 4u;
	// Rows and columns past the edge repeat the last; they are not stored.
	let j0 = min(col / 4u + 0u, (n - 1u) / 4u);
	var c0_0 = vec4<f32>(0.0);
	var c1_0 = vec4<f32>(0.0);
	var c2_0 = vec4<f32>(0.0);
	var c3_0 = vec4<f32>(0.0);
	if (params.accumulate == 1u) {
		let out_row0 = out_at + min(row + 0u, m - 1u) * out_stride;
		c0_0 = unpack_out(out[out_row0 + j0]);
		let out_row1 = out_at + min(row + 1u, m - 1u) * out_stride;
		c1_0 = unpack_out(out[out_row1 + j0]);
		let out_row2 = out_at + min(row + 2u, m - 1u) * out_stride;
		c2_0 = unpack_out(out[out_row2 + j0]);
		let out_row3 = out_at + min(row + 3u, m - 1u) * out_stride;
		c3_0 = unpack_out(out[out_row3 + j0]);
	}

	let a_stride = stride(params.a_cols, 4u);
	let b_stride = stride(params.b_cols, 4u);
	let a_at = params.a_row * a_stride + params.a_col / 4u;
	let b_at = params.b_row * b_stride + params.b_col / 4u;
	let depth = params.k;
	let a_at0 = a_at + min(row + 0u, m - 1u) * a_stride;
	let a_at1 = a_at + min(row + 1u, m - 1u) * a_stride;
	let a_at2 = a_at + min(row + 2u, m - 1u) * a_stride;
	let a_at3 = a_at + min(row + 3u, m - 1u) * a_stride;
	let b_at0 = b_at + min(col + 0u, n - 1u) * b_stride;
	let b_at1 = b_at + min(col + 1u, n - 1u) * b_stride;
	let b_at2 = b_at + min(col + 2u, n - 1u) * b_stride;
	let b_at3 = b_at + min(col + 3u, n - 1u) * b_stride;
	// 4 k at a time: past the last one a counts as zero.
	for (var step = 0u; step < (depth + 3u) / 4u; step = step + 1u) {
		let raw_a0 = a[a_at0 + step];
		let a0_0 = params.scale * unpack_a(raw_a0);
		let raw_a1 = a[a_at1 + step];
		let a1_0 = params.scale * unpack_a(raw_a1);
		let raw_a2 = a[a_at2 + step];
		let a2_0 = params.scale * unpack_a(raw_a2);
		let raw_a3 = a[a_at3 + step];
		let a3_0 = params.scale * unpack_a(raw_a3);
		let raw_b0 = b[b_at0 + step];
		let b0_0 = unpack_b(raw_b0);
		let raw_b1 = b[b_at1 + step];
		let b1_0 = unpack_b(raw_b1);
		let raw_b2 = b[b_at2 + step];
		let b2_0 = unpack_b(raw_b2);
		let raw_b3 = b[b_at3 + step];
		let b3_0 = unpack_b(raw_b3);
		let q0_0 = vec4<f32>(b0_0[0], b1_0[0], b2_0[0], b3_0[0]);
		let q0_1 = vec4<f32>(b0_0[1], b1_0[1], b2_0[1], b3_0[1]);
		let q0_2 = vec4<f32>(b0_0[2], b1_0[2], b2_0[2], b3_0[2]);
		let q0_3 = vec4<f32>(b0_0[3], b1_0[3], b2_0[3], b3_0[3]);
		c0_0 = fma(vec4<f32>(a0_0[0]), q0_0, c0_0);
		c0_0 = fma(vec4<f32>(a0_0[1]), q0_1, c0_0);
		c0_0 = fma(vec4<f32>(a0_0[2]), q0_2, c0_0);
		c0_0 = fma(vec4<f32>(a0_0[3]), q0_3, c0_0);
		c1_0 = fma(vec4<f32>(a1_0[0]), q0_0, c1_0);
		c1_0 = fma(vec4<f32>(a1_0[1]), q0_1, c1_0);
		c1_0 = fma(vec4<f32>(a1_0[2]), q0_2, c1_0);
		c1_0 = fma(vec4<f32>(a1_0[3]), q0_3, c1_0);
		c2_0 = fma(vec4<f32>(a2_0[0]), q0_0, c2_0);
		c2_0 = fma(vec4<f32>(a2_0[1]), q0_1, c2_0);
		c2_0 = fma(vec4<f32>(a2_0[2]), q0_2, c2_0);
		c2_0 = fma(vec4<f32>(a2_0[3]), q0_3, c2_0);
		c3_0 = fma(vec4<f32>(a3_0[0]), q0_0, c3_0);
		c3_0 = fma(vec4<f32>(a3_0[1]), q0_1, c3_0);
		c3_0 = fma(vec4<f32>(a3_0[2]), q0_2, c3_0);
		c3_0 = fma(vec4<f32>(a3_0[3]), q0_3, c3_0);
	}
	// Whole rows, padding too, which stays zero.
	let quads = stride(n, 4u);
	if (row + 0u < m) {
		let at = out_at + (row + 0u) * out_stride + col / 4u;
		if (col / 4u + 0u < quads) { out[at + 0u] = pack_out(select(vec4<f32>(0.0), c0_0, vec4<u32>(col + 0u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(n))); }
	}
	if (row + 1u < m) {
		let at = out_at + (row + 1u) * out_stride + col / 4u;
		if (col / 4u + 0u < quads) { out[at + 0u] = pack_out(select(vec4<f32>(0.0), c1_0, vec4<u32>(col + 0u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(n))); }
	}
	if (row + 2u < m) {
		let at = out_at + (row + 2u) * out_stride + col / 4u;
		if (col / 4u + 0u < quads) { out[at + 0u] = pack_out(select(vec4<f32>(0.0), c2_0, vec4<u32>(col + 0u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(n))); }
	}
	if (row + 3u < m) {
		let at = out_at + (row + 3u) * out_stride + col / 4u;
		if (col / 4u + 0u < quads) { out[at + 0u] = pack_out(select(vec4<f32>(0.0), c3_0, vec4<u32>(col + 0u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(n))); }
	}
}
