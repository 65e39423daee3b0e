// With p_ij = exp(scale q_i k_j - lse_i) and delta_i = dout_i out_i:
// dq_i = scale sum over j <= i of p_ij (dout_i v_j - delta_i) k_j. One invocation
// per query; the text is a Go template, see attention_forward.wgsl.

struct Params { origin: vec3<u32>, t: u32, heads: u32, kv: u32, scale: f32 }

@group(0) @binding(0) var<storage, read_write> dq: array<{{.Element}}>; // (B, T, H, D)
@group(0) @binding(1) var<storage, read_write> delta: array<f32>; // (B, H, T)
@group(0) @binding(2) var<storage, read> dout: array<{{.Element}}>; // (B, T, H, D)
@group(0) @binding(3) var<storage, read> out: array<{{.Element}}>; // (B, T, H, D)
@group(0) @binding(4) var<storage, read> q: array<{{.Element}}>; // (B, T, H, D)
@group(0) @binding(5) var<storage, read> k: array<{{.Element}}>; // (B, T, K, D)
@group(0) @binding(6) var<storage, read> v: array<{{.Element}}>; // (B, T, K, D)
@group(0) @binding(7) var<storage, read> lse: array<f32>; // (B, H, T)
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn attention_backward_query_{{.D}}(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	let h = group.y + params.origin.y;
	let b = group.z + params.origin.z;
	if (i >= params.t) { return; }
	let row = ((b * params.t + i) * params.heads + h) * {{.Stride}}u;
	let step = params.kv * {{.Stride}}u;
	var at = b * params.t * step + h / (params.heads / params.kv) * {{.Stride}}u;
	let stat = (b * params.heads + h) * params.t + i;
	let l = lse[stat];
	var product = 0.0;
{{- range .Parts}}
	let q{{.}} = {{load "q" "row" .}} * params.scale;
	let g{{.}} = {{load "dout" "row" .}};
	product += dot(g{{.}}, {{load "out" "row" .}});
	var a{{.}} = vec4<f32>(0.0);
{{- end}}
	delta[stat] = product;
	for (var j = 0u; j <= i; j++) {
		var s = 0.0;
		var dp = 0.0;
{{- range .Parts}}
		let k{{.}} = {{load "k" "at" .}};
		s += dot(q{{.}}, k{{.}});
		dp += dot(g{{.}}, {{load "v" "at" .}});
{{- end}}
		let ds = exp(s - l) * (dp - product) * params.scale;
{{- range .Parts}}
		a{{.}} += ds * k{{.}};
{{- end}}
		at += step;
	}
{{- range .Parts}}
	{{store "dq" "row" . "a"}}
{{- end}}
}
