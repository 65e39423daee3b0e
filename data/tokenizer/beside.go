package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// besideFiles are the files beside a tokenizer's that name special tokens, in the order in which transformers heeds
// them; the first two by their text, the others by their id.
var besideFiles = []struct {
	name string
	byID bool
}{{"special_tokens_map.json", false}, {"tokenizer_config.json", false}, {"generation_config.json", true},
	{"config.json", true}}

// besideSays is the special token that the first of these files names that names any; nil: none does. A file that
// names several is an error unless one of them is the one that was taken before there was a choice, and so is a text
// that is no token, or an id that is no added one, of the tokenizer: the file belongs to another.
func (t *Tokenizer) besideSays(o Option) (*Chosen, error) {
	if t.dir == "" {
		return nil, nil
	}
	for _, f := range besideFiles {
		key := string(o) + "_token"
		if f.byID {
			key += "_id"
		}
		raw, err := readKey(filepath.Join(t.dir, f.name), key)
		if err != nil {
			return nil, &SpecialError{o, "", fmt.Sprintf("%v; name the token yourself", err)}
		}
		ids, err := t.tokensOf(raw)
		if err != nil {
			return nil, &SpecialError{o, "", fmt.Sprintf("%s beside the tokenizer says %s %s, %v; name the token "+
				"yourself", f.name, key, raw, err)}
		}
		var found []Chosen
		for _, id := range ids {
			found = append(found, Chosen{id, f.name + " beside it says so"})
		}
		if len(found) > 1 && o == EOS {
			if earlier := t.earlierEnd(); earlier.among(found) {
				found = slices.DeleteFunc(found, func(c Chosen) bool { return c.ID != earlier.ID })
			}
		}
		if len(found) > 0 {
			return t.single(o, "in "+f.name, found)
		}
	}
	return nil, nil
}

// readKey is the value of a key of a JSON object in a file; nil: there is no such file or key.
func readKey(path, key string) (json.RawMessage, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(content, &object); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return object[key], nil
}

// tokensOf are the tokens of a value: null, a text, an object with a text as its content, an id or a list of ids.
func (t *Tokenizer) tokensOf(raw json.RawMessage) ([]uint32, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var object struct {
		Content *string `json:"content"`
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		object.Content = &text
	} else if err := json.Unmarshal(raw, &object); err != nil {
		object.Content = nil
	}
	if object.Content != nil {
		if a := t.added(*object.Content); a != nil {
			return []uint32{a.ID}, nil
		}
		if id := slices.Index(t.tokens, *object.Content); id >= 0 {
			return []uint32{uint32(id)}, nil
		}
		return nil, errors.New("which is no token of it")
	}
	var ids []uint32
	var id uint32
	if json.Unmarshal(raw, &id) == nil {
		ids = []uint32{id}
	} else if err := json.Unmarshal(raw, &ids); err != nil {
		return nil, errors.New("which is neither a token nor ids")
	}
	for _, id := range ids {
		if !slices.ContainsFunc(t.def.added, func(a addedToken) bool { return a.ID == id }) {
			return nil, fmt.Errorf("and %d is no added token of it", id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
