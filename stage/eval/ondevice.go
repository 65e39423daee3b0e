package eval

import "steplm/model"

// onDevice answers with a model on a device and activations that are lent for
// the time of the evaluation: it allocates nothing.
type onDevice struct {
	m *model.Model
	a *model.Activations
}

// OnDevice scores with m in windows of a's size.
func OnDevice(m *model.Model, a *model.Activations) Model { return onDevice{m, a} }

func (d onDevice) Batch() int  { return d.a.Size.Batch }
func (d onDevice) SeqLen() int { return d.a.Size.SeqLen }

func (d onDevice) Documents() model.Documents { return d.a.Size.Documents }

func (d onDevice) Losses(inputs, targets, begins []uint32) ([]float32, error) {
	if err := d.a.Load(inputs, targets, begins, nil, nil, nil); err != nil {
		return nil, err
	}
	p := d.m.Device().Begin("evaluate")
	d.m.Forward(p, d.a)
	d.m.Loss(p, d.a)
	if err := p.End(); err != nil {
		return nil, err
	}
	return d.a.Losses()
}
