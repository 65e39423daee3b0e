package data

import (
	"errors"
	"fmt"
)

// Tokenizer is what packing needs of a tokenizer. Encode may be called from
// several goroutines at a time. Where it also has Hash() string, a Cursor
// remembers it.
type Tokenizer interface {
	Encode(text string) ([]uint32, error)
	VocabSize() int // largest id + 1
	EndOfText() (uint32, bool)
}

// appender is a Tokenizer that needs no slice of its own for each text.
type appender interface {
	AppendEncode(ids []uint32, text string) ([]uint32, error)
}

// ender is a Tokenizer that may want nothing after a document.
type ender interface{ Ends() bool }

// encoder turns documents into ids that are within the vocabulary and end with
// the end-of-text id, unless the tokenizer wants nothing there.
type encoder struct {
	tokenizer Tokenizer
	vocab     uint32
	eot       uint32
	bare      bool // no end-of-text id
}

// Separator is the id between documents, which a tokenizer must have within its
// vocabulary.
func Separator(t Tokenizer) (uint32, error) {
	eot, ok := t.EndOfText()
	if !ok {
		return 0,
			errors.New("the tokenizer has no end-of-text token, which separates documents; add one, such as " +
				"<|endoftext|>")
	}
	if vocab := t.VocabSize(); int64(eot) >= int64(vocab) {
		return 0, fmt.Errorf("the tokenizer's end-of-text id %d is beyond its vocabulary of %d", eot, vocab)
	}
	return eot, nil
}

func newEncoder(t Tokenizer) (encoder, error) {
	eot, err := Separator(t)
	e, ok := t.(ender)
	return encoder{tokenizer: t, vocab: uint32(t.VocabSize()), eot: eot, bare: ok && !e.Ends()}, err
}

func (e encoder) encode(d Document) ([]uint32, error) { return e.append(nil, d) }

// append appends the ids of a document.
func (e encoder) append(to []uint32, d Document) ([]uint32, error) {
	start := len(to)
	if a, ok := e.tokenizer.(appender); ok {
		var err error
		if to, err = a.AppendEncode(to, d.Text); err != nil {
			return nil, fmt.Errorf("shard %d, row %d: %w", d.Shard, d.Row, err)
		}
	} else {
		ids, err := e.tokenizer.Encode(d.Text)
		if err != nil {
			return nil, fmt.Errorf("shard %d, row %d: %w", d.Shard, d.Row, err)
		}
		to = append(to, ids...)
	}
	for i, id := range to[start:] {
		if id >= e.vocab {
			return nil, fmt.Errorf("shard %d, row %d: token %d has id %d, beyond the vocabulary of %d", d.Shard, d.Row,
				i, id, e.vocab)
		}
	}
	if e.bare {
		return to, nil
	}
	return append(to, e.eot), nil
}
