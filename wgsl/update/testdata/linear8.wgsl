// companded.wgsl's functions without its ideas: codes in proportion to the values.
// The negative control of the tests.

fn decode_m(code: vec4<f32>, scale: f32) -> vec4<f32> { return code / 127.0 * scale; }

fn encode_m(m: vec4<f32>, scale: f32) -> vec4<f32> { return round(m / scale * 127.0); }

fn decode_v(code: vec4<f32>, scale: f32) -> vec4<f32> { return code / 255.0 * scale; }

fn encode_v(v: vec4<f32>, scale: f32) -> vec4<f32> { return round(v / scale * 255.0); }

fn range_v(v: f32) -> f32 { return v; }
