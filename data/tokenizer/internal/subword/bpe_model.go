package subword

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/part"
	"steplm/data/tokenizer/internal/runes"
)

// BPEOptions are what a BPE is made of.
type BPEOptions struct {
	Vocab        map[string]uint32
	Merges       [][2]string // by rank
	UnkToken     string      // for what has no token; "": it is dropped
	FuseUnk      bool        // neighbours are one
	ByteFallback bool        // before that, bytes written <0x0A>
	IgnoreMerges bool        // a word that is a token needs no merges to become it
	Prefix       string      // before every rune of a word but the first
	Suffix       string      // after the last rune of a word
}

// bpeFile is the model BPE of a tokenizer.json.
type bpeFile struct {
	Type                    string            `json:"type"`
	Dropout                 float64           `json:"dropout"`
	UnkToken                string            `json:"unk_token"`
	ContinuingSubwordPrefix string            `json:"continuing_subword_prefix"`
	EndOfWordSuffix         string            `json:"end_of_word_suffix"`
	FuseUnk                 bool              `json:"fuse_unk"`
	ByteFallback            bool              `json:"byte_fallback"`
	IgnoreMerges            bool              `json:"ignore_merges"`
	Vocab                   map[string]uint32 `json:"vocab"`
	Merges                  []mergeEntry      `json:"merges"`
}

func (f *bpeFile) Part() Model {
	o := BPEOptions{Vocab: f.Vocab, Merges: make([][2]string, len(f.Merges)), UnkToken: f.UnkToken, FuseUnk: f.FuseUnk,
		ByteFallback: f.ByteFallback, IgnoreMerges: f.IgnoreMerges, Prefix: f.ContinuingSubwordPrefix,
		Suffix: f.EndOfWordSuffix}
	for i, m := range f.Merges {
		o.Merges[i] = m
	}
	return NewBPE(o)
}

// NewBPE is a model that holds its options only, until they are compiled.
func NewBPE(o BPEOptions) *BPE { return &BPE{o: o} }

func (f *bpeFile) Check() error {
	if f.Dropout != 0 {
		return fmt.Errorf("dropout %v is not supported: ids would be random", f.Dropout)
	}
	return nil
}

// mergeEntry is written ["left", "right"], before tokenizers 0.20 "left right".
type mergeEntry [2]string

func (m *mergeEntry) UnmarshalJSON(content []byte) error {
	var text string
	if json.Unmarshal(content, &text) == nil {
		parts, err := SplitMerge(text)
		*m = parts
		return err
	}
	var parts []string
	if err := json.Unmarshal(content, &parts); err != nil || len(parts) != 2 {
		return fmt.Errorf("merge %s is neither two tokens nor a string", content)
	}
	*m = mergeEntry(parts)
	return nil
}

// SplitMerge reads a merge written as "left right".
func SplitMerge(text string) ([2]string, error) {
	left, right, ok := strings.Cut(text, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return [2]string{}, fmt.Errorf("merge %q is not two tokens with a space between", text)
	}
	return [2]string{left, right}, nil
}

// Compile makes a model that can be used: for words that are bytes, where raw is true, or text.
func (o BPEOptions) Compile(raw bool) (*BPE, error) {
	b := &BPE{o: o, raw: raw, unk: noToken}
	if raw {
		b.all = true
		for c, r := range runes.ByteRune {
			id, ok := o.Vocab[string(r)]
			if !ok {
				id = noToken
				b.all = b.all && neverInUTF8(byte(c))
			}
			b.bytes[c] = id
		}
	} else {
		b.bytes, b.all = fallbackBytes(o.Vocab)
		b.all = b.all && o.ByteFallback
		b.runes = map[rune]uint32{}
		for token, id := range o.Vocab {
			if r, n := utf8.DecodeRuneInString(token); n == len(token) && n > 0 && (r != utf8.RuneError || n > 1) {
				b.runes[r] = id
			}
		}
	}
	if o.UnkToken != "" && !b.all {
		id, ok := o.Vocab[o.UnkToken]
		if !ok {
			return nil, fmt.Errorf("unk_token %q is not in the vocabulary", o.UnkToken)
		}
		b.unk = id
	}
	if err := b.compileMerges(); err != nil {
		return nil, err
	}
	b.compileWhole()
	return b, nil
}

