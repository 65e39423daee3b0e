package hf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"steplm/internal/disk"
	"steplm/model"
)

const configName = "config.json"

// configFields is what config.json may say. Pointers tell absent (and null) from
// zero; what this program does not compute is read in order to be refused.
type configFields struct {
	ModelType     *string  `json:"model_type"`
	Architectures []string `json:"architectures"`

	Hidden    *int     `json:"hidden_size"`
	FFN       *int     `json:"intermediate_size"`
	Layers    *int     `json:"num_hidden_layers"`
	Heads     *int     `json:"num_attention_heads"`
	KVHeads   *int     `json:"num_key_value_heads"`
	HeadDim   *int     `json:"head_dim"`
	Vocab     *int     `json:"vocab_size"`
	MaxSeqLen *int     `json:"max_position_embeddings"`
	NormEps   *float64 `json:"rms_norm_eps"`
	Tied      *bool    `json:"tie_word_embeddings"`

	RopeTheta      *float64    `json:"rope_theta"`
	RopeScaling    *ropeFields `json:"rope_scaling"`
	RopeParameters *ropeFields `json:"rope_parameters"` // transformers 5 puts all of it here
	Partial        *float64    `json:"partial_rotary_factor"`
	NoRopeLayers   []int       `json:"no_rope_layers"`
	NoRopeEvery    *int        `json:"no_rope_layer_interval"`

	Window       json.RawMessage `json:"sliding_window"` // null is none, absent what the family says
	UseWindow    bool            `json:"use_sliding_window"`
	WindowLayers *int            `json:"max_window_layers"`
	LayerTypes   []string        `json:"layer_types"`

	HiddenAct     *string         `json:"hidden_act"`
	AttentionBias bool            `json:"attention_bias"`
	MLPBias       bool            `json:"mlp_bias"`
	Dropout       float64         `json:"attention_dropout"`
	Quantization  json.RawMessage `json:"quantization_config"`
}

