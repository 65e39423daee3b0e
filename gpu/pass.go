package gpu

import "fmt"

// Pass records calls that run in order. The first error sticks: later calls do
// nothing and End returns it, so that mathematics reads as mathematics.
type Pass struct {
	label   string
	limits  Limits
	choices *Choices
	run     func(Call) error
	end     func(failed bool) error // nil: the pass never opened, or has ended
	err     error

	tensors []Tensor // of Tensors
	params  []uint32 // of Params
}

// failedPass stands for a pass that could not be opened; its End returns err.
func failedPass(label string, d Device, err error) *Pass {
	return &Pass{label: label, limits: d.Limits(), choices: d.Choices(),
		err: fmt.Errorf("begin pass %q: %w", label, err)}
}

// Limits are those of the pass's device; kernels with variants choose by them.
func (p *Pass) Limits() Limits { return p.limits }

// Tensors is the list for a Call, in memory that the next list takes again: so that a
// step of a thousand calls does not leave a thousand lists. Devices read it within Run.
func (p *Pass) Tensors(list ...Tensor) []Tensor {
	p.tensors = append(p.tensors[:0], list...)
	return p.tensors
}

// Params is the params of a Call, likewise.
func (p *Pass) Params(list ...uint32) []uint32 {
	p.params = append(p.params[:0], list...)
	return p.params
}

// Run records one call.
func (p *Pass) Run(c Call) {
	if p.err == nil && p.end == nil {
		p.err = fmt.Errorf("kernel %s was recorded into pass %q after its End", c.Kernel.Name, p.label)
	}
	if p.err == nil {
		p.err = c.check(p.limits)
	}
	if p.err == nil {
		p.err = p.run(c)
	}
}

// Fail makes err the pass's error if it has none.
func (p *Pass) Fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Between hands the calls that are recorded to the device, lets do use it, and opens the pass anew: for what must be
// read of a pass while the device computes the rest of it. An error of do sticks.
func (p *Pass) Between(d Device, do func() error) {
	if p.err != nil || p.end == nil {
		return
	}
	p.err, p.end = p.end(false), nil
	if p.err == nil {
		p.err = do()
	}
	if p.err != nil {
		return
	}
	next := d.Begin(p.label)
	p.run, p.end, p.err = next.run, next.end, next.err
}

// End hands the recorded calls to the device and returns the first error. It
// does not wait for them; Device.Read does. After an error what was not handed
// over yet is dropped and the device can be used again; what had been handed
// over, because the pass was long, has run.
func (p *Pass) End() error {
	if p.end != nil {
		if err := p.end(p.err != nil); p.err == nil {
			p.err = err
		}
		p.end = nil
	}
	return p.err
}
