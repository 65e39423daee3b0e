package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// definition is all that a tokenizer is made of, whatever its source: a file or training.
type definition struct {
	vocab        map[string]uint32 // written in the byte alphabet if spaces is nil
	merges       [][2]string       // by rank
	added        []addedToken
	form         string  // of normalization: "NFC", "NFKC" or ""
	spaces       *spaces // nil in a byte-level vocabulary, which the next two fields are about
	pattern      *pattern
	prefixSpace  bool
	ignoreMerges bool      // a word that is a vocabulary entry needs no merges to reach it
	template     *template // nil: the post-processor adds nothing
}

// compile checks d and builds the tokenizer. Its errors say what is wrong, not in which file.
func (d definition) compile() (*Tokenizer, error) {
	t := &Tokenizer{def: d, raw: newTrie(), normalized: newTrie(), words: d.pattern, known: wordsPool()}
	tokens, err := d.tokens()
	if err != nil {
		return nil, err
	}
	t.pieces = make([]string, len(tokens))
	for id, token := range tokens {
		if t.pieces[id] = token; d.spaces == nil {
			t.pieces[id], _ = tokenBytes(token)
		}
	}
	for _, a := range d.added {
		if err := a.check(); err != nil {
			return nil, err
		}
		t.pieces[a.ID] = a.Content
		if a.Normalized {
			normalized := d.normalize(a.Content)
			t.normalized.insert(normalized, a.ID)
			if d.spaces != nil { // the reference decodes to what it finds, here with a space
				t.pieces[a.ID] = normalized
			}
		} else {
			t.raw.insert(a.Content, a.ID)
		}
	}
	if d.template != nil {
		if t.prefix, t.suffix, err = d.template.ids(len(tokens)); err != nil {
			return nil, err
		}
	}
	if err := t.compileBPE(); err != nil {
		return nil, err
	}
	if d.spaces != nil {
		t.compileSpaces()
	}
	content, err := d.marshal()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	t.hash = hex.EncodeToString(sum[:])
	return t, nil
}

// normalize is what happens to text before added tokens with Normalized are searched, and to these tokens themselves.
func (d *definition) normalize(s string) string {
	switch d.form {
	case "NFC":
		s = nfc(s)
	case "NFKC":
		s = nfkc(s)
	}
	if d.spaces != nil {
		s = d.spaces.normalize(s)
	}
	return s
}

// tokens returns the token of every id; ids must be 0, 1, 2, ... without a hole or a double.
func (d definition) tokens() ([]string, error) {
	ids := make(map[uint32]string, len(d.vocab)+len(d.added))
	claim := func(token string, id uint32) error {
		if owner, ok := ids[id]; ok && owner != token {
			first, second := min(owner, token), max(owner, token) // maps have no order, messages should
			return fmt.Errorf("id %d belongs to both %q and %q", id, first, second)
		}
		ids[id] = token
		return nil
	}
	for token, id := range d.vocab {
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
		if id, ok := d.vocab[a.Content]; ok && id != a.ID {
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

func (a addedToken) check() error {
	option := ""
	switch {
	case a.Content == "":
		return fmt.Errorf("added token with id %d is empty", a.ID)
	case a.SingleWord:
		option = "single_word"
	case a.Lstrip:
		option = "lstrip"
	case a.Rstrip:
		option = "rstrip"
	default:
		return nil
	}
	return fmt.Errorf("added token %q sets %s, which is not supported", a.Content, option)
}

// neverInUTF8 reports a byte that no valid text holds, so that a vocabulary can do without it (GPT-NeoX's does).
func neverInUTF8(b byte) bool { return b == 0xC0 || b == 0xC1 || b >= 0xF5 }

// compileBPE resolves the names in the merges and finds the words that are one token.
func (t *Tokenizer) compileBPE() error {
	d := &t.def
	if d.spaces != nil {
		if err := t.bpe.fallback(d.vocab); err != nil {
			return err
		}
	} else {
		for b, r := range byteRune {
			id, ok := d.vocab[string(r)]
			if !ok && !neverInUTF8(byte(b)) {
				return fmt.Errorf("the vocabulary has no token %q for the byte 0x%02X: not a byte-level vocabulary",
					string(r), b)
			}
			t.bpe.bytes[b] = id
		}
	}
	found := make(map[pair]merge, len(d.merges))
	for rank, m := range d.merges {
		var ids [3]uint32
		for i, token := range [3]string{m[0], m[1], m[0] + m[1]} {
			id, ok := d.vocab[token]
			if !ok {
				return fmt.Errorf("merge %d (%q + %q) needs %q, which is not in the vocabulary", rank, m[0], m[1],
					token)
			}
			ids[i] = id
		}
		found[pairOf(ids[0], ids[1])] = mergeOf(rank, ids[2]) // of equal pairs the last counts, as in the reference
	}
	t.bpe.merges = newMerges(found)
	whole := make(map[string]uint32, len(d.vocab))
	var ids []uint32
	for token, id := range d.vocab {
		word, ok := token, utf8.ValidString(token)
		if d.spaces == nil {
			word, ok = tokenBytes(token)
		}
		if !ok || word == "" {
			continue
		}
		if ids = t.bpe.encode(ids[:0], word); d.ignoreMerges || len(ids) == 1 {
			whole[word] = id
		}
	}
	t.bpe.whole = whole
	return nil
}
