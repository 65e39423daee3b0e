package tokenizer

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// special is an added token with the flag, plain one without.
func special(id uint32, text string) addedToken {
	return addedToken{ID: id, Content: text, Special: true}
}
func plain(id uint32, text string) addedToken { return addedToken{ID: id, Content: text} }

// lastly is a post-processor that puts a token last.
func lastly(t testing.TB, id uint32, text string) json.RawMessage {
	return marshal(t, map[string]any{"type": "TemplateProcessing", "pair": []any{},
		"single": []any{map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}},
			map[string]any{"SpecialToken": map[string]any{"id": text, "type_id": 0}}},
		"special_tokens": map[string]any{text: map[string]any{"id": text, "ids": []uint32{id},
			"tokens": []string{text}}}})
}

// The end of a text is what is named, what files beside the tokenizer say, what its post-processor puts last, what its
// special flag says; two that remain are refused, and named.
func TestEndIsChosen(t *testing.T) {
	gemma := []addedToken{special(1200, "<pad>"), special(1201, "<eos>"), special(1202, "<bos>"), plain(1203, "</s>")}
	both := []addedToken{special(1200, "<eos>"), special(1201, "</s>")}
	odd := []addedToken{special(1200, "[EOS]"), special(1201, "<|eos|>"), special(1202, "<|user|>")}
	type files map[string]string
	for name, c := range map[string]struct {
		added  []addedToken
		last   json.RawMessage
		beside files
		asked  string
		want   uint32
		parts  []string // of why, or, where there is no token to want, of the error
	}{
		"Gemma's kind":              {gemma, nil, nil, "", 1201, []string{"special token"}},
		"named by text":             {gemma, nil, nil, "</s>", 1203, []string{"named"}},
		"named by id":               {gemma, nil, nil, "1200", 1200, []string{"named"}},
		"an ordinary token by text": {gemma, nil, nil, "a", 65, []string{"named"}},
		"the usual one of two":      {both, nil, nil, "", 1201, []string{"</s> and <eos>", "usual"}},
		"tokenizer_config.json": {both, nil, files{"tokenizer_config.json": `{"eos_token": "<eos>"}`,
			"config.json": `{"eos_token_id": 1201}`}, "", 1200, []string{"tokenizer_config.json"}},
		"as an object": {both, nil, files{"tokenizer_config.json": `{"eos_token": {"content": "<eos>"}}`}, "", 1200,
			[]string{"tokenizer_config.json"}},
		"an ordinary token of a file": {both, nil, files{"tokenizer_config.json": `{"eos_token": "a"}`}, "", 65,
			[]string{"tokenizer_config.json"}},
		"null says nothing": {both, nil, files{"tokenizer_config.json": `{"eos_token": null}`,
			"generation_config.json": `{"eos_token_id": 1200}`}, "", 1200, []string{"generation_config.json"}},
		"special_tokens_map.json wins": {both, nil, files{"tokenizer_config.json": `{"eos_token": "</s>"}`,
			"special_tokens_map.json": `{"eos_token": "<eos>"}`}, "", 1200, []string{"special_tokens_map.json"}},
		"config.json": {both, nil, files{"config.json": `{"eos_token_id": 1200}`}, "", 1200, []string{"config.json"}},
		"the usual one of a list": {both, nil, files{"generation_config.json": `{"eos_token_id": [1200, 1201]}`}, "",
			1201, []string{"generation_config.json"}},
		"named, whatever a file says": {both, nil, files{"tokenizer_config.json": `{"eos_token": "</s>"`}, "<eos>",
			1200, []string{"named"}},
		"the post-processor": {[]addedToken{special(1200, "[CLS]"), special(1201, "[SEP]")}, lastly(t, 1201, "[SEP]"),
			nil, "", 1201, []string{"post-processor"}},

		"two in a list": {odd, nil, files{"generation_config.json": `{"eos_token_id": [1200, 1201]}`}, "", 0,
			[]string{"2 tokens", "generation_config.json", "[EOS] (1200)", "<|eos|> (1201)", "the text or the id"}},
		"two by name": {odd, nil, nil, "", 0,
			[]string{"2 tokens", "[EOS] (1200)", "<|eos|> (1201)", "the text or the id"}},
		"two by origin": {both, lastly(t, 1200, "<eos>"), nil, "", 0, []string{"<eos> (1200)", "</s> (1201)"}},
		"none known": {[]addedToken{special(1200, "<|user|>")}, nil, nil, "", 0, []string{"no end-of-text token",
			"<|user|> (1200)"}},
		"no special one": {nil, nil, nil, "", 0, []string{"no end-of-text token", "add one"}},
		"no such text":   {both, nil, nil, "<nothing>", 0, []string{"<nothing>", "none of this text"}},
		"no such id":     {both, nil, nil, "1202", 0, []string{"1202", "vocabulary size 1202"}},
		"another's file": {both, nil, files{"tokenizer_config.json": `{"eos_token": "<end>"}`}, "", 0,
			[]string{"<end>", "no token"}},
		"another's id": {both, nil, files{"config.json": `{"eos_token_id": 2}`}, "", 0,
			[]string{"config.json", "2 is no added"}},
		"a file of no JSON": {both, nil, files{"config.json": `{`}, "", 0, []string{"config.json", "name the token"}},
	} {
		patch := map[string]json.RawMessage{"added_tokens": marshal(t, c.added)}
		if c.last != nil {
			patch["post_processor"] = c.last
		}
		path := patched(t, patch)
		for file, content := range c.beside {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), file), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		loaded, err := Load(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tok, err := loaded.WithEnd(c.asked)
		said := ""
		var refused *SpecialError
		switch {
		case errors.As(err, &refused):
			said = err.Error()
		case err != nil:
			t.Errorf("%s: %v", name, err)
			continue
		default:
			said = tok.End().Why
			if id, ok := tok.EndOfText(); !ok || id != c.want || c.want == 0 {
				t.Errorf("%s: %d, %v (%s), want %d", name, id, ok, said, c.want)
			}
			if again, err := loaded.WithEnd(tok.Name(tok.End().ID)); err != nil || again.End().ID != tok.End().ID {
				t.Errorf("%s: its name %q finds another: %v", name, tok.Name(tok.End().ID), err)
			}
		}
		if refused != nil && (c.want != 0 || refused.Option != EOS || refused.Asked != c.asked) {
			t.Errorf("%s: %v", name, err)
		}
		for _, part := range c.parts {
			if !strings.Contains(said, part) {
				t.Errorf("%s: no %q in %q", name, part, said)
			}
		}
	}
}

