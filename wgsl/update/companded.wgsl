// How adamw_flash8 keeps moments in bytes, as fractions of a scale that the group
// shares (FlashOptim, arXiv 2602.23349): m through 2x / (1 + |x|), which gives small
// values more codes, v as its root. A v above 0 has no code 0: as 0 under an m that
// is none, it would make a step of m / eps.

fn decode_m(code: vec4<f32>, scale: f32) -> vec4<f32> {
	let y = code / 127.0;
	return y / (2.0 - abs(y)) * scale;
}

fn encode_m(m: vec4<f32>, scale: f32) -> vec4<f32> {
	let x = m / scale;
	return round((x + x) / (1.0 + abs(x)) * 127.0);
}

fn decode_v(code: vec4<f32>, scale: f32) -> vec4<f32> {
	let root = code / 255.0 * scale;
	return root * root;
}

fn encode_v(v: vec4<f32>, scale: f32) -> vec4<f32> {
	let code = round(sqrt(v) / scale * 255.0);
	return select(code, max(code, vec4<f32>(1.0)), v > vec4<f32>());
}

// range_v is what the scale of v must reach for a greatest v.
fn range_v(v: f32) -> f32 { return sqrt(v); }
