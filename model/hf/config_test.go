package hf_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/model"
	"steplm/model/hf"
	"steplm/model/modeltest"
)

// minimal has what LlamaConfig gives no default for here.
const minimal = `{"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 11}`

// with adds fields to minimal; a field given again wins, as in every JSON reader.
func with(fields string) string { return strings.TrimSuffix(minimal, "}") + ", " + fields + "}" }

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadConfig(t *testing.T) {
	defaults := model.Config{Hidden: 16, FFN: 24, Layers: 3, Heads: 4, KVHeads: 4, Vocab: 11, MaxSeqLen: 2048,
		NormEps:   1e-6,
		RopeTheta: 10000}
	changed := func(change func(c *model.Config)) model.Config {
		c := defaults
		change(&c)
		return c
	}
	for _, c := range []struct {
		text string
		want model.Config
	}{
		{minimal, defaults},
		{with(`"num_key_value_heads": null, "rope_scaling": null, "head_dim": null, "rope_theta": null`), defaults},
		{with(
			`"num_key_value_heads": 2, "rms_norm_eps": 1e-5, "rope_theta": 500000, "tie_word_embeddings": true, "max_position_embeddings": 77`),
			changed(func(c *model.Config) {
				c.KVHeads, c.NormEps, c.RopeTheta, c.Tied, c.MaxSeqLen = 2, 1e-5, 500000, true, 77
			})},
		{with(`"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}`),
			changed(func(c *model.Config) { c.RopeTheta = 500000 })},
		{with(`"rope_theta": 20000.0, "rope_parameters": {"rope_type": "default"}`),
			changed(func(c *model.Config) { c.RopeTheta = 20000 })},
		{with(
			`"model_type": "llama", "hidden_act": "silu", "attention_bias": false, "mlp_bias": false, "head_dim": 4, "pretraining_tp": 1, "torch_dtype": "bfloat16"`), defaults},
	} {
		dir := t.TempDir()
		path := write(t, filepath.Join(dir, "config.json"), c.text)
		for _, p := range []string{path, dir} {
			if got, err := hf.ReadConfig(p); got != c.want || err != nil {
				t.Errorf("%s = %+v (%v), want %+v", c.text, got, err, c.want)
			}
		}
	}
}

func TestReadConfigRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{with(`"model_type": "mistral"`), `not supported: model_type "mistral" (only "llama")`},
		{with(`"architectures": ["GPT2LMHeadModel"]`), `not supported: architecture "GPT2LMHeadModel"`},
		{with(`"hidden_act": "gelu"`), `not supported: hidden_act "gelu" (only "silu")`},
		{with(`"attention_bias": true`), "not supported: attention_bias true"},
		{with(`"mlp_bias": true`), "not supported: mlp_bias true"},
		{with(`"attention_dropout": 0.1`), "not supported: attention_dropout 0.1"},
		{with(`"rope_scaling": {"factor": 8.0, "rope_type": "llama3"}`),
			`not supported: rope_scaling {"factor":8.0,"rope_type":"llama3"} (only null)`},
		{with(`"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}`),
			`not supported: rope_parameters: rope_type "yarn"`},
		{with(`"rope_parameters": {"partial_rotary_factor": 0.5}`), "partial_rotary_factor 0.5"},
		{with(`"partial_rotary_factor": 0.5`), "not supported: partial_rotary_factor 0.5"},
		{with(`"quantization_config": {"bits": 4}`), "not supported: quantization_config"},
		{with(`"head_dim": 8`), "not supported: head_dim 8, where hidden_size 16 / num_attention_heads 4 = 4"},
		{with(`"hidden_size": 18`), "hidden_size 18 is not divisible by num_attention_heads 4"},
		{with(`"num_attention_heads": 0`), "num_attention_heads is 0"},
		{`{"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4}`,
			"intermediate_size, vocab_size missing"},
		{with(`"vocab_size": "many"`), "vocab_size"},
		{`{`, "unexpected end"},
		{``, "unexpected end"},
	} {
		path := write(t, filepath.Join(t.TempDir(), "shape.json"), c.text)
		if got, err := hf.ReadConfig(path); err == nil || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("%s = %+v (%v), want %q", c.text, got, err, c.want)
		}
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none.json")} {
		if _, err := hf.ReadConfig(path); err == nil || !strings.Contains(err.Error(), "no such model configuration") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestWriteConfig(t *testing.T) {
	eos := 2
	var b bytes.Buffer
	if err := hf.WriteConfig(&b, modeltest.SmallConfig(true), "bfloat16", hf.SpecialIDs{EOS: &eos}); err != nil {
		t.Fatal(err)
	}
	want := `{
  "architectures": [
    "LlamaForCausalLM"
  ],
  "model_type": "llama",
  "hidden_size": 16,
  "intermediate_size": 24,
  "num_hidden_layers": 3,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "head_dim": 4,
  "vocab_size": 11,
  "max_position_embeddings": 32,
  "rms_norm_eps": 1e-05,
  "rope_theta": 10000.0,
  "rope_scaling": null,
  "hidden_act": "silu",
  "attention_bias": false,
  "attention_dropout": 0.0,
  "mlp_bias": false,
  "tie_word_embeddings": true,
  "initializer_range": 0.02,
  "use_cache": true,
  "bos_token_id": null,
  "eos_token_id": 2,
  "pad_token_id": null,
  "torch_dtype": "bfloat16",
  "dtype": "bfloat16",
  "rope_parameters": {
    "rope_type": "default",
    "rope_theta": 10000.0
  }
}
`
	if got := b.String(); got != want {
		t.Errorf("config.json:\n%s\nwant:\n%s", got, want)
	}
	for _, name := range model.Presets() {
		c, err := model.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if err := hf.WriteConfig(&b, c, "float32", hf.SpecialIDs{BOS: &eos}); err != nil {
			t.Fatal(err)
		}
		if got, err := hf.ReadConfig(write(t, filepath.Join(t.TempDir(), "config.json"), b.String())); got != c ||
			err != nil {
			t.Errorf("%s came back as %+v (%v)", name, got, err)
		}
	}
	for _, bad := range []struct {
		config   model.Config
		dtype    string
		bos, eos int
		want     string
	}{
		{modeltest.SmallConfig(true), "float64", 0, 0, `"float64"`},
		{modeltest.SmallConfig(true), "float32", 11, 0, "bos_token_id 11 is not below vocab_size 11"},
		{modeltest.SmallConfig(true), "float32", 0, -1, "eos_token_id -1"},
		{model.Config{}, "float32", 0, 0, "hidden_size is 0"},
	} {
		b.Reset()
		if err := hf.WriteConfig(&b, bad.config, bad.dtype, hf.SpecialIDs{BOS: &bad.bos, EOS: &bad.eos}); err == nil ||
			!strings.Contains(err.Error(), bad.want) || b.Len() > 0 {
			t.Errorf("%v after %d bytes, want %q", err, b.Len(), bad.want)
		}
	}
}
