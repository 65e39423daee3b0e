package export

import (
	"encoding/json"
	"fmt"
	"slices"
)

// The expressions by which vocabularies of bytes cut words, as their tokenizer.json files have them.
const (
	llama3Words = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|` +
		`\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Words = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|` +
		`\s*[\r\n]+|\s+(?!\S)|\s+`
	tekkenWords = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|` +
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|` +
		` ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	gpt4oWords = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+` +
		`(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+` +
		`[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|` +
		`\s*[\r\n]+|\s+(?!\S)|\s+`
)

// How a pre-tokenizer's parts are named in the table.
const (
	preDigits = "each digit alone"
	preGPT2   = "bytes by GPT-2's expression"
	preBytes  = "bytes"
)

// preTokenizers are the names by which llama.cpp knows how words are cut, and what they mean: the parts, and whether a
// word that is a token needs no merges.
var preTokenizers = []struct {
	name         string
	parts        []string
	ignoreMerges bool
}{
	{"gpt-2", []string{preGPT2}, false},
	{"smollm", []string{preDigits, preGPT2}, false},
	{"llama-bpe", []string{llama3Words, preBytes}, true},
	{"dbrx", []string{llama3Words, preBytes}, false},
	{"qwen2", []string{qwen2Words, preBytes}, false},
	{"tekken", []string{tekkenWords, preBytes}, true},
	{"gpt-4o", []string{gpt4oWords, preBytes}, false},
	{"deepseek-coder", []string{"[\r\n]", `\s?\p{L}+`, `\s?\p{P}+`, "[一-龥ࠀ-一가-퟿]+", preDigits, preBytes}, false},
}

// preTokenizer is the name of a pre-tokenizer of a tokenizer.json.
func preTokenizer(raw json.RawMessage, ignoreMerges bool) (string, error) {
	var parts []string
	for _, part := range sequence(raw, "pretokenizers") {
		text, err := prePart(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, text)
	}
	other := ""
	for _, p := range preTokenizers {
		switch {
		case !slices.Equal(p.parts, parts):
		case p.ignoreMerges == ignoreMerges:
			return p.name, nil
		default:
			other = p.name
		}
	}
	if other != "" {
		return "", unsayable("it cuts words as %s does, but with ignore_merges %v, which the format has no name for",
			other, ignoreMerges)
	}
	return "", unsayable("llama.cpp has no name for how it cuts words, %q", parts)
}

// prePart is one part as the table names it.
func prePart(raw json.RawMessage) (string, error) {
	var p struct {
		Type           string `json:"type"`
		AddPrefixSpace bool   `json:"add_prefix_space"`
		UseRegex       *bool  `json:"use_regex"`
		Individual     bool   `json:"individual_digits"`
		Behavior       string `json:"behavior"`
		Invert         bool   `json:"invert"`
		Pattern        struct {
			String, Regex string
		} `json:"pattern"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return "", fmt.Errorf("pre_tokenizer: %w", err)
	}
	// What no expression of the table leaves out, Removed and inverted keeps as Isolated does.
	kept := p.Behavior == "Isolated" && !p.Invert || p.Behavior == "Removed" && p.Invert
	switch {
	case p.Type == "ByteLevel" && p.AddPrefixSpace:
		return "", unsayable("its pre-tokenizer ByteLevel puts a space before texts (add_prefix_space)")
	case p.Type == "ByteLevel" && p.UseRegex != nil && !*p.UseRegex:
		return preBytes, nil
	case p.Type == "ByteLevel":
		return preGPT2, nil
	case p.Type == "Digits" && p.Individual:
		return preDigits, nil
	case p.Type == "Split" && p.Pattern.Regex != "" && kept:
		return p.Pattern.Regex, nil
	}
	return "", unsayable("its pre-tokenizer has the part %s", raw)
}

// sequence is a part of a tokenizer.json as a list: of null nothing, of a Sequence its parts.
func sequence(raw json.RawMessage, field string) []json.RawMessage {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil
	}
	var parts []json.RawMessage
	if json.Unmarshal(fields[field], &parts) == nil && parts != nil {
		return parts
	}
	return []json.RawMessage{raw}
}

// unsayable is that a tokenizer has no place in a GGUF file.
func unsayable(format string, args ...any) error {
	return fmt.Errorf("the tokenizer has no place in a GGUF file: %s", fmt.Sprintf(format, args...))
}
