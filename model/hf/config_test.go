package hf_test

import (
	"bytes"
	"fmt"
	"io"
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

// other is a config.json of another family, with what all of those need.
func other(family, more string) string {
	if more != "" {
		more = ", " + more
	}
	return with(fmt.Sprintf(`"model_type": %q, "num_key_value_heads": 2, "max_position_embeddings": 64, "rope_theta": 1e4%s`,
		family, more))
}

// What a family's config.json has no place for is refused, and named.
func TestWriteConfigOfFamilyRefuses(t *testing.T) {
	plain := model.Config{Hidden: 16, FFN: 24, Layers: 3, Heads: 2, KVHeads: 2, Vocab: 11, MaxSeqLen: 64, NormEps: 1e-6,
		RopeTheta: 10000}
	for want, edit := range map[string]func(c *model.Config){
		`model_type "llama" cannot say this model's qk_norm`:        func(c *model.Config) { c.QKNorm = true },
		`model_type "llama" cannot say this model's sliding_window`: func(c *model.Config) { c.Window = 8 },
		`model_type "llama" cannot say this model's out_bias`:       func(c *model.Config) { c.QKVBias = true },
		`model_type "mistral" cannot say this model's rope_layers`: func(c *model.Config) {
			c.Family, c.RopeLayers = "mistral", "101"
		},
		`model_type "qwen2" cannot say this model's mlp_bias`: func(c *model.Config) {
			c.Family, c.QKVBias, c.FFNBias = "qwen2", true, true
		},
		`model_type "gpt5": no config.json of it is known`: func(c *model.Config) { c.Family = "gpt5" },
	} {
		c := plain
		edit(&c)
		if err := hf.WriteConfig(io.Discard, c, "float32", hf.SpecialIDs{}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
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
		{with(`"attention_bias": true, "mlp_bias": true, "head_dim": 8`), changed(func(c *model.Config) {
			c.QKVBias, c.OutBias, c.FFNBias, c.HeadSize = true, true, true, 8
		})},
		{with(`"rope_scaling": {"type": "dynamic", "factor": 2}`), changed(func(c *model.Config) {
			c.RopeScaling = model.RopeScaling{Type: model.RopeDynamic, Factor: 2}
		})},
		{with(`"rope_scaling": {"type": "yarn", "factor": 4, "mscale": 1, "mscale_all_dim": 1, "truncate": false}`),
			changed(func(c *model.Config) {
				c.RopeScaling = model.RopeScaling{Type: model.RopeYarn, Factor: 4, Original: 2048, BetaFast: 32,
					BetaSlow: 1, AttentionFactor: 1, Untruncated: true}
			})},
		{other("mistral", `"sliding_window": null`), changed(func(c *model.Config) {
			c.Family, c.KVHeads, c.MaxSeqLen = "mistral", 2, 64
		})},
		{other("mistral", ""), changed(func(c *model.Config) {
			c.Family, c.KVHeads, c.MaxSeqLen, c.Window = "mistral", 2, 64, 4096
		})},
		{other("qwen2", `"sliding_window": 8, "use_sliding_window": false`), changed(func(c *model.Config) {
			c.Family, c.KVHeads, c.MaxSeqLen, c.QKVBias = "qwen2", 2, 64, true
		})},
		{other("qwen2", `"sliding_window": 8, "use_sliding_window": true, "max_window_layers": 0`),
			changed(func(c *model.Config) {
				c.Family, c.KVHeads, c.MaxSeqLen, c.QKVBias, c.Window = "qwen2", 2, 64, true, 8
			})},
		{other("smollm3", `"tie_word_embeddings": true, "no_rope_layer_interval": 2`), changed(func(c *model.Config) {
			c.Family, c.KVHeads, c.MaxSeqLen, c.Tied, c.RopeLayers = "smollm3", 2, 64, true, "101"
		})},
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
		{with(`"model_type": "bert"`), `not supported: model_type "bert" (only "llama", "mistral", "qwen2"`},
		{with(`"model_type": "mixtral"`), `not supported: model_type "mixtral": this program lacks its experts`},
		{with(`"model_type": "mistral"`), "max_position_embeddings, num_key_value_heads, rope_theta missing"},
		{with(`"architectures": ["GPT2LMHeadModel"]`), `not supported: architecture "GPT2LMHeadModel"`},
		{with(`"hidden_act": "gelu"`), `not supported: hidden_act "gelu" (only "silu")`},
		{with(`"attention_dropout": 0.1`), "not supported: attention_dropout 0.1"},
		{with(`"rope_scaling": {"factor": 8.0, "rope_type": "llama3"}`),
			"rope_scaling: rope_type llama3: original_max_position_embeddings is 0"},
		{with(`"rope_scaling": {"factor": 8.0, "type": "llama3", "original_max_position_embeddings": 64}`),
			"low_freq_factor 0 and high_freq_factor 0"},
		{with(`"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}`),
			"rope_parameters: rope_type yarn: factor is 0"},
		{with(`"rope_parameters": {"rope_type": "yarn", "factor": 2, "beta_fast": 1, "beta_slow": 3}`),
			"beta_fast 1 and beta_slow 3"},
		{with(`"rope_scaling": {"factor": 8.0, "rope_type": "longrope"}`),
			`not supported: rope_type "longrope" (only default, linear, dynamic, llama3, yarn)`},
		{with(`"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_type": "default"}`),
			"say different things"},
		{with(`"rope_scaling": {"type": "linear", "factor": 0.5}`), "factor is 0.5"},
		{with(`"rope_parameters": {"partial_rotary_factor": 0.5}`), "partial_rotary_factor 0.5"},
		{with(`"partial_rotary_factor": 0.5`), "not supported: partial_rotary_factor 0.5"},
		{with(`"quantization_config": {"bits": 4}`), "not supported: quantization_config"},
		{with(`"head_dim": 7`), "head size 7 (head_dim) is odd"},
		{with(`"head_dim": -1`), "head_dim is -1"},
		{other("qwen3", `"head_dim": 12`), "head size 12 (head_dim) with norms of queries and keys"},
		{other("qwen3", ""), "head_dim missing"},
		{other("mistral", `"sliding_window": 0`), "sliding_window is 0"},
		{other("qwen2", `"use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1`),
			"a sliding window in 2 of 3 layers"},
		{other("qwen2", `"use_sliding_window": true, "sliding_window": 8, "layer_types": ["chunked_attention"]`),
			`not supported: layer_types "chunked_attention"`},
		{other("smollm3", `"tie_word_embeddings": true, "no_rope_layers": [1, 0]`),
			"no_rope_layers has 2 entries for 3 layers"},
		{other("smollm3", `"tie_word_embeddings": true, "no_rope_layers": [1, 0, 2]`), "no_rope_layers holds 2"},
		{other("smollm3", `"no_rope_layers": [1, 0, 1]`), "tie_word_embeddings missing"},
		{other("smollm3", `"tie_word_embeddings": true, "num_hidden_layers": 1000000000000`),
			"at most 10000 are allowed"},
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
