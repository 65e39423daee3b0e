package eval

import (
	"context"

	"steplm/data"
)

// documentsKind is token perplexity on the documents of shards, in order, packed as training packs
// them.
var documentsKind = kind{"documents", func(s Source) (Task, error) {
	shards, err := s.Rows()
	return documentsTask{s.Name, shards, s.Tokenizer}, err
}}

type documentsTask struct {
	name      string
	shards    *data.Shards
	tokenizer data.Tokenizer
}

func (t documentsTask) Name() string { return t.name }

func (t documentsTask) Run(ctx context.Context, m Model, o Options) (Result, error) {
	endOfText, err := data.Separator(t.tokenizer)
	if err != nil {
		return Result{}, err
	}
	at := meter{total: t.shards.Rows()}
	o.share = func(int64) float64 { return at.share() }
	r, err := Perplexity(ctx, m, Encoded(at.count(documents(t.shards), one), t.tokenizer.Encode, endOfText), o)
	if err != nil {
		return Result{}, err
	}
	return r.result(t.name), nil
}
