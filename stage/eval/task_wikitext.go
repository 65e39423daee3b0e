package eval

import (
	"context"
	"iter"
	"os"

	"steplm/data"
)

// wikitextKind is word perplexity on WikiText: on a raw text file such as wiki.test.raw, or on Parquet
// rows (see Texts).
var wikitextKind = kind{"wikitext", func(s Source) (Task, error) {
	_, err := Texts(s.Path, s.Column)
	return wikitextTask{s}, err
}}

type wikitextTask struct{ Source }

func (t wikitextTask) Name() string { return t.Source.Name }

func (t wikitextTask) Run(ctx context.Context, m Model, o Options) (Result, error) {
	endOfText, err := data.Separator(t.Tokenizer)
	if err != nil {
		return Result{}, err
	}
	at := meter{}
	o.share = func(int64) float64 { return at.share() }
	var pages iter.Seq2[string, error]
	if info, err := os.Stat(t.Path); err == nil && data.IsPlainText(t.Path) {
		at.total = info.Size()
		pages = at.count(Pages(textFile(t.Path)), func(page string) int { return len(page) })
	} else {
		shards, err := t.rows()
		if err != nil {
			return Result{}, err
		}
		at.total = shards.Rows()
		pages = Pages(at.count(documents(shards), one))
	}
	r, err := WikiText(ctx, m, pages, t.Tokenizer.Encode, endOfText, o)
	if err != nil {
		return Result{}, err
	}
	return r.result(t.Name()), nil
}
