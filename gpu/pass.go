package gpu

// Pass records calls that run in order. The first error sticks: later calls do
// nothing and End returns it, so that mathematics reads as mathematics.
type Pass struct {
	label  string
	limits Limits
	run    func(Call) error
	end    func() error
	err    error
}

// Limits are those of the pass's device; kernels with variants choose by them.
func (p *Pass) Limits() Limits { return p.limits }

// Run records one call.
func (p *Pass) Run(c Call) {
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

// End hands the recorded calls to the device and returns the first error. It
// does not wait for them; Device.Read does.
func (p *Pass) End() error {
	if err := p.end(); p.err == nil {
		p.err = err
	}
	return p.err
}
