package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"steplm/data/tokenizer"
)

type tokenizerEncodeCmd struct {
	Tokenizer  string `required:"" placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt."`
	AddSpecial bool   `help:"Add what the tokenizer puts before and after a text."`
}

func (c *tokenizerEncodeCmd) Run(ctx context.Context) error {
	t, err := tokenizer.Load(c.Tokenizer)
	if err != nil {
		return err
	}
	encode := t.Encode
	if c.AddSpecial {
		encode = t.EncodeWithSpecial
	}
	return eachLine(ctx, func(line, out []byte) ([]byte, error) {
		text, err := jsonString(line)
		if err != nil {
			return nil, err
		}
		ids, err := encode(text)
		return appendIDs(out, ids), err
	})
}

// jsonString reads a JSON string and nothing else: json.Unmarshal would take
// null for an empty one.
func jsonString(line []byte) (string, error) {
	var text *string
	if err := json.Unmarshal(line, &text); err != nil || text == nil {
		return "", errors.New("not a JSON string")
	}
	return *text, nil
}

// appendIDs writes a JSON array.
func appendIDs(out []byte, ids []uint32) []byte {
	out = append(out, '[')
	for i, id := range ids {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, uint64(id), 10)
	}
	return append(out, ']')
}
