package optim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"

	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl"
	"steplm/wgsl/update"
)

// Rule is an optimizer that updates each parameter from its own gradient, planes and count
// of updates: all that ByParameter does not do for it.
//
// A rule that also keeps numbers on the host is a Numbered one.
type Rule interface {
	// Specs is Optimizer's.
	Specs(s model.Storage, p model.ParamSpec) []gpu.Spec
	// Update records the update of one parameter by its gradient times stats'
	// wgsl.StatScale, which writes nothing where wgsl.StatNorm is not finite.
	Update(p *gpu.Pass, u Update)
	// Prune zeroes all of a parameter's moments but those of the elements that keep says, of
	// a share above 0 and below 1.
	Prune(d gpu.Device, u Update, keep Kept) error
}

// Scratched is a Rule that needs room to compute in besides: float tensors, for one parameter
// at a time. What has the same name shares memory, as much as the largest needs.
type Scratched interface {
	Scratch(p model.ParamSpec) []gpu.Spec
}

// Numbered is a Rule with numbers on the host. Numbers is a pointer to them, of a type that
// JSON gives back as it was.
type Numbered interface{ Numbers() any }

// Update is one parameter's.
type Update struct {
	Storage model.Storage
	Param   *model.Param
	Planes  []gpu.Tensor // as the rule's specs list them
	Scratch []gpu.Tensor // as the rule lists it for the parameter; it holds anything
	Stats   gpu.Tensor
	Rates   Rates
	Count   int // of updates since the planes were zero, this one included
}

// draw is what an update draws random numbers by: the same update of a parameter always draws
// the same.
func (u Update) draw() update.Draw {
	h := fnv.New32a()
	h.Write([]byte(u.Param.Name))
	return update.Draw{Key: h.Sum32(), Count: uint32(u.Count)}
}

// ByParameter makes an optimizer of a rule: it allocates and resets the planes, clips the
// gradient, counts the updates and keeps all of it in checkpoints.
func ByParameter(r Rule, maxNorm float64) Optimizer {
	return &byParameter{rule: r, maxNorm: maxNorm, planes: map[string][]gpu.Tensor{}}
}

type byParameter struct {
	rule    Rule
	maxNorm float64
	numbers
	before json.RawMessage // the rule's numbers before the last step

	dev      gpu.Device
	storage  model.Storage
	params   []*model.Param // that train
	grads    []gpu.Tensor   // theirs
	planes   map[string][]gpu.Tensor
	specs    map[string]model.ParamSpec
	partials gpu.Tensor            // of the gradients' squared norm
	room     map[string]gpu.Tensor // the rule's scratch
	elements int                   // that train
}

// numbers are those on the host, as checkpoints have them.
type numbers struct {
	Updates int `json:"updates"` // since all planes were zero
	// Began: after how many of them the planes of a parameter were zero, where that is not 0.
	Began map[string]int  `json:"began,omitempty"`
	Rule  json.RawMessage `json:"rule,omitempty"` // its own
}

func (o *byParameter) Specs(s model.Storage, p model.ParamSpec) []gpu.Spec { return o.rule.Specs(s, p) }

// Scratch is the partial sums of the gradients' squared norm, and the rule's.
func (o *byParameter) Scratch(l model.Layout) []gpu.Spec {
	parts := 0
	for _, p := range l.Params() {
		if !p.Trains() {
			continue
		}
		n := gpu.Padded(wgsl.SquaredNormParts(p.Grad)) // so that plans add up over parameters
		if l.Storage.Release {                         // of one gradient at a time
			parts = max(parts, n)
		} else {
			parts += n
		}
	}
	if parts == 0 {
		return nil
	}
	return append([]gpu.Spec{{Name: "norm.partials", Class: gpu.Scratch, Shape: []int{parts}}}, o.ruleScratch(l)...)
}

// ruleScratch is of each of the rule's tensors as much as one parameter needs.
func (o *byParameter) ruleScratch(l model.Layout) (list []gpu.Spec) {
	r, ok := o.rule.(Scratched)
	if !ok {
		return nil
	}
	at := map[string]int{}
	for _, p := range l.Params() {
		if !p.Trains() {
			continue
		}
		for _, s := range r.Scratch(p) {
			i, known := at[s.Name]
			if !known {
				i = len(list)
				at[s.Name] = i
				list = append(list, gpu.Spec{Name: s.Name, Class: gpu.Scratch, Shape: []int{0}})
			}
			list[i].Shape[0] = max(list[i].Shape[0], s.Words())
		}
	}
	return list
}

