package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"steplm/model/hf"
)

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

// tokenizerFiles are a tokenizer as transformers reads it, and generation_config.json. The ids, of which EOS fills up
// batches where there is no token for that, are completed: they are what the model's own files must say. maxLength is
// the context that was trained.
func tokenizerFiles(text Text, ids *hf.SpecialIDs, maxLength int) ([]File, error) {
	t := text.Tokenizer
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
	prefix, suffix := t.Added()
	is := func(list []uint32, at int, id *int) bool {
		return id != nil && len(list) > 0 && list[at] == uint32(*id)
	}
	config.AddBOS, config.AddEOS = is(prefix, 0, ids.BOS), is(suffix, len(suffix)-1, ids.EOS)
	var generation bytes.Buffer
	if err := hf.WriteGenerationConfig(&generation, *ids, maxLength); err != nil {
		return nil, err
	}
	files := []File{{"generation_config.json", generation.Bytes()}, {"tokenizer.json", content}}
	if text.ChatTemplate != "" {
		files = append(files, File{"chat_template.jinja", []byte(text.ChatTemplate)})
	}
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
		files = append(files, File{x.name, text.Bytes()})
	}
	return files, nil
}
