package postprocess

import (
	"encoding/json"
	"fmt"

	"steplm/data/tokenizer/internal/part"
)

// Processor is one part that adds tokens. Its JSON is that of the part.
type Processor interface {
	// IDs returns what goes before and after the text; every id must be below vocabSize.
	IDs(vocabSize int) (prefix, suffix []uint32, err error)
}

var kinds part.Kinds[Processor]

func init() {
	kinds = part.Kinds[Processor]{
		"Sequence":           part.Sequence("processors", func() part.Kinds[Processor] { return kinds }),
		"TemplateProcessing": part.One[Processor, Template],
		"RobertaProcessing":  part.One[Processor, Roberta],
		"BertProcessing":     part.One[Processor, Bert],
		"ByteLevel":          func(json.RawMessage) ([]Processor, error) { return nil, nil }, // it trims offsets only
	}
}

// Read reads the post-processor of a tokenizer.json; nil adds nothing.
func Read(raw json.RawMessage) (Processor, error) {
	parts, err := kinds.Read(raw)
	switch {
	case err != nil || len(parts) == 0:
		return nil, err
	case len(parts) > 1:
		return nil, fmt.Errorf("%d parts that add tokens are not supported, one is", len(parts))
	}
	return parts[0], nil
}

// token is written ["</s>", 2].
type token struct {
	text string
	id   uint32
}

// UnmarshalJSON reads it.
func (t *token) UnmarshalJSON(content []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(content, &pair); err != nil || len(pair) != 2 {
		return fmt.Errorf("%s is not a token and its id", content)
	}
	if err := json.Unmarshal(pair[0], &t.text); err != nil {
		return err
	}
	return json.Unmarshal(pair[1], &t.id)
}

// MarshalJSON writes it.
func (t token) MarshalJSON() ([]byte, error) { return part.JSON([]any{t.text, t.id}) }

func around(cls, sep token, vocabSize int) (prefix, suffix []uint32, err error) {
	for _, t := range []token{cls, sep} {
		if int64(t.id) >= int64(vocabSize) {
			return nil, nil, fmt.Errorf("%q has id %d, which is not below the vocabulary size %d", t.text, t.id,
				vocabSize)
		}
	}
	return []uint32{cls.id}, []uint32{sep.id}, nil
}

// Bert puts a text between two tokens.
type Bert struct {
	Type string `json:"type"`
	Sep  token  `json:"sep"`
	Cls  token  `json:"cls"`
}

// Part is the post-processor.
func (b *Bert) Part() Processor { return b }

// Check finds nothing to refuse.
func (b *Bert) Check() error { return nil }

// IDs returns the two.
func (b *Bert) IDs(vocabSize int) (prefix, suffix []uint32, err error) {
	return around(b.Cls, b.Sep, vocabSize)
}

// Roberta puts a text between two tokens; its other fields concern offsets only.
type Roberta struct {
	Type           string `json:"type"`
	Sep            token  `json:"sep"`
	Cls            token  `json:"cls"`
	TrimOffsets    bool   `json:"trim_offsets"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
}

// Part is the post-processor.
func (r *Roberta) Part() Processor { return r }

// Check finds nothing to refuse.
func (r *Roberta) Check() error { return nil }

// IDs returns the two.
func (r *Roberta) IDs(vocabSize int) (prefix, suffix []uint32, err error) {
	return around(r.Cls, r.Sep, vocabSize)
}
