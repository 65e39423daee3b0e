package harness

import (
	"errors"
	"fmt"
	"strings"

	"steplm/data/tokenizer"
	"steplm/model/likelihood"
	"steplm/stage/eval"
)

// Vocabulary makes requests of texts.
type Vocabulary struct {
	tokenizer *tokenizer.Tokenizer
	prefix    eval.Prefix
	beginning string // the prefix token's text
	context   int    // positions of the model's
}

// NewVocabulary is a tokenizer's, for a model with a context of so many positions. Its prefix token is the beginning
// that was chosen for it, else the end.
func NewVocabulary(t *tokenizer.Tokenizer, context int) (*Vocabulary, error) {
	end, ok := t.EndOfText()
	if _, begins := t.BeginOfText(); !ok && !begins {
		return nil, errors.New(
			"the tokenizer has no token that begins or ends a text: nothing can stand before a text " +
				"that has no context",
		)
	}
	v := &Vocabulary{tokenizer: t, prefix: eval.PrefixOf(t, end), context: context}
	var err error
	v.beginning, err = t.Decode([]uint32{v.prefix.ID})
	return v, err
}

// encode is a text's ids, with what the tokenizer puts around it unless the text begins with the prefix token itself.
func (v *Vocabulary) encode(text string) ([]uint32, error) {
	if v.beginning != "" && strings.HasPrefix(text, v.beginning) {
		return v.tokenizer.Encode(text)
	}
	return v.prefix.Encode(text)
}

// pair is the ids of a context and a continuation: blanks at the context's end belong to the continuation, whose ids
// are those of both after as many as the context alone has.
func (v *Vocabulary) pair(context, continuation string) (r likelihood.Request, err error) {
	if context == "" {
		r.Context = []uint32{v.prefix.ID}
		if r.Continuation, err = v.tokenizer.Encode(continuation); err != nil {
			return r, err
		}
		if ids := r.Continuation; len(ids) > 0 && ids[0] == v.prefix.ID {
			r.Context, r.Continuation = ids[:1], ids[1:]
		}
		return r, v.fits(r)
	}
	bare := strings.TrimRightFunc(context, eval.IsSpace)
	continuation = context[len(bare):] + continuation
	whole, err := v.encode(bare + continuation)
	if err != nil {
		return r, err
	}
	if r.Context, err = v.encode(bare); err != nil {
		return r, err
	}
	r.Continuation = whole[min(len(r.Context), len(whole)):]
	return r, v.fits(r)
}

// fits refuses what cannot be asked.
func (v *Vocabulary) fits(r likelihood.Request) error {
	switch {
	case len(r.Context) == 0:
		return errors.New("the context is nothing but blanks, and has no token that begins it")
	case len(r.Continuation) == 0:
		return errors.New("the continuation adds no token to its context")
	case len(r.Continuation) > v.context:
		return &LongError{len(r.Continuation), v.context}
	}
	return nil
}

// LongError is a continuation that has more tokens than the model's context has positions.
type LongError struct{ Tokens, Context int }

func (e *LongError) Error() string {
	return fmt.Sprintf("the continuation has %d tokens, the model a context of %d", e.Tokens, e.Context)
}

// cut keeps the last tokens of a request, as many as a model with this context can be asked of.
func (v *Vocabulary) cut(r likelihood.Request) (_ likelihood.Request, cut int) {
	if cut = len(r.Context) + len(r.Continuation) - v.context - 1; cut <= 0 {
		return r, 0
	}
	r.Context = r.Context[cut:]
	return r, cut
}

// rolling is the requests whose likelihoods add up to a text's. No tokens are no request.
func (v *Vocabulary) rolling(text string) (list []likelihood.Request, err error) {
	ids, err := v.encode(text)
	if err != nil {
		return nil, err
	}
	return list, eval.Rolling(ids, v.prefix.ID, v.context, func(inputs, targets []uint32, skip int) error {
		list = append(list, likelihood.Request{Context: inputs[:skip+1], Continuation: targets[skip:]})
		return nil
	})
}
