package subword

import "unicode/utf8"

// symbols appends what merging starts from: never more than the bytes of the word.
func (b *BPE) symbols(tokens []uint32, word string) []uint32 {
	switch {
	case b.raw:
		return b.byteSymbols(tokens, word)
	case b.o.Prefix != "" || b.o.Suffix != "":
		return b.affixedSymbols(tokens, word)
	}
	u := unknowns{b: b}
	for i, r := range word {
		if id, ok := b.runes[r]; ok {
			tokens = append(u.end(tokens), id)
		} else {
			tokens = b.fallback(&u, tokens, word[i:i+utf8.RuneLen(r)])
		}
	}
	return u.end(tokens)
}

func (b *BPE) byteSymbols(tokens []uint32, word string) []uint32 {
	if b.all {
		for i := range len(word) {
			tokens = append(tokens, b.bytes[word[i]])
		}
		return tokens
	}
	u := unknowns{b: b}
	for i := range len(word) {
		if id := b.bytes[word[i]]; id != noToken {
			tokens = append(u.end(tokens), id)
		} else {
			tokens = u.add(tokens)
		}
	}
	return u.end(tokens)
}

// affixedSymbols are those where runes are written with a prefix inside a word, or a suffix at its end.
func (b *BPE) affixedSymbols(tokens []uint32, word string) []uint32 {
	u := unknowns{b: b}
	for i, r := range word {
		end := i + utf8.RuneLen(r)
		symbol := word[i:end]
		if i > 0 {
			symbol = b.o.Prefix + symbol
		}
		if end == len(word) {
			symbol += b.o.Suffix
		}
		if id, ok := b.o.Vocab[symbol]; ok {
			tokens = append(u.end(tokens), id)
		} else {
			tokens = b.fallback(&u, tokens, symbol)
		}
	}
	return u.end(tokens)
}

// fallback appends the bytes of a symbol that is no token, if all have one.
func (b *BPE) fallback(u *unknowns, tokens []uint32, symbol string) []uint32 {
	if b.o.ByteFallback {
		start := len(tokens)
		for j := range len(symbol) {
			id := b.bytes[symbol[j]]
			if id == noToken {
				return u.add(tokens[:start])
			}
			tokens = append(tokens, id)
		}
		return tokens // unknown ones before it come after it, as in the reference
	}
	return u.add(tokens)
}

// unknowns is a run of what has no token.
type unknowns struct {
	b    *BPE
	open bool // one is not appended yet
}

func (u *unknowns) add(tokens []uint32) []uint32 {
	if u.open && !u.b.o.FuseUnk {
		tokens = append(tokens, u.b.unk)
	}
	u.open = u.b.unk != noToken
	return tokens
}

func (u *unknowns) end(tokens []uint32) []uint32 {
	if u.open {
		u.open = false
		return append(tokens, u.b.unk)
	}
	return tokens
}

// neverInUTF8 reports a byte that no valid text holds, so that a vocabulary can do without it (GPT-NeoX's does).
func neverInUTF8(b byte) bool { return b == 0xC0 || b == 0xC1 || b >= 0xF5 }
