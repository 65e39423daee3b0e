// Causal attention with an online softmax: one invocation per query walks the
// keys up to its own position and keeps the running maximum, sum and output, so
// that nothing of size T x T exists (Milakov and Gimelshein 2018, arXiv
// 1805.02867; FlashAttention, arXiv 2205.14135).
//
// The text is a Go template: the head size D is a literal and a head's row lives
// in named vec4 variables, which stay in registers where an indexed array would not.

struct Params { origin: vec3<u32>, t: u32, heads: u32, kv: u32, scale: f32 }

@group(0) @binding(0) var<storage, read_write> out: array<{{.Element}}>; // (B, T, H, D)
@group(0) @binding(1) var<storage, read_write> lse: array<f32>; // (B, H, T)
@group(0) @binding(2) var<storage, read> q: array<{{.Element}}>; // (B, T, H, D)
@group(0) @binding(3) var<storage, read> k: array<{{.Element}}>; // (B, T, K, D)
@group(0) @binding(4) var<storage, read> v: array<{{.Element}}>; // (B, T, K, D)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn attention_forward_{{.D}}(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	let h = group.y + params.origin.y;
	let b = group.z + params.origin.z;
	if (i >= params.t) { return; }
	let row = ((b * params.t + i) * params.heads + h) * {{.Stride}}u;
	let step = params.kv * {{.Stride}}u;
	var at = b * params.t * step + h / (params.heads / params.kv) * {{.Stride}}u;
{{- range .Parts}}
	let q{{.}} = {{load "q" "row" .}} * params.scale;
	var a{{.}} = vec4<f32>(0.0);
{{- end}}
	var most = -3.0e38;
	var sum = 0.0;
	for (var j = 0u; j <= i; j++) {
		var s = 0.0;
{{- range .Parts}}
		s += dot(q{{.}}, {{load "k" "at" .}});
{{- end}}
		if (s > most) {
			let c = exp(most - s);
			most = s;
			sum *= c;
{{- range .Parts}}
			a{{.}} *= c;
{{- end}}
		}
		let e = exp(s - most);
		sum += e;
{{- range .Parts}}
		a{{.}} += e * {{load "v" "at" .}};
{{- end}}
		at += step;
	}
	lse[(b * params.heads + h) * params.t + i] = most + log(sum);
{{- range .Parts}}
	a{{.}} = a{{.}} / sum;
	{{store "out" "row" . "a"}}
{{- end}}
}
