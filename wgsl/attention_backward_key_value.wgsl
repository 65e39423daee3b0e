// With p and delta as in attention_backward_query.wgsl, over the queries i >= j:
// dv_j = sum of p_ij dout_i, dk_j = scale sum of p_ij (dout_i v_j - delta_i) q_i.
// One invocation per key; a dispatch takes one query head (member) of each
// group, and all but the first add to what is there. The text is a Go template,
// see attention_forward.wgsl.

struct Params { origin: vec3<u32>, t: u32, heads: u32, kv: u32, scale: f32, member: u32 }

@group(0) @binding(0) var<storage, read_write> dk: array<{{.Element}}>; // (B, T, K, D)
@group(0) @binding(1) var<storage, read_write> dv: array<{{.Element}}>; // (B, T, K, D)
@group(0) @binding(2) var<storage, read> dout: array<{{.Element}}>; // (B, T, H, D)
@group(0) @binding(3) var<storage, read> q: array<{{.Element}}>; // (B, T, H, D)
@group(0) @binding(4) var<storage, read> k: array<{{.Element}}>; // (B, T, K, D)
@group(0) @binding(5) var<storage, read> v: array<{{.Element}}>; // (B, T, K, D)
@group(0) @binding(6) var<storage, read> lse: array<f32>; // (B, H, T)
@group(0) @binding(7) var<storage, read> delta: array<f32>; // (B, H, T)
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn attention_backward_key_value_{{.D}}(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let j = (group.x + params.origin.x) * 64u + local.x;
	let n = group.y + params.origin.y;
	let b = group.z + params.origin.z;
	if (j >= params.t) { return; }
	let row = ((b * params.t + j) * params.kv + n) * {{.Stride}}u;
	let h = n * (params.heads / params.kv) + params.member;
	let stat = (b * params.heads + h) * params.t;
	let step = params.heads * {{.Stride}}u;
	var at = (b * params.t + j) * step + h * {{.Stride}}u;
{{- range .Parts}}
	let k{{.}} = {{load "k" "row" .}} * params.scale;
	let v{{.}} = {{load "v" "row" .}};
	var x{{.}} = vec4<f32>(0.0);
	var y{{.}} = vec4<f32>(0.0);
{{- end}}
	if (params.member > 0u) {
{{- range .Parts}}
		x{{.}} = {{load "dk" "row" .}};
		y{{.}} = {{load "dv" "row" .}};
{{- end}}
	}
	for (var i = j; i < params.t; i++) {
		var s = 0.0;
		var dp = 0.0;
{{- range .Parts}}
		let q{{.}} = {{load "q" "at" .}};
		let g{{.}} = {{load "dout" "at" .}};
		s += dot(q{{.}}, k{{.}});
		dp += dot(g{{.}}, v{{.}});
{{- end}}
		let p = exp(s - lse[stat + i]);
		let ds = p * (dp - delta[stat + i]) * params.scale;
{{- range .Parts}}
		x{{.}} += ds * q{{.}};
		y{{.}} += p * g{{.}};
{{- end}}
		at += step;
	}
{{- range .Parts}}
	{{store "dk" "row" . "x"}}
	{{store "dv" "row" . "y"}}
{{- end}}
}
