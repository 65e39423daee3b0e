// What the kernels of cross-entropy share, put before each after tree.wgsl: the greatest
// logit of a row and the sum of the exponentials of what logits lie below it, in one
// pass over memory. A row is eights of logits; columns from v on are padding.

struct Softmax { most: f32, sum: f32 }

const lowest = -3.0e38;

fn columns(j: u32) -> vec4<u32> { return vec4<u32>(0u, 1u, 2u, 3u) + 8u * j; }

// at_column is x where eight j has the column, else other.
fn at_column(column: u32, j: u32, x: mat2x4<f32>, other: mat2x4<f32>) -> mat2x4<f32> {
	let at = columns(j);
	return mat2x4<f32>(select(other[0], x[0], at == vec4<u32>(column)), select(other[1], x[1], at + 4u == vec4<u32>(column)));
}

// Every eight lanes, a CPU's vector, walk eights that lie together: a row's part of span.
fn span(v: u32) -> u32 { return (v + 511u) / 512u * 8u; }

// walk is a lane's first eight, from which it goes on in steps of 8, and the end.
fn walk(lane: u32, v: u32) -> vec2<u32> {
	let begin = lane / 8u * span(v);
	return vec2<u32>(begin + lane % 8u, min(begin + span(v), (v + 7u) / 8u));
}

fn walks(lane: u32, v: u32, eight: u32) -> bool { return eight / span(v) == lane / 8u && eight % 8u == lane % 8u; }

// softmax is what all invocations of a workgroup of 64 get of the row that begins at
// eight begin. Each sums up relative to the greatest logit that it has seen.
fn softmax(lane: u32, begin: u32, v: u32) -> Softmax {
	var most = lowest;
	var sums = vec4<f32>();
	let own = walk(lane, v);
	for (var j = own.x; j < own.y; j += 8u) {
		let at = columns(j);
		let eight = logits[begin + j];
		let a = select(vec4<f32>(lowest), eight[0], at < vec4<u32>(v));
		let b = select(vec4<f32>(lowest), eight[1], at + 4u < vec4<u32>(v));
		let c = max(a, b);
		let now = max(most, max(max(c.x, c.y), max(c.z, c.w)));
		let shrink = select(exp(most - now), 1.0, most == now); // exactly 1 on every device
		sums = sums * shrink + (exp(a - now) + exp(b - now));
		most = now;
	}
	let all = tree_max(lane, most);
	return Softmax(all, tree_sum(lane, (sums.x + sums.y + (sums.z + sums.w)) * exp(most - all)));
}
