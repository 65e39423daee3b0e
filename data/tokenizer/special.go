package tokenizer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Option is one of the two special tokens that are a choice.
type Option string

// The token that ends a text, and the one that begins it.
const (
	EOS Option = "eos"
	BOS Option = "bos"
)

// Chosen is a special token that was taken.
type Chosen struct {
	ID  uint32
	Why string // it was this one, for people
}

// SpecialError is a special token that cannot be chosen. Commands word it in their flags.
type SpecialError struct {
	Option Option
	Asked  string // "": nobody asked for one
	Why    string
}

func (e *SpecialError) Error() string {
	if e.Asked == "" {
		return fmt.Sprintf("tokenizer: %s: %s", e.Option, e.Why)
	}
	return fmt.Sprintf("tokenizer: %s %s: %s", e.Option, e.Asked, e.Why)
}

// earlierEnds are the names by which the end of a text was taken before it was a choice, the first one present. Where
// nothing else decides, they still do.
var earlierEnds = []string{"<|endoftext|>", "</s>", "<|end_of_text|>", "<|eot_id|>", "<eos>", "<|im_end|>"}

// ends and begins are the names that tokenizers give to the tokens around a text.
var (
	ends   = append(slices.Clone(earlierEnds), "<｜end▁of▁sentence｜>", "<|eos|>", "[EOS]", "<EOS>")
	begins = []string{"<|begin_of_text|>", "<s>", "<bos>", "<|startoftext|>", "<｜begin▁of▁sentence｜>", "<|bos|>",
		"[BOS]", "<BOS>"}
)

// earlierEnd is the end of a text as it was taken before it was a choice; nil: there was none.
func (t *Tokenizer) earlierEnd() *Chosen {
	for _, name := range earlierEnds {
		if a := t.added(name); a != nil {
			return &Chosen{a.ID, "by its name"}
		}
	}
	return nil
}

func (t *Tokenizer) added(content string) *addedToken {
	if i := slices.IndexFunc(t.def.added, func(a addedToken) bool { return a.Content == content }); i >= 0 {
		return &t.def.added[i]
	}
	return nil
}

// special reports whether an added token has the flag.
func (t *Tokenizer) special(id uint32) bool {
	return slices.ContainsFunc(t.def.added, func(a addedToken) bool { return a.ID == id && a.Special })
}

// WithEnd is the same tokenizer with its end of text chosen: the token that is asked for by its text or id; or else,
// with "", what the files beside the tokenizer's say; or what its post-processor puts last; or, of its special tokens,
// the one with the name of an end. Errors are a *SpecialError: nothing is such a token, or two are and nothing decides.
func (t *Tokenizer) WithEnd(asked string) (*Tokenizer, error) {
	c := *t
	var err error
	if asked != "" {
		c.end, err = t.asked(EOS, asked)
	} else if c.end, err = t.besideSays(EOS); err == nil && c.end == nil {
		c.end, err = t.ownEnd()
	}
	return &c, err
}

// ownEnd is the end of a text that the tokenizer itself has.
func (t *Tokenizer) ownEnd() (*Chosen, error) {
	earlier := t.earlierEnd()
	if len(t.suffix) == 1 {
		last := Chosen{t.suffix[0], "its post-processor puts it last"}
		if earlier == nil || earlier.ID == last.ID || !t.special(earlier.ID) {
			return &last, nil
		}
		return nil, t.undecided(EOS, "that may end a text", last, Chosen{earlier.ID, "by its name"})
	}
	found := t.named(ends)
	if len(found) > 1 && earlier.among(found) {
		return &Chosen{earlier.ID, fmt.Sprintf("of %s the usual one between documents", t.list(found))}, nil
	}
	if len(found) == 0 {
		return nil, &SpecialError{EOS, "", "the tokenizer has no end-of-text token, which separates documents; " +
			t.instead()}
	}
	return t.single(EOS, "that may end a text", found)
}

// WithBegin is the same tokenizer with its beginning of a text chosen: the token that is asked for by its text or id,
// or what its post-processor puts first, which alone decides what the exported tokenizer does. Where there is neither
// and one is needed, it is what the files beside the tokenizer's say, or the special token with the name of a
// beginning. Errors are a *SpecialError.
func (t *Tokenizer) WithBegin(asked string, needed bool) (*Tokenizer, error) {
	c := *t
	c.begin = t.ownBegin()
	var err error
	switch {
	case asked != "":
		own := c.begin
		if c.begin, err = t.asked(BOS, asked); err == nil && own != nil && own.ID != c.begin.ID {
			err = &SpecialError{BOS, asked, fmt.Sprintf("the tokenizer's own post-processor puts %s before every "+
				"text, also once it is exported: take that, or another tokenizer", t.Describe(own.ID))}
		}
	case c.begin != nil || !needed:
	default:
		if c.begin, err = t.besideSays(BOS); err != nil || c.begin != nil {
			break
		}
		found := t.named(begins)
		if len(found) == 0 {
			return nil, &SpecialError{BOS, "", "the tokenizer's post-processor puts no token first and none has the " +
				"name of a beginning, so that there is nothing to begin a document with: name a token"}
		}
		c.begin, err = t.single(BOS, "that may begin a text", found)
	}
	return &c, err
}

