package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// file is tokenizer.json.
type file struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

// byteLevel is the pre-tokenizer, the post-processor and the decoder of that name. TrimOffsets concerns character
// offsets only, which this package has none of.
type byteLevel struct {
	Type           string `json:"type"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	TrimOffsets    bool   `json:"trim_offsets"`
	UseRegex       *bool  `json:"use_regex,omitempty"` // nil: true
}

// split is the pre-tokenizer that cuts by a regular expression.
type split struct {
	Type    string `json:"type"`
	Pattern struct {
		String string `json:"String,omitempty"`
		Regex  string `json:"Regex,omitempty"`
	} `json:"pattern"`
	Behavior string `json:"behavior"`
	Invert   bool   `json:"invert"`
}

// bpeModel is the model BPE.
type bpeModel struct {
	Type                    string            `json:"type"`
	Dropout                 float64           `json:"dropout"`
	UnkToken                string            `json:"unk_token"` // never produced: every byte is in the vocabulary
	ContinuingSubwordPrefix string            `json:"continuing_subword_prefix"`
	EndOfWordSuffix         string            `json:"end_of_word_suffix"`
	FuseUnk                 bool              `json:"fuse_unk"`
	ByteFallback            bool              `json:"byte_fallback"`
	IgnoreMerges            bool              `json:"ignore_merges"`
	Vocab                   map[string]uint32 `json:"vocab"`
	Merges                  []mergeEntry      `json:"merges"`
}

// mergeEntry is written ["left", "right"], before tokenizers 0.20 "left right".
type mergeEntry [2]string

func (m *mergeEntry) UnmarshalJSON(content []byte) error {
	var text string
	if json.Unmarshal(content, &text) == nil {
		parts, err := splitMerge(text)
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

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// parse reads tokenizer.json. What it cannot do exactly is an error.
func parse(content []byte) (definition, error) {
	var f file
	def := definition{}
	if err := decode(content, &f); err != nil {
		return def, err
	}
	for _, part := range []struct {
		name string
		raw  json.RawMessage
		read func(json.RawMessage) error
	}{
		{"truncation", f.Truncation, notSupported},
		{"padding", f.Padding, notSupported},
		{"model", f.Model, def.readModel},
		{"normalizer", f.Normalizer, def.readNormalizer},
		{"pre_tokenizer", f.PreTokenizer, def.readPreTokenizer},
		{"post_processor", f.PostProcessor, def.readPostProcessor},
		{"decoder", f.Decoder, def.readDecoder},
	} {
		if isNull(part.raw) {
			switch part.name {
			case "model":
				return def,
					fmt.Errorf("no model: not a tokenizer.json (for vocab.json and merges.txt, name their directory)")
			case "pre_tokenizer":
				if def.spaces == nil {
					return def, fmt.Errorf("pre_tokenizer is null, which only BPE with byte_fallback supports")
				}
			case "decoder":
				if def.spaces != nil {
					return def, fmt.Errorf("decoder is null, which BPE with byte_fallback does not support")
				}
			}
			continue
		}
		if err := part.read(part.raw); err != nil {
			return def, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if def.spaces != nil && !def.spaces.replace && !def.spaces.metaspace {
		return def,
			fmt.Errorf("neither a normalizer nor a pre_tokenizer replaces spaces by %q: not a SentencePiece-style "+
				"tokenizer", spaceMark)
	}
	def.added = f.AddedTokens
	slices.SortFunc(def.added, func(a, b addedToken) int { return cmp.Compare(a.ID, b.ID) })
	return def, nil
}

func notSupported(json.RawMessage) error { return fmt.Errorf("not supported, must be null") }

func typeOf(raw json.RawMessage) (string, error) {
	var t struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return "", fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return t.Type, nil
}

func (d *definition) readModel(raw json.RawMessage) error {
	kind, err := typeOf(raw)
	if err != nil {
		return err
	}
	if kind != "BPE" && kind != "" { // files before tokenizers 0.9 have no type
		return fmt.Errorf("type %s is not supported, only BPE is", kind)
	}
	var m bpeModel
	if err := decode(raw, &m); err != nil {
		return err
	}
	switch {
	case m.Dropout != 0:
		return fmt.Errorf("dropout %v is not supported: ids would be random", m.Dropout)
	case m.ContinuingSubwordPrefix != "":
		return fmt.Errorf("continuing_subword_prefix %q is not supported", m.ContinuingSubwordPrefix)
	case m.EndOfWordSuffix != "":
		return fmt.Errorf("end_of_word_suffix %q is not supported", m.EndOfWordSuffix)
	}
	if m.ByteFallback {
		d.spaces = &spaces{}
	}
	d.vocab, d.ignoreMerges = m.Vocab, m.IgnoreMerges
	d.merges = make([][2]string, len(m.Merges))
	for i, entry := range m.Merges {
		d.merges[i] = entry
	}
	return nil
}

func (d *definition) readNormalizer(raw json.RawMessage) error {
	kind, err := typeOf(raw)
	if err != nil {
		return err
	}
	switch kind {
	case "NFC":
		d.form = cmp.Or(d.form, kind) // after NFKC it changes nothing
		return nil
	case "NFKC":
		if d.spaces != nil && d.spaces.replace {
			return fmt.Errorf("NFKC after Replace is not supported: it makes spaces that are not replaced")
		}
		d.form = kind
		return nil
	case "Sequence":
		var s struct {
			Type        string            `json:"type"`
			Normalizers []json.RawMessage `json:"normalizers"`
		}
		if err := decode(raw, &s); err != nil {
			return err
		}
		for _, part := range s.Normalizers {
			if err := d.readNormalizer(part); err != nil {
				return err
			}
		}
		return nil
	}
	if d.spaces != nil {
		return d.spaces.readNormalizer(kind, raw)
	}
	return fmt.Errorf("type %s is not supported, only NFC and NFKC are", kind)
}

// readPreTokenizer accepts ByteLevel and [Split, ByteLevel] with a known pattern.
func (d *definition) readPreTokenizer(raw json.RawMessage) error {
	kind, err := typeOf(raw)
	if err != nil {
		return err
	}
	if d.spaces != nil {
		return d.spaces.readPreTokenizer(kind, raw)
	}
	switch kind {
	case "ByteLevel":
		var b byteLevel
		if err := decode(raw, &b); err != nil {
			return err
		}
		d.prefixSpace = b.AddPrefixSpace
		d.pattern = gpt2Pattern
		if b.UseRegex != nil && !*b.UseRegex {
			d.pattern = wholePattern
		}
		return nil
	case "Sequence":
		return d.readSplit(raw)
	}
	return fmt.Errorf("type %s is not supported, only ByteLevel and a Sequence of Split and ByteLevel are", kind)
}

func (d *definition) readSplit(raw json.RawMessage) error {
	var s struct {
		Type          string            `json:"type"`
		PreTokenizers []json.RawMessage `json:"pretokenizers"`
	}
	if err := decode(raw, &s); err != nil {
		return err
	}
	kinds := make([]string, len(s.PreTokenizers))
	for i, part := range s.PreTokenizers {
		kind, err := typeOf(part)
		if err != nil {
			return err
		}
		kinds[i] = kind
	}
	if !slices.Equal(kinds, []string{"Split", "ByteLevel"}) {
		return fmt.Errorf("a Sequence of %s is not supported, only Split, ByteLevel is", strings.Join(kinds, ", "))
	}
	var cut split
	if err := decode(s.PreTokenizers[0], &cut); err != nil {
		return err
	}
	var bytes byteLevel
	if err := decode(s.PreTokenizers[1], &bytes); err != nil {
		return err
	}
	known := slices.IndexFunc(patterns, func(p *pattern) bool { return p.regex == cut.Pattern.Regex })
	switch {
	case known < 0 && cut.Pattern.Regex != "":
		return fmt.Errorf("a Split by the regular expression %q is not supported, only those of GPT-2, Llama 3 "+
			"and Qwen 2 are",
			cut.Pattern.Regex)
	case known < 0:
		return fmt.Errorf("a Split by the string %q is not supported, only by a known regular expression",
			cut.Pattern.String)
	case cut.Behavior != "Isolated" || cut.Invert:
		return fmt.Errorf("a Split with behavior %s and invert %v is not supported, only Isolated and false are",
			cut.Behavior, cut.Invert)
	case bytes.AddPrefixSpace:
		return fmt.Errorf("a ByteLevel with add_prefix_space after a Split is not supported")
	case bytes.UseRegex == nil || *bytes.UseRegex:
		return fmt.Errorf("ByteLevel with use_regex after a Split is not supported")
	}
	d.pattern = patterns[known]
	return nil
}

func (d *definition) readPostProcessor(raw json.RawMessage) error {
	kind, err := typeOf(raw)
	if err != nil {
		return err
	}
	switch kind {
	case "ByteLevel": // trims offsets only
		return nil
	case "TemplateProcessing":
		if d.template != nil {
			return fmt.Errorf("two TemplateProcessing are not supported, one is")
		}
		d.template = &template{}
		return decode(raw, d.template)
	case "Sequence":
		var s struct {
			Type       string            `json:"type"`
			Processors []json.RawMessage `json:"processors"`
		}
		if err := decode(raw, &s); err != nil {
			return err
		}
		for _, part := range s.Processors {
			if err := d.readPostProcessor(part); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("type %s is not supported, only ByteLevel and TemplateProcessing are", kind)
}

func (d *definition) readDecoder(raw json.RawMessage) error {
	kind, err := typeOf(raw)
	if err != nil {
		return err
	}
	if d.spaces != nil {
		return d.spaces.readDecoder(kind, raw)
	}
	if kind != "ByteLevel" {
		return fmt.Errorf("type %s is not supported, only ByteLevel is", kind)
	}
	return nil
}

// marshal writes tokenizer.json: one text for one definition, with the vocabulary by id and one entry a line.
func (d definition) marshal() ([]byte, error) {
	var w writer
	w.text("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [")
	for i, a := range d.added {
		w.separate(i, "    ")
		w.value(a)
	}
	w.text("\n  ],\n  \"normalizer\": ")
	w.value(d.normalizer())
	w.text(",\n  \"pre_tokenizer\": ")
	w.value(d.preTokenizer())
	w.text(",\n  \"post_processor\": ")
	trim := byteLevel{Type: "ByteLevel", AddPrefixSpace: d.prefixSpace, TrimOffsets: true, UseRegex: new(true)}
	switch {
	case d.spaces != nil:
		w.value(d.template)
	case d.template == nil:
		w.value(trim)
	default:
		w.value(map[string]any{"type": "Sequence", "processors": []any{trim, d.template}})
	}
	w.text(",\n  \"decoder\": ")
	if d.spaces != nil {
		w.value(d.spaces.decoder())
	} else {
		w.value(trim)
	}
	w.text(",\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n")
	w.text("    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n")
	w.text("    \"byte_fallback\": ")
	w.value(d.spaces != nil)
	w.text(",\n    \"ignore_merges\": ")
	w.value(d.ignoreMerges)
	w.text(",\n    \"vocab\": {")
	vocab := make([]string, 0, len(d.vocab))
	for token := range d.vocab {
		vocab = append(vocab, token)
	}
	slices.SortFunc(vocab, func(a, b string) int { return cmp.Compare(d.vocab[a], d.vocab[b]) })
	for i, token := range vocab {
		w.separate(i, "      ")
		w.value(token)
		w.text(": ")
		w.value(d.vocab[token])
	}
	w.text("\n    },\n    \"merges\": [")
	for i, m := range d.merges {
		w.separate(i, "      ")
		w.value(m)
	}
	w.text("\n    ]\n  }\n}\n")
	return w.b.Bytes(), w.err
}

func (d definition) normalizer() any {
	var parts []any
	if d.form != "" {
		parts = append(parts, map[string]any{"type": d.form})
	}
	if d.spaces != nil {
		parts = append(parts, d.spaces.normalizers()...)
	}
	switch len(parts) {
	case 0:
		return nil
	case 1:
		return parts[0]
	}
	return map[string]any{"type": "Sequence", "normalizers": parts}
}

func (d definition) preTokenizer() any {
	if d.spaces != nil {
		return d.spaces.preTokenizer()
	}
	bytes := byteLevel{Type: "ByteLevel", AddPrefixSpace: d.prefixSpace, TrimOffsets: true,
		UseRegex: new(d.pattern == gpt2Pattern)}
	if d.pattern == gpt2Pattern || d.pattern == wholePattern {
		return bytes
	}
	cut := split{Type: "Split", Behavior: "Isolated"}
	cut.Pattern.Regex = d.pattern.regex
	return map[string]any{"type": "Sequence", "pretokenizers": []any{cut, bytes}}
}

// writer keeps the first error.
type writer struct {
	b   bytes.Buffer
	err error
}

func (w *writer) text(s string) { w.b.WriteString(s) }

// separate starts entry i of a list on a line of its own.
func (w *writer) separate(i int, indent string) {
	if i > 0 {
		w.text(",")
	}
	w.text("\n" + indent)
}

func (w *writer) value(v any) {
	if w.err != nil {
		return
	}
	e := json.NewEncoder(&w.b)
	e.SetEscapeHTML(false)
	if w.err = e.Encode(v); w.err == nil {
		w.b.Truncate(w.b.Len() - 1) // Encode ends with a newline
	}
}
