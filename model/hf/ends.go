package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"steplm/internal/disk"
)

// ReadEnds lists the tokens that end a text, as a Hugging Face directory has them: those of generation_config.json, or
// without that file those of config.json. None: the files name none.
func ReadEnds(dir string, vocab int) ([]uint32, error) {
	for _, name := range []string{"generation_config.json", configName} {
		path := filepath.Join(dir, name)
		var file struct {
			EOS json.RawMessage `json:"eos_token_id"`
		}
		there, err := disk.ReadJSON(path, &file)
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		ids, err := endsOf(file.EOS, vocab)
		if err != nil {
			return nil, fmt.Errorf("%s: eos_token_id %s: %w", path, file.EOS, err)
		}
		return ids, nil
	}
	return nil, nil
}

// endsOf are the ids of a number or a list of numbers, or none.
func endsOf(text json.RawMessage, vocab int) (ids []uint32, err error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	var one uint32
	if json.Unmarshal(text, &one) == nil {
		ids = []uint32{one}
	} else if json.Unmarshal(text, &ids) != nil {
		return nil, errors.New("it must be an id or a list of ids")
	}
	for _, id := range ids {
		if int64(id) >= int64(vocab) {
			return nil, fmt.Errorf("id %d is not below the vocabulary of %d", id, vocab)
		}
	}
	return ids, nil
}
