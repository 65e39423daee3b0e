package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"steplm/data/tokenizer"
	"steplm/model/hf"
)

// textFile is a file of an exported model besides config and weights.
type textFile struct {
	name    string
	content []byte
}

// specialTokens are the texts of special tokens, nil where there is none, under the names of Hugging Face's files.
type specialTokens struct {
	BOS *string `json:"bos_token,omitempty"`
	EOS *string `json:"eos_token,omitempty"`
	PAD *string `json:"pad_token,omitempty"`
	UNK *string `json:"unk_token,omitempty"`
}

// tokenizerConfig is what transformers 4 and 5 must be told besides tokenizer.json. Without the file 4 takes
// LlamaTokenizer for the model's sake and invents a <s> beyond the vocabulary, and 5 knows of no special token and of
// no length.
type tokenizerConfig struct {
	Class string `json:"tokenizer_class"`
	// Without these names transformers 4 also gives token_type_ids, which generate refuses.
	Inputs    []string `json:"model_input_names"`
	MaxLength int      `json:"model_max_length"`
	CleanUp   bool     `json:"clean_up_tokenization_spaces"`
	// What tokenizer.json's post-processor does decides; other programs read these.
	AddBOS bool `json:"add_bos_token"`
	AddEOS bool `json:"add_eos_token"`
	specialTokens
}

// tokenizerFiles are a tokenizer as transformers reads it. The ids, of which EOS fills up batches where there is no
// token for that, are completed: they are what the model's own files must say. maxLength is the context that was
// trained.
func tokenizerFiles(t *tokenizer.Tokenizer, ids *hf.SpecialIDs, maxLength int) ([]textFile, error) {
	content, err := t.JSON()
	if err != nil {
		return nil, err
	}
	var file struct {
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
			Special bool   `json:"special"`
		} `json:"added_tokens"`
		Model struct {
			UNK any `json:"unk_token"`
		} `json:"model"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, err
	}
	texts := map[int]string{}
	for _, a := range file.Added {
		texts[a.ID] = a.Content
		if ids.PAD == nil && a.Special && strings.Contains(strings.ToLower(a.Content), "pad") {
			id := a.ID
			ids.PAD = &id
		}
	}
	if ids.PAD == nil {
		ids.PAD = ids.EOS
	}
	config := tokenizerConfig{
		Class: "PreTrainedTokenizerFast", Inputs: []string{"input_ids", "attention_mask"}, MaxLength: maxLength,
	}
	for _, x := range []struct {
		id   *int
		text **string
	}{{ids.BOS, &config.BOS}, {ids.EOS, &config.EOS}, {ids.PAD, &config.PAD}} {
		if x.id == nil {
			continue
		}
		text, ok := texts[*x.id]
		if !ok {
			text = t.Token(uint32(*x.id)) // as the vocabulary has it: loaders would add a token for another text
		}
		*x.text = &text
	}
	if unk, ok := file.Model.UNK.(string); ok {
		config.UNK = &unk
	}
	alone, err := t.EncodeWithSpecial("")
	if err != nil {
		return nil, err
	}
	is := func(at int, id *int) bool { return id != nil && len(alone) > 0 && alone[at] == uint32(*id) }
	config.AddBOS = is(0, ids.BOS)
	config.AddEOS = is(max(0, len(alone)-1), ids.EOS) && (len(alone) > 1 || !config.AddBOS)
	files := []textFile{{"tokenizer.json", content}}
	for _, x := range []struct {
		name  string
		value any
	}{{"tokenizer_config.json", config}, {"special_tokens_map.json", config.specialTokens}} {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false) // <|endoftext|> as people write it
		e.SetIndent("", "  ")
		if err := e.Encode(x.value); err != nil {
			return nil, fmt.Errorf("%s: %w", x.name, err)
		}
		files = append(files, textFile{x.name, text.Bytes()})
	}
	return files, nil
}