// ReadConfig reads a config.json (or the one in a directory) of one of LLaMA's
// families. Absent fields take the defaults of Hugging Face's LlamaConfig; the
// five dimensions that make a model have none, nor what other families have
// other defaults of. What would compute something else than this program does is
// "not supported".
func ReadConfig(path string) (model.Config, error) {
	path, err := configFile(path)
	if err != nil {
		return model.Config{}, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return model.Config{}, err
	}
	var f configFields
	if err := json.Unmarshal(text, &f); err != nil {
		return model.Config{}, fmt.Errorf("%s: %w", path, err)
	}
	c, err := f.config()
	if err != nil {
		return model.Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (f configFields) config() (model.Config, error) {
	name, family, err := f.family()
	if err == nil {
		err = f.supported()
	}
	if err != nil {
		return model.Config{}, err
	}
	var missing []string
	required := func(name string, value *int) int {
		if value == nil {
			missing = append(missing, name)
			return 0
		}
		return *value
	}
	c := model.Config{
		Hidden: required("hidden_size", f.Hidden),
		FFN:    required("intermediate_size", f.FFN),
		Layers: required("num_hidden_layers", f.Layers),
		Heads:  required("num_attention_heads", f.Heads),
		Vocab:  required("vocab_size", f.Vocab),
	}
	if missing = append(missing, f.lacking(family.needs)...); len(missing) > 0 {
		return model.Config{}, fmt.Errorf("%s missing", strings.Join(missing, ", "))
	}
	c.KVHeads = or(f.KVHeads, c.Heads)
	c.MaxSeqLen = or(f.MaxSeqLen, 2048)
	c.NormEps = or(f.NormEps, 1e-6)
	c.Tied = or(f.Tied, false)
	if f.HeadDim != nil && *f.HeadDim*c.Heads != c.Hidden { // else it is what follows from the two
		if c.HeadSize = *f.HeadDim; c.HeadSize < 2 {
			return model.Config{}, fmt.Errorf("head_dim is %d: it must be at least 2", c.HeadSize)
		}
	}
	if name != llama {
		c.Family = name
	}
	if err := f.rope(&c); err != nil {
		return model.Config{}, err
	}
	if err := c.Validate(); err != nil { // before a family makes lists of as many layers as it says
		return model.Config{}, err
	}
	if err := family.read(f, &c); err != nil {
		return model.Config{}, err
	}
	return c, c.Validate()
}

// supported refuses what this program would compute differently.
func (f configFields) supported() error {
	refuse := func(name string, value any, only string) error {
		return fmt.Errorf("not supported: %s %v (only %s)", name, value, only)
	}
	switch {
	case f.HiddenAct != nil && *f.HiddenAct != "silu" && *f.HiddenAct != "swish": // one function, two names
		return refuse("hidden_act", strconv.Quote(*f.HiddenAct), `"silu"`)
	case f.Dropout != 0:
		return refuse("attention_dropout", f.Dropout, "0")
	case f.Partial != nil && *f.Partial != 1:
		return refuse("partial_rotary_factor", *f.Partial, "1")
	case given(f.Quantization):
		return refuse("quantization_config", compact(f.Quantization), "weights in F32, F16 or BF16")
	}
	return nil
}

// configFile finds config.json where a directory was named.
func configFile(path string) (string, error) {
	stat, err := os.Stat(path)
	if disk.Missing(err) {
		return "", fmt.Errorf("%s: there is no such model configuration: %w", path, err)
	}
	if err != nil {
		return "", err
	}
	if stat.IsDir() {
		return configFile(filepath.Join(path, configName))
	}
	return path, nil
}

func or[T any](value *T, absent T) T {
	if value == nil {
		return absent
	}
	return *value
}

// given tells a value from null and from nothing.
func given(value json.RawMessage) bool { return len(value) > 0 && string(value) != "null" }

// compact shortens a JSON value to one line of an error.
func compact(value json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil || b.Len() > 80 {
		return string(value[0]) + "..."
	}
	return b.String()
}

// decimal is a float that looks like one, as Hugging Face checks field types
// and takes 10000 for an integer.
type decimal float64

func (d decimal) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(d), 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return []byte(text), nil
}

// written is config.json as it is written. What only some families have is left out of the others'.
type written struct {
	Architectures    []string     `json:"architectures"`
	ModelType        string       `json:"model_type"`
	Hidden           int          `json:"hidden_size"`
	FFN              int          `json:"intermediate_size"`
	Layers           int          `json:"num_hidden_layers"`
	Heads            int          `json:"num_attention_heads"`
	KVHeads          int          `json:"num_key_value_heads"`
	HeadDim          int          `json:"head_dim"`
	Vocab            int          `json:"vocab_size"`
	MaxSeqLen        int          `json:"max_position_embeddings"`
	NormEps          decimal      `json:"rms_norm_eps"`
	RopeTheta        decimal      `json:"rope_theta"`
	RopeScaling      *writtenRope `json:"rope_scaling"` // null: none
	HiddenAct        string       `json:"hidden_act"`
	AttentionBias    *bool        `json:"attention_bias,omitempty"`
	AttentionDropout decimal      `json:"attention_dropout"`
	MLPBias          *bool        `json:"mlp_bias,omitempty"`
	Tied             bool         `json:"tie_word_embeddings"`
	InitializerRange decimal      `json:"initializer_range"`
	UseCache         bool         `json:"use_cache"`
	BOS              *int         `json:"bos_token_id"`
	EOS              any          `json:"eos_token_id"`
	PAD              *int         `json:"pad_token_id"`
	// transformers 4 reads torch_dtype, rope_theta and rope_scaling, 5 dtype and rope_parameters.
	TorchDType     string      `json:"torch_dtype"`
	DType          string      `json:"dtype"`
	RopeParameters writtenRope `json:"rope_parameters"`

	Window       json.RawMessage `json:"sliding_window,omitempty"`
	UseWindow    *bool           `json:"use_sliding_window,omitempty"`
	WindowLayers *int            `json:"max_window_layers,omitempty"`
	LayerTypes   []string        `json:"layer_types,omitempty"`
	NoRopeLayers []int           `json:"no_rope_layers,omitempty"`
}

// familyOf is a model's model_type.
func familyOf(c model.Config) string {
	if c.Family == "" {
		return llama
	}
	return c.Family
}

// WriteConfig writes the config.json from which transformers builds the model, of
// its family. What that family's cannot say is refused. dtype is float32, float16 or bfloat16.
func WriteConfig(w io.Writer, c model.Config, dtype string, ids SpecialIDs) error {
	if err := c.Validate(); err != nil {
		return err
	}
	switch dtype {
	case "float32", "float16", "bfloat16":
	default:
		return fmt.Errorf("torch_dtype %q: choose float32, float16 or bfloat16", dtype)
	}
	if err := ids.check(c.Vocab); err != nil {
		return err
	}
	family, ok := families[familyOf(c)]
	if !ok {
		return fmt.Errorf("model_type %q: no config.json of it is known", c.Family)
	}
	o := written{
		Architectures: []string{family.architecture}, ModelType: familyOf(c),
		Hidden: c.Hidden, FFN: c.FFN, Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim(),
		Vocab: c.Vocab, MaxSeqLen: c.MaxSeqLen, NormEps: decimal(c.NormEps), RopeTheta: decimal(c.RopeTheta),
		HiddenAct: "silu", Tied: c.Tied, InitializerRange: 0.02, UseCache: true, BOS: ids.BOS, EOS: ids.ends(),
		PAD: ids.PAD, TorchDType: dtype, DType: dtype,
	}
	o.RopeScaling, o.RopeParameters = writeRope(c)
	family.write(c, &o)
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	if err := sayable(c, text); err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
