package data

import (
	"fmt"
	"iter"
)

// Window is T inputs and the T targets that follow them.
type Window struct {
	Inputs, Targets []uint32 // (T)
	Tokens          int      // targets that count; the rest are Ignored
}

// Windows packs documents as the Loader does, once and in order: every id of
// the stream but the first is a target exactly once. The last window is filled
// up with end-of-text inputs and Ignored targets. A stream without a single
// target is an error; after an error the sequence ends. Each Window has its own
// memory.
func Windows(docs iter.Seq2[Document, error], t Tokenizer, seqLen int) iter.Seq2[Window, error] {
	return func(yield func(Window, error) bool) {
		if seqLen < 1 {
			yield(Window{}, fmt.Errorf("sequence length %d: must be at least 1", seqLen))
			return
		}
		enc, err := newEncoder(t)
		if err != nil {
			yield(Window{}, err)
			return
		}
		var ids []uint32 // not yet handed out
		whole := 0       // windows handed out
		for doc, err := range docs {
			if err != nil {
				yield(Window{}, err)
				return
			}
			more, err := enc.encode(doc)
			if err != nil {
				yield(Window{}, err)
				return
			}
			ids = append(ids, more...)
			at := 0
			for ; len(ids)-at > seqLen; at += seqLen {
				if !yield(cutWindow(ids[at:], seqLen, enc.eot), nil) {
					return
				}
				whole++
			}
			ids = append(ids[:0], ids[at:]...)
		}
		if len(ids) > 1 {
			yield(cutWindow(ids, seqLen, enc.eot), nil)
			return
		}
		if whole == 0 {
			yield(Window{}, fmt.Errorf("the text has %d tokens; predicting takes at least 2", len(ids)))
		}
	}
}

// cutWindow copies the first window of ids, filled up where they end.
func cutWindow(ids []uint32, seqLen int, eot uint32) Window {
	w := Window{Inputs: make([]uint32, seqLen), Targets: make([]uint32, seqLen), Tokens: min(seqLen, len(ids)-1)}
	copy(w.Inputs, ids[:w.Tokens])
	copy(w.Targets, ids[1:1+w.Tokens])
	for i := w.Tokens; i < seqLen; i++ {
		w.Inputs[i], w.Targets[i] = eot, Ignored
	}
	return w
}