func (t *Tokenizer) ownBegin() *Chosen {
	if len(t.prefix) != 1 {
		return nil
	}
	return &Chosen{t.prefix[0], "its post-processor puts it first"}
}

// named are the special tokens with one of the names; if none is, the other added tokens with one.
func (t *Tokenizer) named(names []string) []Chosen {
	var special, others []Chosen
	for _, name := range names {
		switch a := t.added(name); {
		case a == nil:
		case a.Special:
			special = append(special, Chosen{a.ID, "its special token of that name"})
		default:
			others = append(others, Chosen{a.ID, "its added token of that name"})
		}
	}
	if len(special) > 0 {
		return special
	}
	return others
}

func (t *Tokenizer) single(o Option, what string, found []Chosen) (*Chosen, error) {
	if len(found) == 1 {
		return &found[0], nil
	}
	return nil, t.undecided(o, what, found...)
}

func (t *Tokenizer) undecided(o Option, what string, found ...Chosen) error {
	var list []string
	for _, c := range found {
		list = append(list, fmt.Sprintf("%s, %s", t.Describe(c.ID), c.Why))
	}
	return &SpecialError{o, "", fmt.Sprintf("%d tokens %s remain, and nothing decides: %s; give the text or the id "+
		"of one", len(found), what, strings.Join(list, "; "))}
}

func (t *Tokenizer) list(found []Chosen) string {
	var list []string
	for _, c := range found {
		list = append(list, t.tokens[c.ID])
	}
	return strings.Join(list, " and ")
}

// instead is what to do about a tokenizer without a known end.
func (t *Tokenizer) instead() string {
	const most = 5
	var list []string
	for _, a := range t.def.added {
		if a.Special && len(list) < most {
			list = append(list, t.Describe(a.ID))
		}
	}
	if len(list) == 0 {
		return "add one, such as <|endoftext|>"
	}
	return "name the token that does, such as one of its special tokens " + strings.Join(list, ", ")
}

// asked is the token that somebody names: an added one by its text, any by its id, any by its text.
func (t *Tokenizer) asked(o Option, name string) (*Chosen, error) {
	id, err := t.find(name)
	if err != nil {
		return nil, &SpecialError{o, name, err.Error()}
	}
	return &Chosen{id, "as named"}, nil
}

func (t *Tokenizer) find(name string) (uint32, error) {
	if a := t.added(name); a != nil {
		return a.ID, nil
	}
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		if id >= uint64(len(t.tokens)) {
			return 0, fmt.Errorf("the id is not below the vocabulary size %d", len(t.tokens))
		}
		return uint32(id), nil
	}
	if id := slices.Index(t.tokens, name); id >= 0 {
		return uint32(id), nil
	}
	return 0, fmt.Errorf("the vocabulary of %d tokens has none of this text: give the text or the id of one",
		len(t.tokens))
}

// Name is what WithEnd and WithBegin find a token by: the text of an added one, the id of another.
func (t *Tokenizer) Name(id uint32) string {
	if int(id) < len(t.tokens) {
		if a := t.added(t.tokens[id]); a != nil && a.ID == id {
			return a.Content
		}
	}
	return strconv.FormatUint(uint64(id), 10)
}

// Token is the text by which the vocabulary has an id, which must be below VocabSize.
func (t *Tokenizer) Token(id uint32) string { return t.tokens[id] }

// Describe is a token for people: its text and id.
func (t *Tokenizer) Describe(id uint32) string {
	text, err := t.Decode([]uint32{id})
	if err != nil {
		text = "?"
	}
	return fmt.Sprintf("%s (%d)", text, id)
}

// End is the token that ends a text, with why it is this one; nil: there is none.
func (t *Tokenizer) End() *Chosen { return t.end }

// Begin is the token that begins a text, with why it is this one; nil: there is none.
func (t *Tokenizer) Begin() *Chosen { return t.begin }

// EndOfText returns the id that separates documents: what WithEnd chose; without it, the first of <|endoftext|>, </s>,
// <|end_of_text|>, <|eot_id|>, <eos> and <|im_end|> that is an added token of the file, as before it was a choice.
func (t *Tokenizer) EndOfText() (uint32, bool) { return t.end.get() }

// BeginOfText returns the id that WithBegin chose; without it, what the file's post-processor puts before a text, if it
// puts exactly one there.
func (t *Tokenizer) BeginOfText() (uint32, bool) { return t.begin.get() }

// among reports whether there is a token and it is one of those.
func (c *Chosen) among(list []Chosen) bool {
	return c != nil && slices.ContainsFunc(list, func(o Chosen) bool { return o.ID == c.ID })
}

func (c *Chosen) get() (uint32, bool) {
	if c == nil {
		return 0, false
	}
	return c.ID, true
}
