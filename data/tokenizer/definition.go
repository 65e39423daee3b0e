package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"steplm/data/tokenizer/internal/decode"
	"steplm/data/tokenizer/internal/normalize"
	"steplm/data/tokenizer/internal/postprocess"
	"steplm/data/tokenizer/internal/pretokenize"
	"steplm/data/tokenizer/internal/runes"
	"steplm/data/tokenizer/internal/subword"
)

// definition is all that a tokenizer is made of, whatever its source: a file or training.
type definition struct {
	added      []addedToken
	normalizer normalize.Chain
	pre        *pretokenize.Chain
	model      subword.Model // a BPE is compiled once it is known what its words are
	post       postprocess.Processor
	decoder    decode.Chain
}

// byteLevel is the parts of GPT-2's kind with a model.
func byteLevel(o subword.BPEOptions, added []addedToken) (definition, error) {
	pre, err := pretokenize.New(pretokenize.NewByteLevel(false, true))
	return definition{added: added, pre: pre, model: subword.NewBPE(o),
		decoder: decode.Chain{decode.NewByteLevel(false)}}, err
}

// compile checks d and builds the tokenizer. Its errors say what is wrong, not in which file.
func (d definition) compile() (*Tokenizer, error) {
	words, model, err := d.compileModel()
	if err != nil {
		return nil, err
	}
	d.model = model
	t := &Tokenizer{def: d, raw: newFinder(), normalized: newFinder(), model: model, words: words, known: wordsPool()}
	if t.tokens, err = d.tokens(); err != nil {
		return nil, err
	}
	for _, a := range d.added {
		if err := a.check(); err != nil {
			return nil, err
		}
		if !a.Normalized {
			t.raw.add(a.Content, a)
			continue
		}
		normalized, err := d.normalizer.Normalize(a.Content)
		if err != nil {
			return nil, err
		}
		if normalized == "" {
			return nil, fmt.Errorf("added token %q is normalized to nothing", a.Content)
		}
		if id, n := t.normalized.find(normalized); n == len(normalized) {
			return nil, fmt.Errorf("added tokens %q and %q are both %q once they are normalized",
				t.normalized.tokens[id].Content, a.Content, normalized)
		}
		t.normalized.add(normalized, a)
		t.tokens[a.ID] = normalized // the reference decodes to what it finds
	}
	if d.decoder.JustBytes() {
		t.pieces = make([]string, len(t.tokens))
		for id, token := range t.tokens {
			t.pieces[id], _ = runes.TokenBytes(token)
		}
	}
	if d.post != nil {
		if t.prefix, t.suffix, err = d.post.IDs(len(t.tokens)); err != nil {
			return nil, fmt.Errorf("post_processor: %w", err)
		}
	}
	content, err := d.marshal()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	t.hash = hex.EncodeToString(sum[:])
	return t, nil
}

// spaceMark stands for a space in SentencePiece's vocabularies.
const spaceMark = "▁"

// runs cuts before every mark that follows something else.
type runs struct{}

func (runs) Next(s string, i int) int {
	for strings.HasPrefix(s[i:], spaceMark) {
		i += len(spaceMark)
	}
	return pretokenize.NextMark(s, i, spaceMark)
}

// compileModel settles what the model's words are: bytes where that comes to the same, since it is faster, and parts of
// the text where the model would not merge over the cuts.
func (d definition) compileModel() (*pretokenize.Chain, subword.Model, error) {
	draft, ok := d.model.(*subword.BPE)
	if !ok {
		return d.pre, d.model, nil
	}
	o := draft.Options()
	raw := d.pre.BytesLast() && o.CanBeRaw()
	model, err := o.Compile(raw)
	switch {
	case err != nil:
		return nil, nil, err
	case raw:
		return d.pre.Raw(), model, nil
	case !d.pre.HasByteLevel() && model.WholeBy(runs{}.Next):
		return d.pre.With(runs{}), model, nil
	}
	return d.pre, model, nil
}

// tokens returns the token of every id; ids must be 0, 1, 2, ... without a hole or a double.
func (d definition) tokens() ([]string, error) {
	vocab := d.model.Vocab()
	ids := make(map[uint32]string, len(vocab)+len(d.added))
	claim := func(token string, id uint32) error {
		if owner, ok := ids[id]; ok && owner != token {
			first, second := min(owner, token), max(owner, token) // maps have no order, messages should
			return fmt.Errorf("id %d belongs to both %q and %q", id, first, second)
		}
		ids[id] = token
		return nil
	}
	for token, id := range vocab {
		if err := claim(token, id); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	for _, a := range d.added {
		if seen[a.Content] {
			return nil, fmt.Errorf("added token %q is listed twice", a.Content)
		}
		seen[a.Content] = true
		if id, ok := vocab[a.Content]; ok && id != a.ID {
			return nil, fmt.Errorf("added token %q has id %d, but %d in the vocabulary", a.Content, a.ID, id)
		}
		if err := claim(a.Content, a.ID); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("the vocabulary is empty")
	}
	tokens := make([]string, len(ids))
	for id := range tokens {
		token, ok := ids[uint32(id)]
		if !ok {
			largest := slices.Max(slices.Collect(maps.Keys(ids)))
			return nil, fmt.Errorf("id %d is missing: %d tokens have ids up to %d, which must run from 0 without holes",
				id, len(ids), largest)
		}
		tokens[id] = token
	}
	return tokens, nil
}
