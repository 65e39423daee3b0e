package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"steplm/model"
)

// family is one of LLaMA's relatives, as transformers has it.
type family struct {
	architecture string
	// needs are fields without which a file of it is refused, since transformers' defaults differ from LLaMA's.
	needs []string
	// read takes what only this family says.
	read func(f configFields, c *model.Config) error
	// write says it.
	write func(c model.Config, o *written)
}

const llama = "llama"

// everyFamily is what needs of all but LLaMA itself.
var everyFamily = []string{"num_key_value_heads", "max_position_embeddings", "rope_theta"}

// families lists them by model_type.
var families = map[string]family{
	llama: {architecture: "LlamaForCausalLM",
		read: func(f configFields, c *model.Config) error {
			c.QKVBias, c.OutBias, c.FFNBias = f.AttentionBias, f.AttentionBias, f.MLPBias
			return nil
		},
		write: func(c model.Config, o *written) { o.AttentionBias, o.MLPBias = &c.QKVBias, &c.FFNBias },
	},
	"mistral": {architecture: "MistralForCausalLM", needs: everyFamily,
		read: func(f configFields, c *model.Config) (err error) {
			c.Window = 4096 // where nothing is said; null is none
			if f.Window != nil {
				c.Window, err = f.window()
			}
			return err
		},
		write: func(c model.Config, o *written) { o.Window = window(c) },
	},
	"qwen2": {architecture: "Qwen2ForCausalLM", needs: everyFamily,
		read: func(f configFields, c *model.Config) (err error) {
			c.QKVBias = true
			c.Window, err = f.usedWindow(c.Layers)
			return err
		},
		write: writeUsedWindow,
	},
	"qwen3": {architecture: "Qwen3ForCausalLM", needs: append(slices.Clone(everyFamily), "head_dim"),
		read: func(f configFields, c *model.Config) (err error) {
			c.QKVBias, c.OutBias, c.QKNorm = f.AttentionBias, f.AttentionBias, true
			c.Window, err = f.usedWindow(c.Layers)
			return err
		},
		write: func(c model.Config, o *written) {
			o.AttentionBias = &c.QKVBias
			writeUsedWindow(c, o)
		},
	},
	"smollm3": {architecture: "SmolLM3ForCausalLM", needs: append(slices.Clone(everyFamily), "tie_word_embeddings"),
		read: func(f configFields, c *model.Config) error {
			if f.UseWindow && given(f.Window) {
				return fmt.Errorf("not supported: a sliding window in the layers without rotary positions " +
					"(only use_sliding_window false)")
			}
			c.QKVBias, c.OutBias, c.FFNBias = f.AttentionBias, f.AttentionBias, f.MLPBias
			return f.ropeLayers(c)
		},
		write: writeSmolLM3,
	},
}

// missing says what the program lacks of some families that are often asked for.
var missing = map[string]string{
	"granite": "its embedding, attention, residual and logit multipliers",
	"gemma":   "its gated GELU, its norms by 1 + weight and its scaled embedding",
	"gemma2":  "its gated GELU, its norms around each part and its capped logits",
	"gemma3":  "its gated GELU, its norms around each part and its two kinds of rotary positions",
	"phi3":    "its fused matrices and its longrope",
	"mixtral": "its experts", "qwen2_moe": "its experts", "qwen3_moe": "its experts", "llama4": "its experts",
	"deepseek_v3": "its latent attention and its experts",
	"olmo2":       "its norms behind each part",
	"gpt2":        "its learned positions and its LayerNorm", "gpt_neox": "its parallel blocks and its LayerNorm",
	"phi": "its parallel blocks and its LayerNorm", "cohere": "its parallel blocks and its LayerNorm",
	"falcon": "its parallel blocks and its LayerNorm", "mamba": "its state spaces",
}

// family is the file's, with its name.
func (f configFields) family() (name string, _ family, err error) {
	var known []string
	for _, name := range slices.Sorted(maps.Keys(families)) {
		known = append(known, fmt.Sprintf("%q", name))
	}
	switch {
	case f.ModelType != nil:
		name = *f.ModelType
	case len(f.Architectures) > 0:
		for name, x := range families {
			if x.architecture == f.Architectures[0] {
				return name, x, nil
			}
		}
		return "", family{}, fmt.Errorf("not supported: architecture %q (only those of model_type %s)",
			f.Architectures[0], strings.Join(known, ", "))
	default:
		name = llama
	}
	x, ok := families[name]
	if !ok {
		err = fmt.Errorf("not supported: model_type %q (only %s)", name, strings.Join(known, ", "))
		if what := missing[name]; what != "" {
			err = fmt.Errorf("not supported: model_type %q: this program lacks %s", name, what)
		}
	}
	return name, x, err
}

