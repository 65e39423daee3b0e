package session

import (
	"fmt"
	"strings"

	"steplm/data/tokenizer"
)

// The tokens around each document of the training data. Between documents there must be one, or else a model could not
// tell where one ends.
const (
	DocumentTokensAuto   = "auto"    // a beginning where the tokenizer's own post-processor puts one, and an end
	DocumentTokensEOS    = "eos"     // an end
	DocumentTokensBOSEOS = "bos-eos" // a beginning and an end
)

// DocumentTokens are the choices, the default first.
var DocumentTokens = []string{DocumentTokensAuto, DocumentTokensEOS, DocumentTokensBOSEOS}

// Documents is a tokenizer for the documents of d.
func (d Data) Documents(t *tokenizer.Tokenizer) (*tokenizer.Documents, error) {
	_, begins := t.BeginOfText()
	o := tokenizer.DocumentOptions{ParseSpecial: d.ParseSpecial}
	switch d.DocumentTokens {
	case DocumentTokensAuto, "":
		o.Begin = begins
	case DocumentTokensEOS:
	case DocumentTokensBOSEOS:
		if !begins {
			return nil, badOption("document_tokens", d.DocumentTokens, "the post-processor of %s puts no token first, "+
				"so that there is nothing to begin a document with", d.Tokenizer)
		}
		o.Begin = true
	default:
		return nil, badOption("document_tokens", d.DocumentTokens, "it must be %s", strings.Join(DocumentTokens, ", "))
	}
	return tokenizer.NewDocuments(t, o), nil
}

// AroundDocuments says which tokens stand around each document.
func (s *Session) AroundDocuments() string {
	describe := func(id uint32) string {
		text, err := s.Tokenizer.Decode([]uint32{id})
		if err != nil { // data.Separator has seen that it is in the vocabulary
			text = "?"
		}
		return fmt.Sprintf("%s (%d)", text, id)
	}
	end, _ := s.Tokenizer.EndOfText()
	text := "after each document " + describe(end)
	if id, ok := s.Tokenizer.BeginOfText(); ok && s.documents.Begins() {
		text = "before each document " + describe(id) + ", " + text
	}
	return text
}
