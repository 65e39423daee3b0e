package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync/atomic"
)

// Documents is a tokenizer for documents of which nobody knows who wrote them: the names of special tokens in their
// texts, such as <|endoftext|>, are ordinary text, so that no document can end itself or speak for the user.
type Documents struct {
	*Tokenizer
	names atomic.Int64
}

// NewDocuments is t for documents.
func NewDocuments(t *Tokenizer) *Documents { return &Documents{Tokenizer: t} }

// Encode is the Tokenizer's AppendDocument.
func (d *Documents) Encode(text string) ([]uint32, error) {
	return d.AppendEncode(capacity(text, 0), text)
}

// AppendEncode appends what Encode returns to ids.
func (d *Documents) AppendEncode(ids []uint32, text string) ([]uint32, error) {
	ids, names, err := d.AppendDocument(ids, text)
	if names > 0 {
		d.names.Add(int64(names))
	}
	return ids, err
}

// Names is how often the name of a special token stood in the texts so far.
func (d *Documents) Names() int64 { return d.names.Load() }

// Hash is another than the Tokenizer's, if there are special tokens: the ids of a text may be others.
func (d *Documents) Hash() string {
	if !slices.ContainsFunc(d.def.added, func(a addedToken) bool { return a.Special }) {
		return d.hash
	}
	sum := sha256.Sum256([]byte(d.hash + ": the names of special tokens are text"))
	return hex.EncodeToString(sum[:])
}
