package eval

import (
	"context"
	"os"

	"steplm/data"
)

// textKind is token perplexity on a text file, as one document.
var textKind = kind{"text", func(s Source) (Task, error) {
	_, err := os.Stat(s.Path)
	return textTask{s.Name, s.Path, s.Tokenizer}, err
}}

type textTask struct {
	name, path string
	tokenizer  data.Tokenizer
}

func (t textTask) Name() string { return t.name }

func (t textTask) Run(ctx context.Context, m Model, o Options) (Result, error) {
	endOfText, err := data.Separator(t.tokenizer)
	if err != nil {
		return Result{}, err
	}
	at := meter{}
	encode := func(text string) ([]uint32, error) {
		ids, err := t.tokenizer.Encode(text)
		at.total = int64(len(ids))
		return ids, err
	}
	o.share = func(tokens int64) float64 {
		at.done = tokens
		return at.share()
	}
	r, err := Perplexity(ctx, m, Encoded(textFile(t.path), encode, endOfText), o)
	if err != nil {
		return Result{}, err
	}
	return r.result(t.name), nil
}
