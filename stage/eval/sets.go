package eval

import (
	"context"
	"iter"
	"os"
	"sync/atomic"

	"steplm/data"
)

// Set is something to measure perplexity on. It may be run again and again,
// one run at a time.
type Set struct {
	Name string
	Run  func(ctx context.Context, m Model, o Options) (SetResult, error)
	// Share is how much of the whole set the current run has got through, from
	// 0 to 1, for progress: Options.Progress may ask it. It counts texts when
	// they are read, so it may be a batch ahead.
	Share func() float64
}

// SetResult is the perplexity of a Set, in the unit that is reported for it.
type SetResult struct {
	Name       string  `json:"name"`
	Perplexity float64 `json:"perplexity"` // per Unit
	Unit       string  `json:"unit"`       // token or word
	Tokens     int64   `json:"tokens"`     // scored
	// Detail is the Result or the WikiTextResult, with the protocol.
	Detail any `json:"detail"`
}

// TokenSet measures token perplexity on the documents of shards, in order,
// packed as training packs them.
func TokenSet(name string, s *data.Shards, t data.Tokenizer) Set {
	at := &meter{}
	return tokenSet(name, at, t, func() iter.Seq2[string, error] { return at.count(documents(s), s.Rows(), one) })
}

// TextSet measures token perplexity on a text file, as one document.
func TextSet(name, path string, t data.Tokenizer) Set {
	at := &meter{}
	set := tokenSet(name, at, wholeText{t, at}, func() iter.Seq2[string, error] { return textFile(path) })
	run := set.Run
	set.Run = func(ctx context.Context, m Model, o Options) (SetResult, error) {
		hear := o.Progress
		o.Progress = func(tokens int64) {
			at.done.Store(tokens)
			if hear != nil {
				hear(tokens)
			}
		}
		return run(ctx, m, o)
	}
	return set
}

// wholeText tells a meter how many tokens the one text of a TextSet has.
type wholeText struct {
	data.Tokenizer
	at *meter
}

func (w wholeText) Encode(text string) []uint32 {
	ids := w.Tokenizer.Encode(text)
	w.at.start(int64(len(ids)))
	return ids
}

func tokenSet(name string, at *meter, t data.Tokenizer, texts func() iter.Seq2[string, error]) Set {
	return Set{Name: name, Share: at.share, Run: func(ctx context.Context, m Model, o Options) (SetResult, error) {
		endOfText, err := data.Separator(t)
		if err != nil {
			return SetResult{}, err
		}
		at.start(0)
		r, err := Perplexity(ctx, m, Encoded(texts(), t.Encode, endOfText), o)
		if err != nil {
			return SetResult{}, err
		}
		return SetResult{Name: name, Perplexity: r.Perplexity, Unit: r.Unit, Tokens: r.Tokens, Detail: r}, nil
	}}
}

// WikiTextSet measures word perplexity on WikiText: on a raw text file such as
// wiki.test.raw, or on Parquet rows (see Texts). Its name is wikitext.
func WikiTextSet(path string, t data.Tokenizer) Set {
	const name = "wikitext"
	at := &meter{}
	return Set{Name: name, Share: at.share, Run: func(ctx context.Context, m Model, o Options) (SetResult, error) {
		endOfText, err := data.Separator(t)
		if err != nil {
			return SetResult{}, err
		}
		at.start(0)
		var pages iter.Seq2[string, error]
		if info, err := os.Stat(path); err == nil && data.IsPlainText(path) {
			pages = at.count(Pages(textFile(path)), info.Size(), func(page string) int { return len(page) })
		} else {
			s, err := data.Open(path)
			if err != nil {
				return SetResult{}, err
			}
			pages = Pages(at.count(documents(s), s.Rows(), one))
		}
		r, err := WikiText(ctx, m, pages, t.Encode, endOfText, o)
		if err != nil {
			return SetResult{}, err
		}
		return SetResult{Name: name, Perplexity: r.WordPerplexity, Unit: r.Unit, Tokens: r.Tokens, Detail: r}, nil
	}}
}

// Texts reads the rows of data (a directory, a pattern or a file, as data.Open
// has it), their text in a column, or a file of any other kind as one text.
func Texts(path, column string) (iter.Seq2[string, error], error) {
	if data.IsPlainText(path) {
		return textFile(path), nil
	}
	s, err := data.OpenColumn(path, column)
	if err != nil {
		return nil, err
	}
	return documents(s), nil
}

func documents(s *data.Shards) iter.Seq2[string, error] { return texts(s.Documents(data.Position{})) }

func textFile(path string) iter.Seq2[string, error] { return texts(data.RawText(path)) }

func texts(docs iter.Seq2[data.Document, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for d, err := range docs {
			if !yield(d.Text, err) {
				return
			}
		}
	}
}

// meter is how far a run has got; a terminal may ask from another goroutine.
type meter struct{ done, total atomic.Int64 }

func (m *meter) start(total int64) {
	m.done.Store(0)
	m.total.Store(total)
}

func (m *meter) share() float64 {
	total := m.total.Load()
	if total < 1 {
		return 0
	}
	return min(1, float64(m.done.Load())/float64(total))
}

// count adds up the sizes of what is read.
func (m *meter) count(texts iter.Seq2[string, error], total int64, size func(string) int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.start(total)
		for text, err := range texts {
			m.done.Add(int64(size(text)))
			if !yield(text, err) {
				return
			}
		}
	}
}

func one(string) int { return 1 }
