package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"steplm/gpu"
	"steplm/wgsl"
)

// StatValues are the elements of a step's statistics, which processes that train together sum besides gradients.
const StatValues = wgsl.StatWords

// GradientValues lists the elements of every gradient of a layout, in the order in which Backward completes them:
// what is frozen has none. Nothing is computed.
func (l Layout) GradientValues() (values []int, err error) {
	dry := gpu.NewDry(gpu.NewHost().Limits())
	m, err := New(dry, l)
	if err != nil {
		return nil, err
	}
	a, err := NewActivations(dry, l, Size{Batch: 1, SeqLen: 1})
	if err != nil {
		return nil, err
	}
	one := []uint32{0} // a token, whose gradient is of one row
	if err := a.Load(one, one, one, one, []uint32{0, 1}, one); err != nil {
		return nil, err
	}
	p := dry.Begin("gradients")
	m.Forward(p, a)
	m.Backward(p, a, Gradients{Scale: 1, Complete: func(_ *gpu.Pass, q *Param) {
		values = append(values, q.Grad.Elements())
	}})
	return values, p.End()
}

// Hash is of all that makes up the weight on its device: its words, its scales and its master.
func (p *Param) Hash(d gpu.Device) (string, error) {
	h := sha256.New()
	for _, t := range []gpu.Tensor{p.Weight, p.Scales, p.Master} {
		if t.None() {
			continue
		}
		words := make([]uint32, min(t.Spec.Words(), gpu.StagingBytes/4))
		var bytes []byte
		for at := 0; at < t.Spec.Words(); at += len(words) {
			part := words[:min(len(words), t.Spec.Words()-at)]
			if err := d.Read(t, at, part); err != nil {
				return "", err
			}
			bytes = bytes[:0]
			for _, w := range part {
				bytes = binary.LittleEndian.AppendUint32(bytes, w)
			}
			h.Write(bytes)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