// compileMerges resolves the names in the merges.
func (b *BPE) compileMerges() error {
	vocab := b.o.Vocab
	found := make(map[Pair]merge, len(b.o.Merges))
	cut := utf8.RuneCountInString(b.o.Prefix)
	for rank, m := range b.o.Merges {
		var ids [3]uint32
		right := m[1]
		if right = right[min(cut, len(right)):]; !utf8.ValidString(right) && utf8.ValidString(m[1]) {
			return fmt.Errorf("merge %d (%q + %q) does not begin with the prefix %q", rank, m[0], m[1], b.o.Prefix)
		}
		for i, token := range [3]string{m[0], m[1], m[0] + right} {
			id, ok := vocab[token]
			if !ok {
				return fmt.Errorf("merge %d (%q + %q) needs %q, which is not in the vocabulary", rank, m[0], m[1],
					token)
			}
			ids[i] = id
		}
		found[PairOf(ids[0], ids[1])] = mergeOf(rank, ids[2]) // of equal pairs the last counts, as in the reference
	}
	b.merges = newMerges(found)
	return nil
}

// compileWhole finds the words that are one token.
func (b *BPE) compileWhole() {
	whole := make(map[string]uint32, len(b.o.Vocab))
	var ids []uint32
	for token, id := range b.o.Vocab {
		word, ok := token, utf8.ValidString(token)
		if b.raw {
			word, ok = runes.TokenBytes(token)
		}
		if !ok || word == "" {
			continue
		}
		if b.o.IgnoreMerges {
			whole[word] = id
		} else if ids, _ = b.Append(ids[:0], word); len(ids) == 1 {
			whole[word] = ids[0]
		}
	}
	b.whole = whole
}

// Vocab is the id of every token.
func (b *BPE) Vocab() map[string]uint32 { return b.o.Vocab }

// Options are what the model is made of.
func (b *BPE) Options() BPEOptions { return b.o }

// Append appends the ids of a word.
func (b *BPE) Append(ids []uint32, word string) ([]uint32, error) {
	if id, ok := b.whole[word]; ok {
		return append(ids, id), nil
	}
	if len(word) <= ShortWord {
		return b.encodeShort(ids, word), nil
	}
	return b.encodeLong(ids, word), nil
}

// CanBeRaw reports whether words may be bytes, if the vocabulary writes them in GPT-2's alphabet.
func (o BPEOptions) CanBeRaw() bool { return o.Prefix == "" && o.Suffix == "" && !o.ByteFallback }

// WholeBy reports whether words may be cut where next cuts with the same ids, since no merge reaches over a cut.
func (b *BPE) WholeBy(next func(text string, at int) int) bool {
	if b.raw || !b.all || b.o.IgnoreMerges || b.o.Prefix != "" || b.o.Suffix != "" {
		return false
	}
	for _, m := range b.o.Merges {
		whole := m[0] + m[1]
		if next(whole, 0) < len(whole) {
			return false
		}
	}
	return true
}

// Write writes the model. What cannot occur is left out: a token for the unknown where every byte has one.
func (b *BPE) Write(w *part.Writer) {
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	unk, fuse := "", false
	if b.unk != noToken {
		unk, fuse = b.o.UnkToken, b.o.FuseUnk
	}
	w.Field("type", "BPE")
	w.Field("dropout", nil)
	w.Field("unk_token", optional(unk))
	w.Field("continuing_subword_prefix", optional(b.o.Prefix))
	w.Field("end_of_word_suffix", optional(b.o.Suffix))
	w.Field("fuse_unk", fuse)
	w.Field("byte_fallback", b.o.ByteFallback)
	w.Field("ignore_merges", b.o.IgnoreMerges)
	w.Vocab(b.o.Vocab)
	w.List("merges", len(b.o.Merges), func(i int) any { return b.o.Merges[i] })
}
