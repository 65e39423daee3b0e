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
	_, err := Texts(s)
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
		shards, err := t.Rows()
		if err != nil {
			return Result{}, err
		}
		at.total = shards.Rows()
		pages = Pages(at.count(documents(shards), one))
	}
	begins := PrefixOf(t.Tokenizer, endOfText)
	r, err := WikiText(ctx, m, pages, begins.Encode, begins.ID, o)
	if err != nil {
		return Result{}, err
	}
	result := r.result(t.Name())
	result.Protocol.Prefix = begins.What
	return result, nil
}

// Prefix is what a text's first window begins with, and how texts become ids.
type Prefix struct {
	ID     uint32
	Encode func(string) ([]uint32, error)
	What   string // as Protocol has it
}

// PrefixOf is lm-evaluation-harness's rule: the beginning token if the tokenizer has one, which then stands before the
// text's own ids too where its post-processor puts it there; otherwise the token that ends texts.
func PrefixOf(t data.Tokenizer, endOfText uint32) Prefix {
	if b, ok := t.(interface {
		BeginOfText() (uint32, bool)
		EncodeWithSpecial(text string) ([]uint32, error)
	}); ok {
		if id, ok := b.BeginOfText(); ok {
			if alone, err := b.EncodeWithSpecial(""); err == nil && (len(alone) == 0 || alone[0] != id) {
				return Prefix{id, t.Encode, "BOS, which the tokenizer does not add"}
			}
			return Prefix{id, b.EncodeWithSpecial, "BOS, which the tokenizer adds as well"}
		}
	}
	return Prefix{endOfText, t.Encode, ""}
}
