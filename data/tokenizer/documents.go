package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync/atomic"
)

// DocumentOptions say how documents become ids.
type DocumentOptions struct {
	Begin bool // each begins with BeginOfText, which there must be
	// ParseSpecial: the names of special tokens in their texts, such as <|endoftext|>, are these tokens. Otherwise they
	// are ordinary text, so that no document, of which nobody knows who wrote it, can end itself or speak for the user.
	ParseSpecial bool
}

// Documents is a tokenizer for documents. What stands after each is not its concern.
type Documents struct {
	*Tokenizer
	options DocumentOptions
	names   atomic.Int64
}

// NewDocuments is t for documents.
func NewDocuments(t *Tokenizer, o DocumentOptions) *Documents {
	return &Documents{Tokenizer: t, options: o}
}

// Encode returns the ids of a document.
func (d *Documents) Encode(text string) ([]uint32, error) {
	return d.AppendEncode(capacity(text, 1), text)
}

// AppendEncode appends what Encode returns to ids.
func (d *Documents) AppendEncode(ids []uint32, text string) ([]uint32, error) {
	if id, ok := d.BeginOfText(); ok && d.options.Begin {
		ids = append(ids, id)
	}
	if d.options.ParseSpecial {
		return d.Tokenizer.AppendEncode(ids, text)
	}
	ids, names, err := d.AppendDocument(ids, text)
	if names > 0 {
		d.names.Add(int64(names))
	}
	return ids, err
}

// Begins reports whether each document begins with BeginOfText.
func (d *Documents) Begins() bool { return d.options.Begin }

// Names is how often the name of a special token stood in the texts so far, and was ordinary text.
func (d *Documents) Names() int64 { return d.names.Load() }

// Hash is the Tokenizer's where the ids of every text are its own, and another where they may be others.
func (d *Documents) Hash() string {
	what := ""
	if !d.options.ParseSpecial && slices.ContainsFunc(d.def.added, func(a addedToken) bool { return a.Special }) {
		what += ": the names of special tokens are text"
	}
	if d.options.Begin {
		what += ": documents have a beginning"
	}
	if what == "" {
		return d.hash
	}
	sum := sha256.Sum256([]byte(d.hash + what))
	return hex.EncodeToString(sum[:])
}
