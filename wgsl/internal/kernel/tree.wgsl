// Sums and maxima over a workgroup of 64, put before the kernels that need them.
// Every invocation must call them, at the same place; all get the same result.

var<workgroup> tree: array<f32, 64>;

fn tree_sum(lane: u32, x: f32) -> f32 {
	tree[lane] = x;
	workgroupBarrier();
	for (var s = 32u; s > 0u; s = s >> 1u) {
		if (lane < s) { tree[lane] += tree[lane + s]; }
		workgroupBarrier();
	}
	let sum = tree[0];
	workgroupBarrier(); // before the next use
	return sum;
}

fn tree_max(lane: u32, x: f32) -> f32 {
	tree[lane] = x;
	workgroupBarrier();
	for (var s = 32u; s > 0u; s = s >> 1u) {
		if (lane < s) { tree[lane] = max(tree[lane], tree[lane + s]); }
		workgroupBarrier();
	}
	let most = tree[0];
	workgroupBarrier(); // before the next use
	return most;
}
