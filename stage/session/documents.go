package session

import (
	"errors"
	"slices"
	"strings"

	"steplm/data/tokenizer"
	"steplm/model/advice"
	"steplm/model/export"
)

// The tokens around each document of the training data. With none of them a model cannot tell where a document ends.
const (
	DocumentTokensAuto   = "auto"    // a beginning where the tokenizer puts one itself or one is named, and an end
	DocumentTokensEOS    = "eos"     // an end
	DocumentTokensBOSEOS = "bos-eos" // a beginning and an end
	DocumentTokensNone   = "none"    // nothing
)

// DocumentTokens are the choices, the default first.
var DocumentTokens = []string{DocumentTokensAuto, DocumentTokensEOS, DocumentTokensBOSEOS, DocumentTokensNone}

// Documents is a tokenizer for the documents of d, its special tokens chosen.
func (d Data) Documents(t *tokenizer.Tokenizer) (*tokenizer.Documents, error) {
	o := tokenizer.DocumentOptions{ParseSpecial: d.ParseSpecial}
	if d.DocumentTokens != "" && !slices.Contains(DocumentTokens, d.DocumentTokens) {
		return nil, badOption("document_tokens", d.DocumentTokens, "it must be %s", strings.Join(DocumentTokens, ", "))
	}
	t, err := t.WithEnd(d.EOS)
	if err == nil {
		t, err = t.WithBegin(d.BOS, d.DocumentTokens == DocumentTokensBOSEOS)
	}
	var special *tokenizer.SpecialError
	if errors.As(err, &special) {
		return nil, badOption(advice.Option(special.Option), special.Asked, "%s", special.Why)
	}
	if err != nil {
		return nil, err
	}
	_, begins := t.BeginOfText()
	o.NoEnd = d.DocumentTokens == DocumentTokensNone
	o.Begin = begins && d.DocumentTokens != DocumentTokensEOS && !o.NoEnd
	return tokenizer.NewDocuments(t, o), nil
}

// chooseTokens takes the special tokens of the run, which its Spec then names. A run that was begun before there was a
// choice goes on with what it had.
func (s *Session) chooseTokens(t *tokenizer.Tokenizer) (err error) {
	d := &s.Spec.Data
	name := func(to *string, c *tokenizer.Chosen) {
		if *to == "" && c != nil {
			*to = t.Name(c.ID)
		}
	}
	if s.Resumed {
		name(&d.EOS, t.End())
	}
	if s.documents, err = d.Documents(t); err != nil {
		return err
	}
	s.Tokenizer = s.documents.Tokenizer
	name(&d.EOS, s.Tokenizer.End())
	name(&d.BOS, s.Tokenizer.Begin())
	return nil
}

// AroundDocuments says which tokens stand around each document, and why these.
func (s *Session) AroundDocuments() string { return s.documents.Around() }

// text is what the run trains with on the side of text.
func (s *Session) text() export.Text {
	text := export.Text{Tokenizer: s.Tokenizer, Context: s.Recipe.Batch.SeqLen}
	if s.Recipe.Init != nil { // which knew its own positions
		text.Context = 0
	}
	text.BOS, text.EOS = SpecialIDs(s.Tokenizer)
	if t, ok := s.read.(*tuning); ok {
		text.ChatTemplate = t.template()
	}
	return text
}

// SpecialIDs are the ids of the tokens that begin and end a text as an exported model has them; nil: there is none.
// Where the tokenizer has no beginning of its own, what ends a document also begins the next.
func SpecialIDs(t *tokenizer.Tokenizer) (bos, eos *int) {
	if id, ok := t.EndOfText(); ok {
		n := int(id)
		bos, eos = &n, &n
	}
	if id, ok := t.BeginOfText(); ok {
		n := int(id)
		bos = &n
	}
	return bos, eos
}

// SpecialNames is how often the name of a special token stood in documents that were tokenized so far, and was taken
// for ordinary text. What a token cache holds is not among it.
func (s *Session) SpecialNames() int64 {
	return s.documents.Names()
}
