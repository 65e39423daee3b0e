package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrNone is a model's folder without a chat template.
var ErrNone = errors.New("there is no chat template")

// Find reads the chat template that a model's folder has: chat_template.jinja, else chat_template in
// tokenizer_config.json, of several there the one named default. Special tokens have the names and texts that
// tokenizer_config.json gives them. Without a template the error is ErrNone.
func Find(dir string, now func() time.Time) (*Template, error) {
	var file map[string]json.RawMessage
	path := filepath.Join(dir, "tokenizer_config.json")
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	special := map[string]string{}
	for _, name := range []string{"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token",
		"mask_token"} {
		if s := tokenText(file[name]); s != "" {
			special[name] = s
		}
	}
	source, from := "", filepath.Join(dir, "chat_template.jinja")
	if text, err = os.ReadFile(from); err == nil {
		source = string(text)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	} else if source, err = templateOf(file["chat_template"]); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	} else if from = path; source == "" {
		return nil, ErrNone
	}
	t, err := Parse(source, special, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return t, nil
}

// tokenText is a special token's: a string, or an object that holds it.
func tokenText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var object struct {
		Content string `json:"content"`
	}
	if json.Unmarshal(raw, &object) != nil {
		return ""
	}
	return object.Content
}

// templateOf is the text of a template, or of the default one of several; "": none.
func templateOf(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &list); err != nil {
		return "", errors.New("chat_template is no text and no list of named ones")
	}
	for _, t := range list {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", errors.New("of the templates of chat_template none is named default")
}
