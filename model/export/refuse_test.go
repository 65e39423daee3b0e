package export_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/model/modeltest"
)

// A tokenizer that GGUF files cannot say is refused with the part of it that they have no place for.
func TestGGUFRefusesTokenizers(t *testing.T) {
	bytes := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}
	for name, c := range map[string]struct {
		edit func(file map[string]any)
		want string
	}{
		"a space is put first": {func(f map[string]any) {
			f["pre_tokenizer"] = map[string]any{"type": "ByteLevel", "add_prefix_space": true}
		}, "add_prefix_space"},
		"another expression": {func(f map[string]any) {
			f["pre_tokenizer"] = map[string]any{"type": "Sequence", "pretokenizers": []any{
				map[string]any{"type": "Split", "pattern": map[string]any{"Regex": "[a-z]+"}, "behavior": "Isolated",
					"invert": false}, map[string]any{"type": "ByteLevel", "use_regex": false}}}
		}, "[a-z]+"},
		"a part of another kind": {func(f map[string]any) {
			f["pre_tokenizer"] = map[string]any{"type": "Sequence", "pretokenizers": []any{
				map[string]any{"type": "Punctuation"}, bytes}}
		}, "Punctuation"},
		"lower case": {func(f map[string]any) {
			f["normalizer"] = map[string]any{"type": "Lowercase"}
		}, "Lowercase"},
		"merges are left out": {func(f map[string]any) {
			f["model"].(map[string]any)["ignore_merges"] = true
		}, "ignore_merges true"},
		"a token with the space before it": {func(f map[string]any) {
			f["added_tokens"].([]any)[0].(map[string]any)["lstrip"] = true
		}, "lstrip"},
		"another end": {func(f map[string]any) {
			f["post_processor"] = map[string]any{"type": "BertProcessing", "sep": []any{"!", 1}, "cls": []any{"#", 3}}
		}, "post-processor puts [3] before and [1] after"},
	} {
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile("../../data/tokenizer/testdata/trained/tokenizer.json")
			var file map[string]any
			if err := errors.Join(err, json.Unmarshal(content, &file)); err != nil {
				t.Fatal(err)
			}
			c.edit(file)
			path := filepath.Join(t.TempDir(), "tokenizer.json")
			writeJSON(t, path, file)
			tok, err := tokenizer.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			zero := 0
			config := modeltest.SmallConfig(true)
			config.Vocab = tok.VocabSize()
			m := export.Model{Config: config, DType: checkpoint.F32}
			text := export.Text{Tokenizer: tok, BOS: &zero, EOS: &zero}
			if err := (export.GGUF{}).Check(m, text, export.Options{}); err == nil ||
				!strings.Contains(err.Error(), "no place in a GGUF file: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want one that says %s", err, c.want)
			}
		})
	}
}

// A model of which llama.cpp would leave something out is refused.
func TestGGUFRefusesModels(t *testing.T) {
	tok, err := tokenizer.Load(unigram(t))
	if err != nil {
		t.Fatal(err)
	}
	one, two := 1, 2
	text := export.Text{Tokenizer: tok, BOS: &one, EOS: &two}
	for want, edit := range map[string]func(c *model.Config){
		"":                              func(*model.Config) {},
		"sliding window of 8 positions": func(c *model.Config) { c.Family, c.Window = "mistral", 8 },
		"bias of attention's output": func(c *model.Config) {
			c.Family, c.QKVBias, c.OutBias = "qwen2", true, true
		},
		"biases of the MLP":                  func(c *model.Config) { c.Family, c.FFNBias = "smollm3", true },
		"q/k norms: false, it is true there": func(c *model.Config) { c.Family = "qwen3" },
		"head_dim 24 x 4 heads":              func(c *model.Config) { c.Family, c.HeadSize = "qwen2", 24 },
		"layers with rotary positions":       func(c *model.Config) { c.Family, c.RopeLayers = "smollm3", "011" },
		"rope_type llama3": func(c *model.Config) {
			c.Family = "qwen3"
			c.QKNorm = true
			c.RopeScaling = model.RopeScaling{Type: model.RopeLlama3, Factor: 2, Original: 8, LowFreq: 1, HighFreq: 4}
		},
		"beta_fast 32": func(c *model.Config) {
			c.RopeScaling = model.RopeScaling{Type: model.RopeYarn, Factor: 2, Original: 8, BetaFast: 16, BetaSlow: 1}
		},
	} {
		c := modeltest.SmallConfig(true)
		c.Vocab = 64
		edit(&c)
		err := (export.GGUF{}).Check(export.Model{Config: c, DType: checkpoint.F32}, text, export.Options{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one that says %q", err, want)
		}
	}
	few := export.Model{Config: modeltest.SmallConfig(true), DType: checkpoint.F32}
	few.Config.Vocab = tok.VocabSize() - 1
	if err := (export.GGUF{}).Check(few, text, export.Options{}); err == nil ||
		!strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("a vocabulary that is too small: %v", err)
	}
	none := export.Text{Tokenizer: tok}
	if err := (export.GGUF{}).Check(export.Model{Config: modeltest.SmallConfig(true), DType: checkpoint.F32}, none,
		export.Options{}); err == nil || !strings.Contains(err.Error(), "the token that ends a text") {
		t.Errorf("a tokenizer without an end: %v", err)
	}
}

// Whoever stops an export leaves nothing, and nothing is replaced.
func TestExportStops(t *testing.T) {
	m := modeltest.New(t, gpu.NewHost(), model.Plain(modeltest.SmallConfig(true), 2), 11)
	s := stored(t, m)
	for _, f := range []export.Format{export.HuggingFace{}} {
		parent := t.TempDir()
		path := filepath.Join(parent, "out")
		ctx, stop := context.WithCancel(t.Context())
		stop()
		_, err := export.To(ctx, f, path, modelOf(s), export.Text{}, export.Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", f.Name(), err)
		}
		if entries, err := os.ReadDir(parent); err != nil || len(entries) > 0 {
			t.Errorf("%s left %v (%v)", f.Name(), entries, err)
		}
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := export.To(t.Context(), f, path, modelOf(s), export.Text{}, export.Options{}); err == nil ||
			!strings.Contains(err.Error(), "exists") {
			t.Errorf("%s over an empty folder: %v", f.Name(), err)
		}
	}
}
