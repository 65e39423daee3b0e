package hf

import (
	"encoding/json"
	"fmt"
	"io"
)

// SpecialIDs are the ids of the tokens that begin and end a text and fill up a batch, nil where there is none.
type SpecialIDs struct{ BOS, EOS, PAD *int }

// check refuses ids that a vocabulary does not have.
func (s SpecialIDs) check(vocab int) error {
	for _, id := range []struct {
		name  string
		value *int
	}{{"bos_token_id", s.BOS}, {"eos_token_id", s.EOS}, {"pad_token_id", s.PAD}} {
		if id.value != nil && (*id.value < 0 || *id.value >= vocab) {
			return fmt.Errorf("%s %d is not below vocab_size %d", id.name, *id.value, vocab)
		}
	}
	return nil
}

// WriteGenerationConfig writes the generation_config.json from which transformers' generate takes where a text begins
// and ends, what fills up a batch, and that a text is at most maxLength tokens long, prompt included. Without the file
// transformers 5 knows of no end, no padding and no length. Decoding is greedy, as it is without the file.
func WriteGenerationConfig(w io.Writer, ids SpecialIDs, maxLength int) error {
	text, err := json.MarshalIndent(struct {
		FromModelConfig bool `json:"_from_model_config"`
		BOS             *int `json:"bos_token_id,omitempty"`
		EOS             *int `json:"eos_token_id,omitempty"`
		PAD             *int `json:"pad_token_id,omitempty"`
		MaxLength       int  `json:"max_length"`
	}{false, ids.BOS, ids.EOS, ids.PAD, maxLength}, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
