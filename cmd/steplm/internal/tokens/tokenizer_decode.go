package tokens

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"steplm/data/tokenizer"
)

type tokenizerDecodeCmd struct {
	Tokenizer string `required:"" placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt."`
}

func (c *tokenizerDecodeCmd) Run(ctx context.Context) error {
	t, err := tokenizer.Load(c.Tokenizer)
	if err != nil {
		return err
	}
	return eachLine(ctx, func(line, out []byte) ([]byte, error) {
		ids, err := jsonIDs(line)
		if err != nil {
			return nil, err
		}
		text, err := t.Decode(ids)
		if err != nil {
			return nil, err
		}
		buf := bytes.NewBuffer(out)
		e := json.NewEncoder(buf)
		e.SetEscapeHTML(false) // <|endoftext|> stays readable
		if err := e.Encode(text); err != nil {
			return nil, err
		}
		return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
	})
}

// jsonIDs reads a JSON array of ids and nothing else: json.Unmarshal would take
// null for an empty one, or for a zero within it.
func jsonIDs(line []byte) ([]uint32, error) {
	var ids []*uint32
	err := json.Unmarshal(line, &ids)
	if err != nil || ids == nil {
		return nil, errors.New("not a JSON array of ids from 0 to 4294967295")
	}
	list := make([]uint32, len(ids))
	for i, id := range ids {
		if id == nil {
			return nil, errors.New("not a JSON array of ids: it holds null")
		}
		list[i] = *id
	}
	return list, nil
}
