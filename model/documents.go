package model

import (
	"fmt"
	"slices"

	"steplm/gpu"
	"steplm/wgsl"
	"steplm/wgsl/attention"
)

// What attention and positions make of the documents in a window.
const (
	MaskNone          = "none"      // attention crosses documents
	MaskDocuments     = "documents" // it stays inside each
	PositionsContinue = "continue"  // positions count from the window's first
	PositionsRestart  = "restart"   // they count from each document's first in the window
)

// Documents is what is made of documents. The zero value, and the words none and continue, are what
// training did always.
//
// Scores depend on the distance of two positions alone, so that inside documents both ways of counting
// give the same numbers but for rounding; across documents they do not.
type Documents struct {
	Mask      string `json:"mask,omitempty"`
	Positions string `json:"positions,omitempty"`
}

// Resolved is the same with empty words for the default ones, so that a recipe has one spelling.
func (d Documents) Resolved() (Documents, error) {
	switch d.Mask {
	case MaskDocuments:
	case MaskNone, "":
		d.Mask = ""
	default:
		return d, fmt.Errorf("mask %q: choose %s or %s", d.Mask, MaskNone, MaskDocuments)
	}
	switch d.Positions {
	case PositionsRestart:
	case PositionsContinue, "":
		d.Positions = ""
	default:
		return d, fmt.Errorf("positions %q: choose %s or %s", d.Positions, PositionsContinue, PositionsRestart)
	}
	return d, nil
}

// Attention goes on a sentence that begins with that word.
func (d Documents) Attention() string {
	text := "crosses documents"
	if d.masked() {
		text = "stays inside documents"
	}
	if d.restarts() {
		text += ", in each of which positions restart"
	}
	return text
}

func (d Documents) masked() bool   { return d.Mask == MaskDocuments }
func (d Documents) restarts() bool { return d.Positions == PositionsRestart }

// bounded reports whether a query may attend to less than all before it: to its document, or to a sliding window.
func (a *Activations) bounded() bool { return a.masked() || a.window > 0 }

// documents makes what documents need besides: the bounds of each, which in training stand behind
// delta (see package attention), and the angles of every row.
func (m activationMaker) documents(a *Activations) {
	rows, half := m.s.Rows(), m.l.HeadDim()/2
	if a.bounded() && a.train {
		a.delta = m.wide("delta.documents", m.s.Batch*(m.l.Heads+2), m.s.SeqLen)
		a.bounds = a.delta
	} else if a.bounded() {
		a.bounds = m.wide("documents", 2*m.s.Batch, m.s.SeqLen)
	}
	if m.s.restarts() {
		a.positions = m.index("batch.positions", rows)
		a.rowCos, a.rowSin = m.wide("rope.row_cos", rows, half), m.wide("rope.row_sin", rows, half)
	}
}

// loadDocuments writes where documents begin, see Load, and what a sliding window leaves of them.
func (a *Activations) loadDocuments(begins []uint32) error {
	if !a.bounded() && !a.restarts() {
		return nil
	}
	documents, err := attention.Bounds(begins, a.Batch, a.SeqLen)
	if err != nil {
		return err
	}
	a.divided = a.window > 0 || a.masked() && slices.ContainsFunc(begins, func(at uint32) bool { return at > 0 })
	if a.divided {
		bounds := slices.Clone(documents)
		if !a.masked() {
			if bounds, err = attention.Bounds(nil, a.Batch, a.SeqLen); err != nil {
				return err
			}
		}
		if a.window > 0 {
			attention.Slide(bounds, a.Batch, a.SeqLen, a.window)
		}
		if err := gpu.WriteRows(a.dev, a.bounds, a.bounds.Rows()-2*a.Batch, bounds); err != nil {
			return err
		}
	}
	if !a.restarts() {
		return nil
	}
	positions := make([]uint32, a.Rows())
	for i := range positions {
		positions[i] = uint32(i%a.SeqLen) - uint32(documents[i])
	}
	return a.dev.Write(a.positions, 0, positions)
}

// products is where the backward kernels of attention keep theirs: with bounds behind them, or alone where
// nothing narrows what a query attends to.
func (a *Activations) products() gpu.Tensor {
	if a.bounded() && !a.divided {
		return a.delta.Part(0, a.delta.Rows()-2*a.Batch)
	}
	return a.delta
}

// angles looks up those of every row where positions restart.
func (a *Activations) angles(p *gpu.Pass) {
	if a.restarts() {
		wgsl.EmbedForward(p, a.rowCos, a.cos, a.positions)
		wgsl.EmbedForward(p, a.rowSin, a.sin, a.positions)
	}
}

// rope is the tables of angles and the shape by which they are read: of positions, or of rows.
func (m *Model) rope(a *Activations) (cos, sin gpu.Tensor, s attention.Shape) {
	s = m.attention(a)
	if !a.restarts() {
		return a.cos, a.sin, s
	}
	s.B, s.T = 1, a.Rows()
	return a.rowCos, a.rowSin, s
}
