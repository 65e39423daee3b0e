package postprocess

import (
	"encoding/json"
	"fmt"
)

// Template is the post-processor TemplateProcessing: what stands around the tokens of a text. Only
// Single is applied; Pair, for two texts, is kept for Save.
type Template struct {
	Type    string                     `json:"type"`
	Single  []templatePiece            `json:"single"`
	Pair    json.RawMessage            `json:"pair"`
	Special map[string]templateSpecial `json:"special_tokens"`
}

// templatePiece has one of its fields.
type templatePiece struct {
	SpecialToken *templateItem `json:"SpecialToken,omitempty"`
	Sequence     *templateItem `json:"Sequence,omitempty"`
}

type templateItem struct {
	ID     string `json:"id"`
	TypeID int    `json:"type_id"`
}

type templateSpecial struct {
	ID     string   `json:"id"`
	IDs    []uint32 `json:"ids"`
	Tokens []string `json:"tokens"`
}

// Part is the post-processor.
func (t *Template) Part() Processor { return t }

// Check finds nothing to refuse.
func (t *Template) Check() error { return nil }

// IDs returns what goes before and after the text; every id must be below vocabSize.
func (t *Template) IDs(vocabSize int) (prefix, suffix []uint32, err error) {
	texts := 0
	for _, piece := range t.Single {
		switch {
		case piece.Sequence != nil && piece.SpecialToken == nil && piece.Sequence.ID == "A":
			texts++
		case piece.SpecialToken != nil && piece.Sequence == nil:
			special, ok := t.Special[piece.SpecialToken.ID]
			if !ok {
				return nil, nil,
					fmt.Errorf("%q is used in the template, but not among its special_tokens",
						piece.SpecialToken.ID)
			}
			for _, id := range special.IDs {
				if int64(id) >= int64(vocabSize) {
					return nil, nil,
						fmt.Errorf("%q has id %d, which is not below the vocabulary size %d",
							special.ID, id, vocabSize)
				}
			}
			if texts == 0 {
				prefix = append(prefix, special.IDs...)
			} else {
				suffix = append(suffix, special.IDs...)
			}
		default:
			return nil, nil,
				fmt.Errorf("the template for a single text may hold special tokens and Sequence A only")
		}
	}
	if texts != 1 {
		return nil, nil,
			fmt.Errorf("the template for a single text holds Sequence A %d times instead of once",
				texts)
	}
	return prefix, suffix, nil
}

// BeginWith puts one token before every text.
func BeginWith(token string, id uint32) *Template {
	return &Template{
		Type:    "TemplateProcessing",
		Single:  []templatePiece{{SpecialToken: &templateItem{ID: token}}, {Sequence: &templateItem{ID: "A"}}},
		Pair:    json.RawMessage(`[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}]`),
		Special: map[string]templateSpecial{token: {ID: token, IDs: []uint32{id}, Tokens: []string{token}}},
	}
}
