package outer

import (
	"encoding/binary"
	"fmt"

	"steplm/gpu"
	"steplm/model"
)

// SnapshotBytes is the size of a layout's snapshot.
func (c Config) SnapshotBytes(l model.Layout) (n int64) {
	for _, p := range l.Params() {
		if p.Trains() {
			n += 8 * int64(p.Weight.Elements())
			continue
		}
		n += p.Weight.Bytes()
		if p.Scales.Name != "" {
			n += p.Scales.Bytes()
		}
	}
	return n
}

// Snapshot is all that another process needs to go on from here: anchors and momenta of what trains, in f32, and what
// is frozen as it is kept, in the order of the layout's parameters.
func (s *State) Snapshot() ([]byte, error) {
	if err := s.Anchor(); err != nil {
		return nil, err
	}
	out := make([]byte, 0, s.config.SnapshotBytes(s.model.Layout))
	for _, p := range s.model.Params() {
		from, tensors := s.model.Device(), []gpu.Tensor{p.Weight, p.Scales}
		if p.Trainable() {
			planes := s.planes[p.Name]
			from, tensors = s.home, []gpu.Tensor{planes.anchor, planes.momentum}
		}
		for _, t := range tensors {
			if t.None() {
				continue
			}
			words, err := snapshotWords(from, t)
			if err != nil {
				return nil, err
			}
			for _, w := range words {
				out = binary.LittleEndian.AppendUint32(out, w)
			}
		}
	}
	return out, nil
}

// snapshotWords are a tensor's: of f32 planes without padding, of what is frozen as it lies.
func snapshotWords(d gpu.Device, t gpu.Tensor) ([]uint32, error) {
	if t.Class == gpu.Outer {
		values, err := gpu.ReadF32(d, t)
		return gpu.Words(values), err
	}
	words := make([]uint32, t.Words())
	return words, d.Read(t, 0, words)
}

// Restore takes another process's snapshot, of rounds that are done up to a step: weights, anchors and momenta are
// then as there. Residuals begin anew.
func (s *State) Restore(snapshot []byte, done int) error {
	if want := s.config.SnapshotBytes(s.model.Layout); int64(len(snapshot)) != want {
		return fmt.Errorf("a state of %d bytes, this model's has %d", len(snapshot), want)
	}
	take := func(n int) []uint32 {
		words := make([]uint32, n)
		for i := range words {
			words[i] = binary.LittleEndian.Uint32(snapshot[4*i:])
		}
		snapshot = snapshot[4*n:]
		return words
	}
	for _, p := range s.model.Params() {
		if !p.Trainable() {
			for _, t := range []gpu.Tensor{p.Weight, p.Scales} {
				if t.None() {
					continue
				}
				if err := s.model.Device().Write(t, 0, take(t.Words())); err != nil {
					return err
				}
			}
			continue
		}
		planes := s.planes[p.Name]
		anchor, momentum := gpu.Floats(take(p.Weight.Elements())), gpu.Floats(take(p.Weight.Elements()))
		for _, f := range [][]float32{anchor, momentum} {
			if err := allFinite(f); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
		}
		for _, write := range []error{
			gpu.WriteF32(s.home, planes.anchor, anchor), gpu.WriteF32(s.home, planes.momentum, momentum),
			s.model.WriteRows(p, 0, anchor),
		} {
			if write != nil {
				return write
			}
		}
		if !planes.residual.None() {
			if err := gpu.WriteF32(s.home, planes.residual, make([]float32, p.Weight.Elements())); err != nil {
				return err
			}
		}
	}
	s.anchored, s.done, s.frozen = true, done, nil
	return nil
}
