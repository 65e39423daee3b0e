package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/part"
	"steplm/data/tokenizer/internal/runes"
	"steplm/data/tokenizer/internal/subword"
	"steplm/internal/disk"
)

// Load reads a tokenizer: a Hugging Face tokenizer.json, a SentencePiece .model, or a directory that holds a
// tokenizer.json or, failing that, GPT-2's vocab.json and merges.txt or a tokenizer.model. Every error names the file.
func Load(path string) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if info.IsDir() {
		return loadDirectory(path)
	}
	if name := filepath.Base(path); name == "vocab.json" || name == "merges.txt" {
		return nil,
			fmt.Errorf("tokenizer: %s: vocab.json and merges.txt belong together: give the directory that holds both",
				path)
	}
	if filepath.Ext(path) == ".model" {
		return loadWith(path, parseSentencePiece)
	}
	return loadWith(path, parse)
}

func loadDirectory(dir string) (*Tokenizer, error) {
	has := func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	}
	switch vocab, merges := has("vocab.json"), has("merges.txt"); {
	case has("tokenizer.json"):
		return loadWith(filepath.Join(dir, "tokenizer.json"), parse)
	case vocab && merges:
		return loadGPT2(filepath.Join(dir, "vocab.json"), filepath.Join(dir, "merges.txt"))
	case vocab:
		return nil, fmt.Errorf("tokenizer: %s has a vocab.json but no merges.txt", dir)
	case merges:
		return nil, fmt.Errorf("tokenizer: %s has a merges.txt but no vocab.json", dir)
	case has("tokenizer.model"):
		return loadWith(filepath.Join(dir, "tokenizer.model"), parseSentencePiece)
	}
	return nil,
		fmt.Errorf("tokenizer: %s holds no tokenizer.json, no vocab.json with merges.txt and no tokenizer.model", dir)
}

func loadWith(path string, parse func([]byte) (definition, error)) (*Tokenizer, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	def, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", path, err)
	}
	t, err := def.compile()
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", path, err)
	}
	t.dir = filepath.Dir(path)
	return t, nil
}

// loadGPT2 reads OpenAI's two files. Their one special token is an ordinary vocabulary entry there.
func loadGPT2(vocabPath, mergesPath string) (*Tokenizer, error) {
	content, err := os.ReadFile(vocabPath)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	var o subword.BPEOptions
	if err := part.Decode(content, &o.Vocab); err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", vocabPath, err)
	}
	var added []addedToken
	if id, ok := o.Vocab[defaultSpecial]; ok {
		added = []addedToken{{ID: id, Content: defaultSpecial, Special: true}}
	}
	if content, err = os.ReadFile(mergesPath); err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	line := 0
	for text := range strings.Lines(string(content)) {
		line++
		text = strings.TrimRight(text, "\r\n")
		if strings.HasPrefix(text, "#version") {
			continue
		}
		m, err := subword.SplitMerge(text)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: %s:%d: %w", mergesPath, line, err)
		}
		o.Merges = append(o.Merges, m)
	}
	for b, r := range runes.ByteRune {
		if _, ok := o.Vocab[string(r)]; !ok && len(o.Vocab) > 0 && utf8.ValidString(string([]byte{byte(b)})) {
			return nil, fmt.Errorf("tokenizer: %s: the vocabulary has no token %q for the byte 0x%02X: not GPT-2's "+
				"kind", vocabPath, string(r), b)
		}
	}
	def, err := byteLevel(o, added)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t, err := def.compile()
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s with %s: %w", vocabPath, filepath.Base(mergesPath), err)
	}
	t.dir = filepath.Dir(vocabPath)
	return t, nil
}

// Save writes a tokenizer.json that Hugging Face tokenizers loads. The file appears whole or not at
// all; path may also be an existing directory, in which it is called tokenizer.json.
func (t *Tokenizer) Save(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "tokenizer.json")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("tokenizer: %w", err)
	}
	content, err := t.JSON()
	if err != nil {
		return fmt.Errorf("tokenizer: %s: %w", path, err)
	}
	if err := disk.WriteFile(path, content); err != nil {
		return fmt.Errorf("tokenizer: save %s: %w", path, err)
	}
	return nil
}

// JSON is the content of the tokenizer.json that Save writes.
func (t *Tokenizer) JSON() ([]byte, error) { return t.def.marshal() }
