package subword

import (
	"encoding/json"
	"fmt"

	"steplm/data/tokenizer/internal/part"
)

// Model turns words into ids. It is safe for concurrent use once it is compiled.
type Model interface {
	// Vocab is the id of every token. It must not be changed.
	Vocab() map[string]uint32
	// Append appends the ids of a word that is not empty.
	Append(ids []uint32, word string) ([]uint32, error)
	// Write writes the model of a tokenizer.json, without the braces around it.
	Write(w *part.Writer)
}

var kinds = part.Kinds[Model]{
	"BPE":       part.One[Model, bpeFile],
	"Unigram":   part.One[Model, unigramFile],
	"WordPiece": part.One[Model, WordPiece],
	"WordLevel": part.One[Model, WordLevel],
}

// Read reads the model of a tokenizer.json.
func Read(raw json.RawMessage) (Model, error) {
	kind, err := part.Type(raw)
	if err != nil {
		return nil, err
	}
	if kind == "" { // files before tokenizers 0.9 have no type
		var fields map[string]json.RawMessage
		if err := part.Decode(raw, &fields); err != nil {
			return nil, err
		}
		fields["type"] = json.RawMessage(`"BPE"`)
		if raw, err = part.JSON(fields); err != nil {
			return nil, err
		}
	}
	models, err := kinds.Read(raw)
	if err != nil {
		return nil, err
	}
	if len(models) != 1 {
		return nil, fmt.Errorf("it is null")
	}
	return models[0], nil
}

// unknown is the error of a word that a vocabulary has nothing for.
func unknown(word, why string) error {
	if len(word) > 40 {
		word = word[:40] + "..."
	}
	return fmt.Errorf("tokenizer: %q is in no token, and %s", word, why)
}