func (o *byParameter) Allocate(m *model.Model) error {
	o.dev, o.storage = m.Device(), m.Storage
	o.params, o.grads, o.elements = nil, nil, 0
	o.specs, o.room = map[string]model.ParamSpec{}, map[string]gpu.Tensor{}
	for _, p := range m.Layout.Params() {
		o.specs[p.Weight.Name] = p
	}
	for _, p := range m.Params() {
		if !p.Trainable() {
			continue
		}
		o.params, o.grads = append(o.params, p), append(o.grads, p.Grad)
		o.elements += p.Weight.Elements()
		if _, ok := o.planes[p.Name]; ok {
			continue
		}
		o.planes[p.Name] = nil
		if o.Updates > 0 {
			if o.Began == nil {
				o.Began = map[string]int{}
			}
			o.Began[p.Name] = o.Updates
		}
		for _, s := range o.rule.Specs(m.Storage, o.specs[p.Name]) {
			t, err := o.dev.New(s)
			if err != nil {
				o.Free()
				return err
			}
			o.planes[p.Name] = append(o.planes[p.Name], t)
		}
	}
	if len(o.params) == 0 {
		return fmt.Errorf("nothing trains: every parameter is frozen")
	}
	for i, s := range o.Scratch(m.Layout) {
		t, err := o.dev.New(s)
		if err != nil {
			o.Free()
			return err
		}
		if i == 0 {
			o.partials = t
		} else {
			o.room[s.Name] = t
		}
	}
	return nil
}

func (o *byParameter) Reset(which func(name string) bool, keep Kept) error {
	o.freeScratch()
	for _, q := range o.params {
		list, ok := o.planes[q.Name]
		switch {
		case !ok || !which(q.Name):
		case keep.Share > 0:
			if err := o.rule.Prune(o.dev, Update{Storage: o.storage, Param: q, Planes: list}, keep); err != nil {
				return fmt.Errorf("reset %s, keeping %g of it: %w", q.Name, keep.Share, err)
			}
		default:
			for _, t := range list {
				o.dev.Free(t)
			}
			delete(o.planes, q.Name)
			delete(o.Began, q.Name)
		}
	}
	if len(o.planes) == 0 { // all begins anew
		o.numbers = numbers{}
	}
	return nil
}

func (o *byParameter) freeScratch() {
	if o.dev != nil {
		o.dev.Free(o.partials)
		o.partials = gpu.Tensor{}
		for _, t := range o.room {
			o.dev.Free(t)
		}
		clear(o.room)
	}
}

func (o *byParameter) Free() {
	o.freeScratch()
	for _, list := range o.planes {
		for _, t := range list {
			o.dev.Free(t)
		}
	}
	clear(o.planes)
}

func (o *byParameter) Step(p *gpu.Pass, stats gpu.Tensor, rates RatesOf) {
	o.begin()
	n := wgsl.SquaredNorms(p, o.partials, o.grads...)
	wgsl.ClipScale(p, stats, o.partials, n, float32(o.maxNorm)) // what lies between is zero
	for _, q := range o.params {
		o.update(p, q, stats, rates)
	}
}

func (o *byParameter) Release(stats gpu.Tensor, rates RatesOf) func(*gpu.Pass, *model.Param) {
	o.begin()
	return func(p *gpu.Pass, q *model.Param) {
		n := wgsl.SquaredNorms(p, o.partials, q.Grad)
		share := float64(q.Weight.Elements()) / float64(o.elements)
		wgsl.ReleaseScale(p, stats, o.partials, n, float32(o.maxNorm*math.Sqrt(share)))
		o.update(p, q, stats, rates)
	}
}

func (o *byParameter) FinishRelease(p *gpu.Pass, stats gpu.Tensor) { wgsl.ReleaseNorm(p, stats) }

// begin counts a step.
func (o *byParameter) begin() {
	o.Updates++
	o.before = o.ruleNumbers()
}

func (o *byParameter) update(p *gpu.Pass, q *model.Param, stats gpu.Tensor, rates RatesOf) {
	u := Update{Storage: o.storage, Param: q, Planes: o.planes[q.Name], Stats: stats, Rates: rates(q),
		Count: o.Updates - o.Began[q.Name]}
	if r, ok := o.rule.(Scratched); ok {
		for _, s := range r.Scratch(o.specs[q.Name]) {
			u.Scratch = append(u.Scratch, o.room[s.Name].As(s, 0))
		}
	}
	o.rule.Update(p, u)
}

func (o *byParameter) Undo() {
	o.Updates--
	if err := o.restoreRule(o.before); err != nil {
		panic(err) // what the rule wrote itself
	}
}

func (o *byParameter) State() ([]gpu.Tensor, json.RawMessage) {
	var list []gpu.Tensor
	for _, p := range o.params {
		list = append(list, o.planes[p.Name]...)
	}
	n := o.numbers
	n.Rule = o.ruleNumbers()
	return list, marshal(n)
}

func (o *byParameter) Restore(text json.RawMessage) error {
	var n numbers
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		return fmt.Errorf("the optimizer's numbers: %w", err)
	}
	if err := o.restoreRule(n.Rule); err != nil {
		return fmt.Errorf("the optimizer's numbers: %w", err)
	}
	n.Rule = nil
	o.numbers = n
	return nil
}

// ruleNumbers are the rule's as JSON; nil where it has none.
func (o *byParameter) ruleNumbers() json.RawMessage {
	if r, ok := o.rule.(Numbered); ok {
		return marshal(r.Numbers())
	}
	return nil
}

func (o *byParameter) restoreRule(text json.RawMessage) error {
	r, ok := o.rule.(Numbered)
	if ok != (text != nil) {
		return fmt.Errorf("a checkpoint with numbers of the rule: %t; a rule that keeps some: %t", text != nil, ok)
	}
	if !ok {
		return nil
	}
	return json.Unmarshal(text, r.Numbers())
}

// marshal is for plain data, which always has a JSON.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
