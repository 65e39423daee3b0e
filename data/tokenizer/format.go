package tokenizer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"steplm/data/tokenizer/internal/decode"
	"steplm/data/tokenizer/internal/normalize"
	"steplm/data/tokenizer/internal/part"
	"steplm/data/tokenizer/internal/postprocess"
	"steplm/data/tokenizer/internal/pretokenize"
	"steplm/data/tokenizer/internal/subword"
)

// file is tokenizer.json. How a library cuts texts to a length and fills batches up changes no ids here.
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

// parse reads tokenizer.json. What it cannot do exactly is an error.
func parse(content []byte) (definition, error) {
	var f file
	def := definition{}
	if err := part.Decode(content, &f); err != nil {
		return def, err
	}
	if part.IsNull(f.Model) {
		return def, fmt.Errorf("no model: not a tokenizer.json (for vocab.json and merges.txt, name their directory)")
	}
	for _, of := range []struct {
		name string
		read func() error
	}{
		{"model", func() (err error) { def.model, err = subword.Read(f.Model); return err }},
		{"normalizer", func() (err error) { def.normalizer, err = normalize.Read(f.Normalizer); return err }},
		{"pre_tokenizer", func() (err error) { def.pre, err = pretokenize.Read(f.PreTokenizer); return err }},
		{"post_processor", func() (err error) { def.post, err = postprocess.Read(f.PostProcessor); return err }},
		{"decoder", func() (err error) { def.decoder, err = decode.Read(f.Decoder); return err }},
	} {
		if err := of.read(); err != nil {
			return def, fmt.Errorf("%s: %w", of.name, err)
		}
	}
	def.added = f.AddedTokens
	slices.SortFunc(def.added, func(a, b addedToken) int { return cmp.Compare(a.ID, b.ID) })
	return def, def.settle()
}

// settle brings equal tokenizers into one form, and refuses parts that do not go together.
func (d *definition) settle() (err error) {
	if d.normalizer.ReplacesAll(" ", spaceMark) { // Gemma's files cut at spaces when none is left
		if d.pre, err = d.pre.WithoutSplitAt(" "); err != nil {
			return err
		}
	}
	first, alone := d.pre.AsksForFirst()
	if first && (d.normalizer.DropsBeginning() || len(d.normalizer) > 0 && !alone) {
		return fmt.Errorf("pre_tokenizer: Metaspace: prepend_scheme first is not supported after a normalizer that " +
			"may drop how a text begins, or after a normalizer and another pre-tokenizer")
	}
	if d.decoder.JustBytes() {
		d.decoder = decode.Chain{decode.NewByteLevel(d.pre.PrefixSpace())}
	}
	return nil
}

// marshal writes tokenizer.json: one text for one definition, with the vocabulary by id and one entry a line.
func (d definition) marshal() ([]byte, error) {
	var w part.Writer
	w.Text("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [")
	for i, a := range d.added {
		w.Separate(i, "    ")
		w.Value(a)
	}
	w.Text("\n  ],\n  \"normalizer\": ")
	w.Value(d.normalizer)
	w.Text(",\n  \"pre_tokenizer\": ")
	w.Value(d.pre)
	w.Text(",\n  \"post_processor\": ")
	trim := decode.NewByteLevel(d.pre.PrefixSpace())
	switch {
	case !d.pre.HasByteLevel():
		w.Value(d.post)
	case d.post == nil:
		w.Value(trim)
	default:
		w.Value(map[string]any{"type": "Sequence", "processors": []any{trim, d.post}})
	}
	w.Text(",\n  \"decoder\": ")
	w.Value(d.decoder)
	w.Text(",\n  \"model\": {")
	d.model.Write(&w)
	w.Text("\n  }\n}\n")
	return w.B.Bytes(), w.Err
}