// The beginning of a text is what the post-processor puts first, or what is named, or, where one is needed, what the
// files and the special flag say.
func TestBeginIsChosen(t *testing.T) {
	added := []addedToken{special(1200, "<s>"), special(1201, "</s>"), special(1202, "<bos>")}
	path := patched(t, map[string]json.RawMessage{"added_tokens": marshal(t, added)})
	loaded := mustLoad(t, path)
	if tok, err := loaded.WithBegin("", false); err != nil || tok.Begin() != nil {
		t.Errorf("nobody needs one: %v, %v", tok, err)
	}
	if tok, err := loaded.WithBegin("<bos>", false); err != nil || tok.Begin().ID != 1202 {
		t.Errorf("a named one: %v, %v", tok, err)
	}
	if _, err := loaded.WithBegin("", true); err == nil || !strings.Contains(err.Error(), "<s> (1200)") ||
		!strings.Contains(err.Error(), "<bos> (1202)") {
		t.Errorf("two by name: %v", err)
	}
	config := filepath.Join(filepath.Dir(path), "tokenizer_config.json")
	if err := os.WriteFile(config, []byte(`{"bos_token": "<bos>"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if tok, err := loaded.WithBegin("", true); err != nil || tok.Begin().ID != 1202 {
		t.Errorf("a file's: %v, %v", tok, err)
	}
	if _, err := mustLoad(t, trainedPath).WithBegin("", true); err == nil {
		t.Error("a tokenizer without any begins documents")
	}

	own := mustLoad(t, datatest.Path(t, "reports/c03_llama3_like_tokenizer.json"))
	for asked, ok := range map[string]bool{"": true, "0": true, "<|begin_of_text|>": true, "<|eot_id|>": false} {
		tok, err := own.WithBegin(asked, false)
		if (err == nil) != ok || ok && tok.Begin().ID != 0 {
			t.Errorf("its post-processor puts one first, asked %q: %v", asked, err)
		}
	}
}

// Tokenizers of others keep the end that runs took by its name; one that had none by these names has its own.
func TestReportedEnds(t *testing.T) {
	for file, want := range map[string]string{
		"reports/tok_smollm.json": "<|endoftext|>", "reports/c03_llama3_like_tokenizer.json": "<|end_of_text|>",
		"reports/tok_mistral_tekken.json": "</s>", "reports/tok_falcon.json": "<|endoftext|>",
		"reports/tok_phi3.json": "<|endoftext|>", "reports/tok_deepseek3.json": "<｜end▁of▁sentence｜>",
		"tokenizers/gpt2": "<|endoftext|>", "tokenizers/llama2/tokenizer.model": "</s>",
		"tokenizers/neox/20B_tokenizer.json": "<|endoftext|>", "generate/tokenizer": "</s>",
		"golden_tasks/stories260K_tokenizer": "</s>",
	} {
		loaded := mustLoad(t, datatest.Path(t, file))
		tok, err := loaded.WithEnd("")
		if err != nil || tok.Name(tok.End().ID) != want {
			t.Errorf("%s: %v, want %s", file, err, want)
			continue
		}
		if before, ok := loaded.EndOfText(); ok && before != tok.End().ID {
			t.Errorf("%s: it was %d and is %d", file, before, tok.End().ID)
		}
	}
	_, err := mustLoad(t, datatest.Path(t, "reports/tok_nanochat.json")).WithEnd("")
	if err == nil || !strings.Contains(err.Error(), "<|bos|> (0), <|user_start|> (1)") {
		t.Errorf("a tokenizer without an end: %v", err)
	}
}

// Caches are told apart by the ends and beginnings of their documents, and are what they were for those that were
// taken by name.
func TestDocumentsHashByTheirEnds(t *testing.T) {
	tok := mustLoad(t, patched(t, map[string]json.RawMessage{"added_tokens": marshal(t,
		[]addedToken{special(1200, "<eos>"), special(1201, "</s>")})}))
	var hashes []string
	for _, end := range []string{"", "</s>", "<eos>", "7"} {
		chosen, err := tok.WithEnd(end)
		if err != nil {
			t.Fatal(err)
		}
		for _, begin := range []string{"<eos>", "8"} {
			c, err := chosen.WithBegin(begin, false)
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, NewDocuments(c, DocumentOptions{Begin: true}).Hash())
		}
		hashes = append(hashes, NewDocuments(chosen, DocumentOptions{}).Hash())
	}
	if before := NewDocuments(tok, DocumentOptions{}).Hash(); hashes[2] != before || hashes[5] != before {
		t.Errorf("the hash was %s and is %s, %s", before, hashes[2], hashes[5])
	}
	slices.Sort(hashes)
	if n := len(slices.Compact(hashes)); n != 9 {
		t.Errorf("%d hashes, want 9", n)
	}
}
