package hf

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// SpecialIDs are the ids of the tokens that begin and end a text and fill up a batch, nil where there is none.
type SpecialIDs struct {
	BOS, EOS, PAD *int
	OtherEOS      []int // more that end a text, as in models that converse
}

// ReadSpecialIDs reads what the config.json of a directory says of them. A pad_token_id below 0 is none: LLaMA's of
// some versions of transformers have -1.
func ReadSpecialIDs(dir string) (ids SpecialIDs, err error) {
	path := filepath.Join(dir, configName)
	text, err := os.ReadFile(path)
	if err != nil {
		return ids, err
	}
	var f struct {
		BOS json.RawMessage `json:"bos_token_id"`
		EOS json.RawMessage `json:"eos_token_id"`
		PAD json.RawMessage `json:"pad_token_id"`
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return ids, fmt.Errorf("%s: %w", path, err)
	}
	for _, x := range []struct {
		name   string
		text   json.RawMessage
		to     **int
		others *[]int // nil: the first alone counts
	}{
		{"bos_token_id", f.BOS, &ids.BOS, nil}, {"eos_token_id", f.EOS, &ids.EOS, &ids.OtherEOS},
		{"pad_token_id", f.PAD, &ids.PAD, nil},
	} {
		var one int
		var several []int
		switch {
		case !given(x.text):
		case json.Unmarshal(x.text, &one) == nil:
			*x.to = &one
		case json.Unmarshal(x.text, &several) == nil && len(several) > 0:
			*x.to = &several[0]
			if x.others != nil {
				*x.others = several[1:]
			}
		default:
			return ids, fmt.Errorf("%s: %s is %s: it must be an id", path, x.name, compact(x.text))
		}
	}
	if ids.PAD != nil && *ids.PAD < 0 {
		ids.PAD = nil
	}
	return ids, nil
}

// ends is what files say of the ends: null, a number or a list.
func (s SpecialIDs) ends() any {
	switch {
	case s.EOS == nil:
		return nil
	case len(s.OtherEOS) == 0:
		return *s.EOS
	}
	return append([]int{*s.EOS}, s.OtherEOS...)
}

// check refuses ids that a vocabulary does not have.
func (s SpecialIDs) check(vocab int) error {
	type named struct {
		name  string
		value *int
	}
	list := []named{{"bos_token_id", s.BOS}, {"eos_token_id", s.EOS}, {"pad_token_id", s.PAD}}
	for i := range s.OtherEOS {
		list = append(list, named{"eos_token_id", &s.OtherEOS[i]})
	}
	for _, id := range list {
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
		EOS             any  `json:"eos_token_id,omitempty"`
		PAD             *int `json:"pad_token_id,omitempty"`
		MaxLength       int  `json:"max_length"`
	}{false, ids.BOS, ids.ends(), ids.PAD, maxLength}, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
