package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync/atomic"
)

// DocumentOptions say how documents become ids.
type DocumentOptions struct {
	Begin bool // each begins with BeginOfText, which there must be
	NoEnd bool // nothing stands after a document: the next one follows at once
	// ParseSpecial: the names of special tokens in their texts, such as <|endoftext|>, are these tokens. Otherwise they
	// are ordinary text, so that no document, of which nobody knows who wrote it, can end itself or speak for the user.
	ParseSpecial bool
}

// Documents is a tokenizer for documents. What stands after each is put there by whoever strings them together, unless
// Ends says that nothing does.
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

// EncodeRaw returns the ids of a text that brings its own special tokens, by their names, as chat templates write it:
// nothing stands before it.
func (d *Documents) EncodeRaw(text string) ([]uint32, error) { return d.Tokenizer.Encode(text) }

// Ends reports whether EndOfText stands after each document.
func (d *Documents) Ends() bool { return !d.options.NoEnd }

// Begins reports whether each document begins with BeginOfText.
func (d *Documents) Begins() bool { return d.options.Begin }

// Around says which tokens stand around each document, and why these.
func (d *Documents) Around() string {
	describe := func(c *Chosen) string { return fmt.Sprintf("%s, %s", d.Describe(c.ID), c.Why) }
	if d.options.NoEnd {
		return "nothing between documents"
	}
	text := "after each document "
	if d.end != nil { // data.Separator refuses one without
		text += describe(d.end)
	}
	if d.options.Begin && d.begin != nil {
		text = "before each document " + describe(d.begin) + "; " + text
	}
	return text
}

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
		if d.ownBegin() == nil && d.begin != nil {
			what += fmt.Sprintf(" %d", d.begin.ID)
		}
	}
	if d.options.NoEnd {
		what += ": documents have no end"
	} else if end, earlier := d.end, d.earlierEnd(); end != nil && (earlier == nil || earlier.ID != end.ID) {
		what += fmt.Sprintf(": documents end with %d", end.ID)
	}
	if what == "" {
		return d.hash
	}
	sum := sha256.Sum256([]byte(d.hash + what))
	return hex.EncodeToString(sum[:])
}
