package optim

import (
	"fmt"
	"strings"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/wgsl/update"
)

// RoleRule is a Rule that can say what it does.
type RoleRule interface {
	Rule
	fmt.Stringer
}

// byRole is a Rule that has one for each kind of tensors: of blocks' linears, of embedding and
// head, of norms and biases, and of LoRA's matrices.
type byRole struct{ linear, embedding, head, vector, lora RoleRule }

// of is the rule of a role.
func (r byRole) of(role model.Role) RoleRule {
	switch role {
	case model.RoleLinear:
		return r.linear
	case model.RoleEmbedding:
		return r.embedding
	case model.RoleHead:
		return r.head
	case model.RoleLoRAA, model.RoleLoRAB:
		return r.lora
	}
	return r.vector
}

// String names every kind of tensors with its rule, those of one rule together.
func (r byRole) String() string {
	var rules []string
	whose := map[string][]string{}
	for _, x := range []struct {
		what string
		rule RoleRule
	}{{"linears", r.linear}, {"embedding", r.embedding}, {"head", r.head}, {"norms and biases", r.vector},
		{"LoRA", r.lora}} {
		rule := x.rule.String()
		if whose[rule] == nil {
			rules = append(rules, rule)
		}
		whose[rule] = append(whose[rule], x.what)
	}
	for i, rule := range rules {
		rules[i] = strings.Join(whose[rule], ", ") + ": " + rule
	}
	return strings.Join(rules, "; ")
}

func (r byRole) Specs(s model.Storage, p model.ParamSpec) []gpu.Spec { return r.of(p.Role).Specs(s, p) }

func (r byRole) Scratch(p model.ParamSpec) []gpu.Spec {
	if s, ok := r.of(p.Role).(Scratched); ok {
		return s.Scratch(p)
	}
	return nil
}

func (r byRole) Update(p *gpu.Pass, u Update) { r.of(u.Param.Role).Update(p, u) }

func (r byRole) Prune(d gpu.Device, u Update, keep Kept) error {
	return r.of(u.Param.Role).Prune(d, u, keep)
}

// whole is the Prune of rules whose state is not of single elements.
type whole struct{}

func (whole) Prune(gpu.Device, Update, Kept) error {
	return fmt.Errorf("what the optimizer keeps of it is not of single elements, and cannot be kept in part")
}

// planeSpec is a plane of a parameter, f32.
func planeSpec(p model.ParamSpec, name string, shape ...int) gpu.Spec {
	return gpu.Spec{Name: p.Weight.Name + "." + name, Class: gpu.Optimizer, Shape: shape}
}

// roomSpec is scratch of that name, f32.
func roomSpec(name string, shape ...int) gpu.Spec {
	return gpu.Spec{Name: "optimizer." + name, Class: gpu.Scratch, Shape: shape}
}

// matrix is a parameter's rows and columns.
func matrix(w gpu.Spec) (m, n int) { return w.Rows(), w.Cols() }

// notFlash8 refuses states of 8 bits, which are made for AdamW's moments alone.
func notFlash8(optimizer string, s model.Storage) error {
	if s.States != model.Flash8States {
		return nil
	}
	return advice.With(
		fmt.Errorf("states %s with optimizer %s: only AdamW has moments of 8 bits", s.States, optimizer),
		advice.Way{{How: advice.Use, Option: advice.States, Value: model.SplitStates}},
		advice.Way{{How: advice.Use, Option: advice.States, Value: model.StochasticStates}})
}

// applied records the update of a parameter by a source times factors: o's rate and decay,
// in the kernel of the storage's states.
func applied(p *gpu.Pass, u Update, source, factors gpu.Tensor, o update.Applied) {
	q := u.Param
	switch u.Storage.States {
	case model.PaperStates:
		update.ApplyPaper(p, q.Weight, q.Master, source, factors, u.Stats, o)
	case model.SplitStates:
		update.ApplySplit(p, q.Weight, q.Master, source, factors, u.Stats, o)
	case model.StochasticStates:
		o.Draw = u.draw()
		update.ApplyStochastic(p, q.Weight, source, factors, u.Stats, o)
	default:
		update.ApplyF32(p, q.Weight, source, factors, u.Stats, o)
	}
}

// decayFirst is W *= 1 - lr wd; W -= rate U.
func decayFirst(u Update, rate float64, by update.By) update.Applied {
	return update.Applied{By: by, Rate: float32(rate), Decay: float32(u.Rates.LR * u.Rates.Decay)}
}

// decayLast is W -= rate U; W *= 1 - lr wd.
func decayLast(u Update, rate float64, by update.By) update.Applied {
	decay := u.Rates.LR * u.Rates.Decay
	return update.Applied{By: by, Rate: float32(rate * (1 - decay)), Decay: float32(decay)}
}
