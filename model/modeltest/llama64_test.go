package modeltest

import (
	"math"

	"steplm/model"
)

// llama64 is LLaMA's forward pass in float64, token by token and head by head
// as the formulas have it: for tests alone, and sharing no code with the
// kernels or their references.
type llama64 struct {
	model.Layout
	params map[string][]float64 // by Param.Name
}

// loss is scale * (the sum of the cross-entropies of the targets that count).
func (m llama64) loss(b Batch, s model.Size, scale float64) float64 {
	head := m.params["head"]
	if m.Tied {
		head = m.params["embed"]
	}
	sum := 0.0
	for at := 0; at < s.Rows(); at += s.SeqLen {
		for i, x := range m.sequence(b.Inputs[at : at+s.SeqLen]) {
			target := b.Targets[at+i]
			if target == Ignored {
				continue
			}
			logits := times(head, x)
			total := 0.0
			for _, l := range logits {
				total += math.Exp(l)
			}
			sum += math.Log(total) - logits[target]
		}
	}
	return scale * sum
}

// sequence is the last norm's output at every position.
func (m llama64) sequence(ids []uint32) [][]float64 {
	x := make([][]float64, len(ids))
	for i, id := range ids {
		x[i] = append([]float64(nil), m.params["embed"][int(id)*m.Hidden:(int(id)+1)*m.Hidden]...)
	}
	for _, b := range m.Blocks {
		m.attend(b, x)
		for _, row := range x {
			h := m.norm(b.Name("ffn_norm"), row)
			gate, up := m.linear(b, "gate", h), m.linear(b, "up", h)
			for i := range gate {
				gate[i] = gate[i] / (1 + math.Exp(-gate[i])) * up[i]
			}
			addTo(row, m.linear(b, "down", gate))
		}
	}
	for i := range x {
		x[i] = m.norm("norm", x[i])
	}
	return x
}

// attend adds a block's attention to every position of x.
func (m llama64) attend(b model.BlockLayout, x [][]float64) {
	d := m.HeadDim()
	var keys, values [][]float64
	for i := range x {
		h := m.norm(b.Name("attn_norm"), x[i])
		q, k := m.linear(b, "wq", h), m.linear(b, "wk", h)
		keys, values = append(keys, k), append(values, m.linear(b, "wv", h))
		if m.QKNorm {
			for at := 0; at < len(q); at += d {
				copy(q[at:], m.norm(b.Name("q_norm"), q[at:at+d]))
			}
			for at := 0; at < len(k); at += d {
				copy(k[at:], m.norm(b.Name("k_norm"), k[at:at+d]))
			}
		}
		if !b.NoRope {
			m.rotate(k, i)
			m.rotate(q, i)
		}
		out := make([]float64, m.Heads*d)
		for head := range m.Heads {
			kv := head * m.KVHeads / m.Heads
			weights, total := make([]float64, i+1), 0.0
			for j := range weights {
				if m.Window > 0 && i-j >= m.Window {
					continue
				}
				weights[j] = math.Exp(dot(q[head*d:(head+1)*d], keys[j][kv*d:(kv+1)*d]) / math.Sqrt(float64(d)))
				total += weights[j]
			}
			for j, w := range weights {
				for e := range d {
					out[head*d+e] += w / total * values[j][kv*d+e]
				}
			}
		}
		// Later positions read keys and values, not x: it may change now.
		addTo(x[i], m.linear(b, "wo", out))
	}
}

// rotate turns element e of every head against element e + D/2 by the angle
// position * theta^(-2e/D).
func (m llama64) rotate(x []float64, position int) {
	d := m.HeadDim()
	for at := 0; at < len(x); at += d {
		for e := range d / 2 {
			frequency := math.Pow(m.RopeTheta, -2*float64(e)/float64(d))
			if m.RopeScaling.Type == model.RopeLinear {
				frequency /= m.RopeScaling.Factor
			}
			sin, cos := math.Sincos(float64(position) * frequency)
			low, high := x[at+e], x[at+e+d/2]
			x[at+e], x[at+e+d/2] = low*cos-high*sin, high*cos+low*sin
		}
	}
}

func (m llama64) norm(name string, x []float64) []float64 {
	root := math.Sqrt(dot(x, x)/float64(len(x)) + m.NormEps)
	y := make([]float64, len(x))
	for i := range y {
		y[i] = x[i] / root * m.params[name][i]
	}
	return y
}

// linear is W x + alpha/r B (A x) + b.
func (m llama64) linear(b model.BlockLayout, name string, x []float64) []float64 {
	y := times(m.params[b.Name(name)], x)
	if bias := m.params[b.Name(name+"_bias")]; bias != nil {
		addTo(y, bias)
	}
	if a := m.params[b.Name(name)+".lora_a"]; a != nil {
		low := times(a, x)
		for i := range low {
			low[i] *= m.LoRA.Alpha / float64(m.LoRA.Rank)
		}
		addTo(y, times(m.params[b.Name(name)+".lora_b"], low))
	}
	return y
}

// times is the product of a matrix (n, len(x)) and x.
func times(w, x []float64) []float64 {
	y := make([]float64, len(w)/len(x))
	for i := range y {
		y[i] = dot(w[i*len(x):(i+1)*len(x)], x)
	}
	return y
}

func dot(x, y []float64) float64 {
	sum := 0.0
	for i := range x {
		sum += x[i] * y[i]
	}
	return sum
}

func addTo(x, y []float64) {
	for i := range x {
		x[i] += y[i]
	}
}
