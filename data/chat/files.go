package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"steplm/internal/disk"
)

// ErrNone is a model's folder without a chat template.
var ErrNone = errors.New("there is no chat template")

// TemplateFile has the name of a file with nothing but a chat template.
const TemplateFile = "chat_template.jinja"

const configFile = "tokenizer_config.json"

// Source is the chat template that a model's folder has, and the file it is from: chat_template.jinja, else
// chat_template in tokenizer_config.json, of several there the one named default. Without a template the error is
// ErrNone.
func Source(dir string) (text, from string, err error) {
	return source(dir, func() (map[string]json.RawMessage, error) { return readConfig(dir) })
}

// source is Source with what reads the folder's configuration.
func source(dir string, read func() (map[string]json.RawMessage, error)) (text, from string, err error) {
	from = filepath.Join(dir, TemplateFile)
	content, err := os.ReadFile(from)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return string(content), from, err
	}
	from = filepath.Join(dir, configFile)
	config, err := read()
	if err == nil {
		if text, err = templateOf(config["chat_template"]); err != nil {
			err = fmt.Errorf("%s: %w", from, err)
		}
	}
	if err == nil && text == "" {
		err = ErrNone
	}
	return text, from, err
}

// readConfig reads a folder's tokenizer_config.json, nil where there is none.
func readConfig(dir string) (fields map[string]json.RawMessage, err error) {
	_, err = disk.ReadJSON(filepath.Join(dir, configFile), &fields)
	return fields, err
}

// Find reads the chat template that a model's folder has, see Source. Special tokens have the names and texts that
// tokenizer_config.json gives them.
func Find(dir string, now func() time.Time) (*Template, error) {
	config, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	special := map[string]string{}
	for _, name := range []string{"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token",
		"mask_token"} {
		if s := tokenText(config[name]); s != "" {
			special[name] = s
		}
	}
	text, from, err := source(dir, func() (map[string]json.RawMessage, error) { return config, nil })
	if err != nil {
		return nil, err
	}
	t, err := Parse(text, special, now)
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
