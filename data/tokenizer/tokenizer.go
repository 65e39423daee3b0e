package tokenizer

import (
	"fmt"
	"strings"
	"sync"
)

// Tokenizer converts between text and token ids. It is immutable and safe for concurrent use.
type Tokenizer struct {
	def        definition
	pieces     []string // id -> the bytes it stands for
	byteTokens []int16  // id -> the byte of a fallback token, or -1; nil in a byte-level vocabulary
	raw        *trie    // added tokens found in the text as it comes
	normalized *trie    // added tokens found after normalization
	bpe        bpe
	words      *pattern   // what text is cut into before merging
	known      *sync.Pool // of *words
	prefix     []uint32   // what EncodeWithSpecial puts first
	suffix     []uint32   // and last
	hash       string
}

// endOfText are the names that tokenizers give to the token between documents, the first one present wins.
var endOfText = [...]string{"<|endoftext|>", "</s>", "<|end_of_text|>", "<|eot_id|>", "<eos>", "<|im_end|>"}

// Encode returns the ids of text. Added tokens written out in the text, such as <|endoftext|>, are recognised, as in
// Hugging Face tokenizers; nothing is added to the text's own tokens.
func (t *Tokenizer) Encode(text string) []uint32 {
	return t.appendText(make([]uint32, 0, len(text)/4+4), text)
}

// AppendEncode appends what Encode returns to ids.
func (t *Tokenizer) AppendEncode(ids []uint32, text string) []uint32 { return t.appendText(ids, text) }

// EncodeWithSpecial is Encode with the tokens that the file's post-processor adds before and after a single text.
func (t *Tokenizer) EncodeWithSpecial(text string) []uint32 {
	ids := make([]uint32, 0, len(text)/4+4+len(t.prefix)+len(t.suffix))
	ids = append(ids, t.prefix...)
	ids = t.appendText(ids, text)
	return append(ids, t.suffix...)
}

func (t *Tokenizer) appendText(ids []uint32, text string) []uint32 {
	known := t.known.Get().(*words)
	defer t.known.Put(known)
	return t.raw.encode(ids, replaceInvalid(text), func(ids []uint32, s string, first bool) []uint32 {
		return t.normalized.encode(ids, t.def.normalize(s), func(ids []uint32, s string, begins bool) []uint32 {
			return t.appendWords(ids, s, first && begins, known)
		})
	})
}

// appendWords encodes text without added tokens; first is true at the beginning of the whole text.
func (t *Tokenizer) appendWords(ids []uint32, s string, first bool, known *words) []uint32 {
	if t.def.spaces != nil {
		s = t.def.spaces.mark(s, first)
	} else if t.def.prefixSpace && !strings.HasPrefix(s, " ") {
		s = " " + s
	}
	for i := 0; i < len(s); {
		end := t.words.next(s, i)
		ids = known.encode(&t.bpe, ids, s[i:end])
		i = end
	}
	return ids
}

// Decode returns the text of ids, special tokens included. Bytes that are not valid UTF-8, as when ids end inside a
// character, become U+FFFD: one for each maximal subpart in a byte-level vocabulary, one for each byte of a run of
// fallback tokens in a SentencePiece-style one. An id that is not below VocabSize is an error.
func (t *Tokenizer) Decode(ids []uint32) (string, error) {
	for i, id := range ids {
		if int64(id) >= int64(len(t.pieces)) {
			return "", fmt.Errorf("tokenizer: id %d at position %d is not below the vocabulary size %d", id, i,
				len(t.pieces))
		}
	}
	if t.def.spaces != nil {
		return t.decodeFallback(ids), nil
	}
	var b strings.Builder
	b.Grow(4 * len(ids))
	for _, id := range ids {
		b.WriteString(t.pieces[id])
	}
	return replaceInvalid(b.String()), nil
}

// VocabSize returns the number of ids, which is the largest id plus one.
func (t *Tokenizer) VocabSize() int { return len(t.pieces) }

// EndOfText returns the id that separates documents: the first of <|endoftext|>, </s>, <|end_of_text|>, <|eot_id|>,
// <eos> and <|im_end|> that is an added token of the file.
func (t *Tokenizer) EndOfText() (uint32, bool) {
	for _, name := range endOfText {
		for _, a := range t.def.added {
			if a.Content == name {
				return a.ID, true
			}
		}
	}
	return 0, false
}

// Hash returns the SHA-256 in hexadecimal of what Save writes: equal for equal tokenizers, whichever files they came
// from.
func (t *Tokenizer) Hash() string { return t.hash }
