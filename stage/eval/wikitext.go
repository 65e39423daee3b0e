package eval

import (
	"context"
	"errors"
	"iter"
	"math"
	"strings"
)

// WikiTextResult is WikiText's word perplexity as lm-evaluation-harness
// reports it for its task "wikitext". The model is scored on the detokenized
// pages while words and bytes are counted on the pages as they come, so that
// models with different tokenizers share one denominator.
type WikiTextResult struct {
	WordPerplexity float64 // e^(NLL/Words)
	BytePerplexity float64 // e^(NLL/Bytes)
	BitsPerByte    float64 // NLL/Bytes/ln 2
	NLL            float64 // nats, the sum over all tokens
	Pages          int64
	Words          int64 // pieces between white space, before detokenizing
	Bytes          int64 // UTF-8, before detokenizing
	Tokens         int64 // of the detokenized pages, all of them scored
	Context        int
}

func (r WikiTextResult) result(task string) Result {
	return Result{task, map[string]Metric{
		wordPerplexityMetric: {Value: r.WordPerplexity}, "byte_perplexity": {Value: r.BytePerplexity},
		"bits_per_byte": {Value: r.BitsPerByte}, "nll": {Value: r.NLL}, "pages": count(r.Pages),
		"words": count(r.Words), "bytes": count(r.Bytes), tokensMetric: count(r.Tokens),
	}, Protocol{Unit: unitWord, Context: r.Context}}
}

// WikiText scores whole pages (see Pages), each for itself: detokenized,
// encoded without special tokens, cut into rolling windows of Context
// positions (see Rolling), the first conditioned on prefix, the end-of-text
// token. MaxTokens ends after the page that reaches it, because the word count
// of a page is only defined for a whole one. Stride is not used.
func WikiText(ctx context.Context, m Model, pages iter.Seq2[string, error], encode func(string) ([]uint32, error),
	prefix uint32, o Options) (WikiTextResult, error) {
	o.Stride = 0
	o, err := o.resolve(m)
	if err != nil {
		return WikiTextResult{}, err
	}
	r := WikiTextResult{Context: o.Context}
	s := newScorer(ctx, m, o.hear)
	planned := int64(0)
	for page, err := range pages {
		if err != nil {
			return WikiTextResult{}, err
		}
		r.Pages++
		r.Words += int64(CountWords(page))
		r.Bytes += int64(len(page))
		ids, err := encode(Detokenize(page))
		if err != nil {
			return WikiTextResult{}, err
		}
		if err := Rolling(ids, prefix, o.Context, alone(s.add)); err != nil {
			return WikiTextResult{}, err
		}
		planned += int64(len(ids))
		if o.MaxTokens > 0 && planned >= o.MaxTokens {
			break
		}
	}
	if err := s.flush(); err != nil {
		return WikiTextResult{}, err
	}
	if s.tokens == 0 {
		return WikiTextResult{}, errors.New("eval: WikiText has no page with text; is the data set empty?")
	}
	r.NLL, r.Tokens = s.nll, s.tokens
	r.BitsPerByte = r.NLL / float64(r.Bytes) / math.Ln2
	if r.BytePerplexity, err = exp(r.NLL / float64(r.Bytes)); err != nil {
		return WikiTextResult{}, err
	}
	r.WordPerplexity, err = exp(r.NLL / float64(r.Words))
	return r, err
}

// alone adds windows of one document.
func alone(add func(inputs, targets, begins []uint32, skip int) error) func([]uint32, []uint32, int) error {
	return func(inputs, targets []uint32, skip int) error { return add(inputs, targets, nil, skip) }
}

// Rolling cuts a page's ids into the windows of lm-evaluation-harness
// (get_rolling_token_windows with context_len 1, then make_disjoint_window)
// and hands them to add as (inputs, targets, leading targets not counted).
//
// Each id is predicted once. The first window starts with prefix and predicts
// up to context ids; every full window after it predicts the next context ids,
// its first from one id alone, the last predicted one. The last window of a
// longer page has fewer ids left to predict and is filled from before: it
// reads the context ids before the page's last and counts only what is new.
func Rolling(ids []uint32, prefix uint32, context int, add func(inputs, targets []uint32, skip int) error) error {
	if len(ids) == 0 {
		return nil
	}
	first := min(context, len(ids))
	inputs := append([]uint32{prefix}, ids[:first-1]...)
	if err := add(inputs, ids[:first], 0); err != nil {
		return err
	}
	for done := first; done < len(ids); {
		end := min(done+context, len(ids))
		start := end - context
		if err := add(ids[start-1:end-1], ids[start:end], done-start); err != nil {
			return err
		}
		done = end
	}
	return nil
}

// Pages joins rows of WikiText back to whole pages. A row may be one line with
// or without its line break (the rows of the published Parquet files, where an
// empty line is an empty row), any number of lines, or a whole file such as
// wiki.test.raw; all of them give the same pages, byte for byte.
//
// A page begins at a line that is a title of the first level, " = Title = ";
// what stands before the first title is a page only if it is not blank. Lines
// are joined by "\n", which makes them the pages of the data set
// EleutherAI/wikitext_document_level.
func Pages(rows iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var page []string
		for line, err := range lines(rows) {
			if err != nil {
				yield("", err)
				return
			}
			if isTitle(line) {
				if text := strings.Join(page, "\n"); trimSpace(text) != "" && !yield(text, nil) {
					return
				}
				page = page[:0]
			}
			page = append(page, line)
		}
		if text := strings.Join(page, "\n"); trimSpace(text) != "" {
			yield(text, nil)
		}
	}
}

// lines are the rows' lines without their breaks. In WikiText's raw files an
// empty line holds one space, which the Parquet rows have lost; and a raw file
// ends in a line break, behind which stands an empty last line.
func lines(rows iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		none := true
		for row, err := range rows {
			if err != nil {
				yield("", err)
				return
			}
			none = false
			if row == "" {
				row = " "
			}
			for line := range strings.SplitSeq(strings.TrimSuffix(row, "\n"), "\n") {
				if !yield(line, nil) {
					return
				}
			}
		}
		if !none {
			yield("", nil)
		}
	}
}

// isTitle tells a title of the first level, " = Title = ", from a section's,
// " = = Section = = ", by closing up the deeper levels' signs first.
func isTitle(line string) bool {
	line = strings.ReplaceAll(line, "= = =", "===")
	line = strings.ReplaceAll(line, "= =", "==")
	line = trimSpace(line)
	return strings.HasPrefix(line, "= ") && strings.HasSuffix(line, " =")
}

// CountWords is the number of pieces that runs of white space separate. White
// space at an end separates an empty piece, which counts: this is how
// lm-evaluation-harness gets 241,335 words in WikiText-2's test split.
func CountWords(page string) int {
	n, inside := 1, false
	for _, r := range page {
		space := IsSpace(r)
		if space && !inside {
			n++
		}
		inside = space
	}
	return n
}

// IsSpace is Python's idea of white space, which has the separators U+001C to
// U+001F that Go's lacks.
func IsSpace(r rune) bool {
	switch {
	case r >= '\t' && r <= '\r', r >= 0x1c && r <= ' ', r == 0x85, r == 0xa0,
		r == 0x1680, r >= 0x2000 && r <= 0x200a, r == 0x2028, r == 0x2029,
		r == 0x202f, r == 0x205f, r == 0x3000:
		return true
	}
	return false
}

func trimSpace(s string) string { return strings.TrimFunc(s, IsSpace) }
