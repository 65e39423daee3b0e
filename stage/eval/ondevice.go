package eval

import (
	"context"
	"fmt"

	"steplm/model"
	"steplm/model/generate"
)

// onDevice answers with a model on a device and activations that are lent for
// the time of the evaluation: it allocates nothing, but to continue a text a cache for as long as that takes.
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

// Continue is greedy.
func (d onDevice) Continue(ctx context.Context, prompt []uint32, most int, stops []uint32) ([]uint32, error) {
	positions := min(d.m.MaxSeqLen, max(1, len(prompt)+most-1))
	g, err := generate.New(d.m, generate.Config{Slots: 1, Context: positions, Chunk: d.a.Rows()})
	if err != nil {
		return nil, fmt.Errorf("eval: continue %d tokens: %w", len(prompt), err)
	}
	defer g.Free()
	list, err := g.All(ctx, []generate.Request{{Prompt: prompt, MaxTokens: most, Ends: stops}})
	if err == nil {
		err = list[0].Err
	}
	if err != nil {
		return nil, fmt.Errorf("eval: continue %d tokens: %w", len(prompt), err)
	}
	return list[0].Tokens, nil
}