// lacking lists the fields of a list that a file does not have.
func (f configFields) lacking(names []string) (list []string) {
	theta := f.RopeTheta != nil || f.RopeParameters != nil && f.RopeParameters.Theta != nil
	for name, there := range map[string]bool{
		"num_key_value_heads": f.KVHeads != nil, "max_position_embeddings": f.MaxSeqLen != nil, "rope_theta": theta,
		"head_dim": f.HeadDim != nil, "tie_word_embeddings": f.Tied != nil,
	} {
		if !there && slices.Contains(names, name) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// window is the sliding window, 0 where there is none.
func (f configFields) window() (n int, err error) {
	if !given(f.Window) {
		return 0, nil
	}
	if err := json.Unmarshal(f.Window, &n); err != nil || n < 1 {
		return 0, fmt.Errorf("sliding_window is %s: it must be at least 1, or null", compact(f.Window))
	}
	return n, nil
}

// The kinds of attention that layer_types names.
const (
	slidingAttention = "sliding_attention"
	fullAttention    = "full_attention"
)

// usedWindow is the window of a family that says whether, and in which layers, it is used.
func (f configFields) usedWindow(layers int) (int, error) {
	if !f.UseWindow {
		return 0, nil
	}
	n, err := f.window()
	if n == 0 || err != nil {
		return 0, err
	}
	sliding := max(0, layers-or(f.WindowLayers, 28)) // the layers from max_window_layers on
	if f.LayerTypes != nil {
		sliding = 0
		for _, t := range f.LayerTypes {
			switch t {
			case slidingAttention:
				sliding++
			case fullAttention:
			default:
				return 0, fmt.Errorf("not supported: layer_types %q (only %s and %s)", t, fullAttention,
					slidingAttention)
			}
		}
	}
	switch sliding {
	case 0:
		return 0, nil
	case layers:
		return n, nil
	}
	return 0, fmt.Errorf("not supported: a sliding window in %d of %d layers (only in all or none)", sliding, layers)
}

// ropeLayers takes which layers have rotary positions.
func (f configFields) ropeLayers(c *model.Config) error {
	layers := f.NoRopeLayers // a 1 is a layer with them
	if layers == nil {
		every := or(f.NoRopeEvery, 4)
		if every < 1 {
			return fmt.Errorf("no_rope_layer_interval is %d: it must be at least 1", every)
		}
		for i := range c.Layers {
			layers = append(layers, min(1, (i+1)%every))
		}
	}
	if len(layers) != c.Layers {
		return fmt.Errorf("no_rope_layers has %d entries for %d layers", len(layers), c.Layers)
	}
	for _, with := range layers {
		if with != 0 && with != 1 {
			return fmt.Errorf("no_rope_layers holds %d: only 0 and 1 are known", with)
		}
		c.RopeLayers += string(rune('0' + with))
	}
	if !strings.Contains(c.RopeLayers, "0") {
		c.RopeLayers = ""
	}
	return nil
}

func window(c model.Config) json.RawMessage {
	if c.Window == 0 {
		return json.RawMessage("null")
	}
	return fmt.Appendf(nil, "%d", c.Window)
}

func writeUsedWindow(c model.Config, o *written) {
	used, from, kind := c.Window > 0, c.Layers, fullAttention
	if used {
		from, kind = 0, slidingAttention
	}
	o.Window, o.UseWindow, o.WindowLayers = window(c), &used, &from
	o.LayerTypes = slices.Repeat([]string{kind}, c.Layers)
}

func writeSmolLM3(c model.Config, o *written) {
	no := false
	o.AttentionBias, o.MLPBias = &c.QKVBias, &c.FFNBias
	o.UseWindow, o.LayerTypes = &no, slices.Repeat([]string{fullAttention}, c.Layers)
	o.NoRopeLayers = make([]int, c.Layers)
	for i := range o.NoRopeLayers {
		if c.RopeLayers == "" || c.RopeLayers[i] == '1' {
			o.NoRopeLayers[i] = 1
		}
	}
}

// sayable refuses a configuration that its family's config.json, text, would be read from as another.
func sayable(c model.Config, text []byte) error {
	var f configFields
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	got, err := f.config()
	if err != nil || got == c {
		return err
	}
	var fields [2]map[string]any
	for i, x := range []model.Config{c, got} {
		b, err := json.Marshal(x)
		if err == nil {
			err = json.Unmarshal(b, &fields[i])
		}
		if err != nil {
			return err
		}
	}
	var lost []string
	all := maps.Clone(fields[0])
	maps.Copy(all, fields[1])
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if fmt.Sprint(fields[0][name]) != fmt.Sprint(fields[1][name]) {
			lost = append(lost, name)
		}
	}
	if len(lost) == 0 {
		return errors.New("config.json would be read as another model's")
	}
	return fmt.Errorf("a config.json of model_type %q cannot say this model's %s", familyOf(c),
		strings.Join(lost, ", "))
}
