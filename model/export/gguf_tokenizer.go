package export

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"steplm/data/tokenizer"
)

// The types of tokens in GGUF files.
const (
	tokenNormal, tokenUnknown, tokenControl, tokenUserDefined, tokenUnused, tokenByte = 1, 2, 3, 4, 5, 6
)

// ggufVocabulary is a tokenizer as GGUF files say it.
type ggufVocabulary struct {
	model  string // gpt2: pairs of bytes by rank; llama: SentencePiece's BPE; t5: its Unigram
	pre    string
	tokens []string
	types  []int32
	scores []float32 // of all but gpt2
	merges []string  // of gpt2
	unk    *int

	prefix, squeeze bool // a space is put first, runs of spaces become one; not of gpt2
	bos, eos        bool // each text gets these
	notes           []string
}

// tokenizerJSON is what a tokenizer.json as this program writes it says of the parts that matter here.
type tokenizerJSON struct {
	Added []struct {
		ID         int    `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		Lstrip     bool   `json:"lstrip"`
		Rstrip     bool   `json:"rstrip"`
		Special    bool   `json:"special"`
	} `json:"added_tokens"`
	Normalizer   json.RawMessage `json:"normalizer"`
	PreTokenizer json.RawMessage `json:"pre_tokenizer"`
	Decoder      json.RawMessage `json:"decoder"`
	Model        struct {
		Type         string          `json:"type"`
		Unk          *string         `json:"unk_token"`
		UnkID        *int            `json:"unk_id"`
		Prefix       *string         `json:"continuing_subword_prefix"`
		Suffix       *string         `json:"end_of_word_suffix"`
		ByteFallback bool            `json:"byte_fallback"`
		IgnoreMerges bool            `json:"ignore_merges"`
		Vocab        json.RawMessage `json:"vocab"`
		Merges       [][2]string     `json:"merges"`
	} `json:"model"`
}

// newVocabulary says a tokenizer as GGUF files do, or which part of it has no place there.
func newVocabulary(t *tokenizer.Tokenizer, text Text) (*ggufVocabulary, error) {
	content, err := t.JSON()
	if err != nil {
		return nil, err
	}
	var file tokenizerJSON
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, err
	}
	v := &ggufVocabulary{pre: "default"}
	for id := range t.VocabSize() {
		v.tokens = append(v.tokens, t.Token(uint32(id)))
		v.types = append(v.types, tokenNormal)
	}
	for _, a := range file.Added {
		if a.SingleWord || a.Lstrip || a.Rstrip {
			return nil, unsayable("its token %q (%d) is found by what stands around it (single_word, lstrip, rstrip)",
				a.Content, a.ID)
		}
		v.tokens[a.ID], v.types[a.ID] = a.Content, tokenUserDefined
		if a.Special {
			v.types[a.ID] = tokenControl
		}
	}
	switch m := file.Model; {
	case m.Type == "Unigram":
		err = v.unigram(file)
	case m.Type == "BPE" && m.Prefix == nil && m.Suffix == nil && m.ByteFallback:
		err = v.sentencePiece(file)
	case m.Type == "BPE" && m.Prefix == nil && m.Suffix == nil:
		err = v.byteLevel(file)
	default:
		err = unsayable("its model is %s, with prefix or suffix of words %v", m.Type,
			m.Prefix != nil || m.Suffix != nil)
	}
	if err == nil {
		err = v.around(t, text)
	}
	if err == nil {
		err = v.distinct()
	}
	return v, err
}

// distinct refuses two ids of one text, at which llama.cpp stops.
func (v *ggufVocabulary) distinct() error {
	seen := make(map[string]int, len(v.tokens))
	for id, token := range v.tokens {
		if first, ok := seen[token]; ok {
			return unsayable("its ids %d and %d have the same text %q", first, id, token)
		}
		seen[token] = id
	}
	return nil
}

// byteLevel is a BPE over bytes, such as GPT-2's.
func (v *ggufVocabulary) byteLevel(file tokenizerJSON) (err error) {
	v.model = "gpt2"
	for _, n := range sequence(file.Normalizer, "normalizers") {
		if kind := partType(n); kind != "NFC" {
			return unsayable("its normalizer has the part %s", n)
		}
		v.notes = append(v.notes, "llama.cpp does not normalize text: what is not in Unicode's form NFC gets other "+
			"ids there")
	}
	if v.pre, err = preTokenizer(file.PreTokenizer, file.Model.IgnoreMerges); err != nil {
		return err
	}
	if d := sequence(file.Decoder, "decoders"); len(d) != 1 || partType(d[0]) != "ByteLevel" {
		return unsayable("its decoder is %s, not ByteLevel", file.Decoder)
	}
	for _, m := range file.Model.Merges {
		v.merges = append(v.merges, m[0]+" "+m[1])
	}
	return nil
}

// partType is the type of a part.
func partType(raw json.RawMessage) string {
	var p struct {
		Type string `json:"type"`
	}
	json.Unmarshal(raw, &p) // What is no object has none.
	return p.Type
}

// around takes what the post-processor puts before and after a text, which may be the text's BOS and EOS.
func (v *ggufVocabulary) around(t *tokenizer.Tokenizer, text Text) error {
	prefix, suffix := t.Added()
	is := func(ids []uint32, id *int) bool { return len(ids) == 1 && id != nil && int(ids[0]) == *id }
	v.bos, v.eos = is(prefix, text.BOS), is(suffix, text.EOS)
	if len(prefix) > 0 && !v.bos || len(suffix) > 0 && !v.eos {
		return unsayable("its post-processor puts %v before and %v after a text, which are not the tokens that begin "+
			"and end one", prefix, suffix)
	}
	return nil
}

// fill adds tokens that stand for no text, for the rows of an embedding beyond the tokenizer's ids.
func (v *ggufVocabulary) fill(rows int) error {
	if len(v.tokens) > rows {
		return fmt.Errorf("the tokenizer has %d ids, the model's vocabulary only %d: they do not belong together",
			len(v.tokens), rows)
	}
	for id := len(v.tokens); id < rows; id++ {
		v.tokens = append(v.tokens, fmt.Sprintf("[PAD%d]", id))
		v.types = append(v.types, tokenUnused)
		if v.scores != nil {
			v.scores = append(v.scores, 0)
		}
	}
	return v.distinct()
}

// write writes the keys of a vocabulary.
func (v *ggufVocabulary) write(h *ggufHead, text Text) {
	h.add("tokenizer.ggml.model", v.model)
	h.add("tokenizer.ggml.pre", v.pre)
	h.add("tokenizer.ggml.tokens", v.tokens)
	if v.scores != nil {
		h.add("tokenizer.ggml.scores", v.scores)
	}
	h.add("tokenizer.ggml.token_type", v.types)
	if v.model == "gpt2" {
		h.add("tokenizer.ggml.merges", v.merges)
	}
	bos := text.BOS
	if bos == nil { // Else it would be a number that has nothing to do with the vocabulary.
		bos = text.EOS
	}
	h.add("tokenizer.ggml.bos_token_id", uint32(*bos))
	h.add("tokenizer.ggml.eos_token_id", uint32(*text.EOS))
	if v.unk != nil {
		h.add("tokenizer.ggml.unknown_token_id", uint32(*v.unk))
	}
	h.add("tokenizer.ggml.add_bos_token", v.bos)
	h.add("tokenizer.ggml.add_sep_token", false)
	h.add("tokenizer.ggml.add_eos_token", v.eos)
	if v.model != "gpt2" {
		h.add("tokenizer.ggml.add_space_prefix", v.prefix)
		h.add("tokenizer.ggml.remove_extra_whitespaces", v.squeeze)
	}
	if text.ChatTemplate != "" {
		h.add("tokenizer.chat_template", text.ChatTemplate)
	}
}

// spaces reads what a SentencePiece-style tokenizer does with spaces, from its normalizers and its pre-tokenizer.
func (v *ggufVocabulary) spaces(file tokenizerJSON) error {
	const mark = "▁"
	escaped, squeezes := false, 0
	parts := append(sequence(file.Normalizer, "normalizers"), sequence(file.PreTokenizer, "pretokenizers")...)
	for _, raw := range parts {
		var p struct {
			Type    string `json:"type"`
			Prepend string `json:"prepend"`
			Content string `json:"content"`
			Pattern struct {
				String, Regex string
			} `json:"pattern"`
			Replacement string `json:"replacement"`
			Scheme      string `json:"prepend_scheme"`
		}
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
		switch {
		case p.Type == "Prepend" && p.Prepend == mark && !escaped:
			v.prefix = true
		case p.Type == "Replace" && p.Pattern.String == " " && p.Content == mark:
			escaped = true
		case p.Type == "Replace" && slices.Contains([]string{`\A +|[ ▁]+\z`, ` {2,}`}, p.Pattern.Regex):
			squeezes++ // As SentencePiece's models are read here: what they remove of extra spaces is two parts.
		case p.Type == "Metaspace" && p.Replacement == mark:
			escaped, v.prefix = true, v.prefix || p.Scheme != "never"
			if p.Scheme != "never" {
				v.notes = append(v.notes, "llama.cpp puts a space before a text and after each special token, also "+
					"where one stands: this tokenizer (Metaspace, "+p.Scheme+") does not always")
			}
		default:
			return unsayable("its normalizers and pre-tokenizer have the part %s", raw)
		}
	}
	v.squeeze = squeezes == 2
	if !escaped || squeezes == 1 {
		return unsayable("it does not write spaces as %q: %s", mark, strings.TrimSpace(string(file.Normalizer)))
	}
	return nil
}
