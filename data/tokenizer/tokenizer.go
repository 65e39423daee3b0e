package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"steplm/data/tokenizer/internal/pretokenize"
	"steplm/data/tokenizer/internal/runes"
	"steplm/data/tokenizer/internal/subword"
)

// Tokenizer converts between text and token ids. It is immutable and safe for concurrent use.
type Tokenizer struct {
	def        definition
	tokens     []string // id -> the token as the decoder gets it
	pieces     []string // id -> the bytes it stands for; nil unless decoding is nothing else
	raw        *finder  // added tokens found in the text as it comes
	normalized *finder  // added tokens found after normalization
	words      *pretokenize.Chain
	model      subword.Model
	known      *sync.Pool // of *words
	prefix     []uint32   // what EncodeWithSpecial puts first
	suffix     []uint32   // and last
	hash       string
	end, begin *Chosen // of a text; nil: there is none
	dir        string  // of the file, where others beside it may name special tokens; "": it is from no file
}

// Encode returns the ids of text. Added tokens written out in the text, such as <|endoftext|>, are recognised, as in
// Hugging Face tokenizers; nothing is added to the text's own tokens. It is an error if the text holds what the
// vocabulary has nothing for, not even a token for the unknown, or if one of the file's regular expressions backtracks
// for 10 seconds.
func (t *Tokenizer) Encode(text string) ([]uint32, error) {
	return t.AppendEncode(capacity(text, 0), text)
}

func capacity(text string, more int) []uint32 { return make([]uint32, 0, len(text)/4+4+more) }

// AppendEncode appends what Encode returns to ids.
func (t *Tokenizer) AppendEncode(ids []uint32, text string) ([]uint32, error) {
	return t.appendText(ids, text, &specials{})
}

// AppendDocument appends the ids of a text of which nobody knows who wrote it: the names of special tokens in it are
// ordinary text. It also returns how often such a name stands there.
func (t *Tokenizer) AppendDocument(ids []uint32, text string) (_ []uint32, names int, err error) {
	special := specials{text: true}
	ids, err = t.appendText(ids, text, &special)
	return ids, special.count, err
}

// EncodeWithSpecial is Encode with the tokens that the file's post-processor adds before and after a single text.
func (t *Tokenizer) EncodeWithSpecial(text string) ([]uint32, error) {
	ids := append(capacity(text, len(t.prefix)+len(t.suffix)), t.prefix...)
	ids, err := t.AppendEncode(ids, text)
	return append(ids, t.suffix...), err
}

// Added returns the ids that EncodeWithSpecial puts before and after those of a text.
func (t *Tokenizer) Added() (prefix, suffix []uint32) {
	return slices.Clone(t.prefix), slices.Clone(t.suffix)
}

func (t *Tokenizer) appendText(ids []uint32, text string, special *specials) ([]uint32, error) {
	known := t.known.Get().(*words)
	defer t.known.Put(known)
	ids, err := t.raw.encode(ids, runes.ReplaceInvalid(text), special,
		func(ids []uint32, s string, first bool) ([]uint32, error) {
			s, err := t.def.normalizer.Normalize(s)
			if err != nil {
				return nil, err
			}
			return t.normalized.encode(ids, s, special, func(ids []uint32, s string, begins bool) ([]uint32, error) {
				return t.appendWords(ids, pretokenize.Piece{Text: s, First: first && begins}, known)
			})
		})
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return ids, nil
}

// appendWords encodes text without added tokens.
func (t *Tokenizer) appendWords(ids []uint32, p pretokenize.Piece, known *words) ([]uint32, error) {
	err := t.words.Each(p, func(word string) (err error) {
		ids, err = known.append(t.model, ids, word)
		return err
	})
	return ids, err
}

// Decode returns the text of ids, special tokens included. Bytes that are not valid UTF-8, as when ids end inside a
// character, become U+FFFD: one for each maximal subpart in a byte-level vocabulary, one for each byte of a run of
// fallback tokens in a SentencePiece-style one. An id that is not below VocabSize is an error.
func (t *Tokenizer) Decode(ids []uint32) (string, error) {
	for i, id := range ids {
		if int64(id) >= int64(len(t.tokens)) {
			return "", fmt.Errorf("tokenizer: id %d at position %d is not below the vocabulary size %d", id, i,
				len(t.tokens))
		}
	}
	if t.pieces != nil {
		var b strings.Builder
		b.Grow(4 * len(ids))
		for _, id := range ids {
			b.WriteString(t.pieces[id])
		}
		return runes.ReplaceInvalid(b.String()), nil
	}
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i] = t.tokens[id]
	}
	text, err := t.def.decoder.Text(tokens)
	if err != nil {
		return "", fmt.Errorf("tokenizer: %w", err)
	}
	return text, nil
}

// VocabSize returns the number of ids, which is the largest id plus one.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// Hash returns the SHA-256 in hexadecimal of what Save writes: equal for equal tokenizers, whichever files they came
// from.
func (t *Tokenizer) Hash() string { return t.hash }
