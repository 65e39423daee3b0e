package model_test

import (
	"slices"
	"strings"
	"testing"

	"steplm/model"
	"steplm/model/modeltest"
)

func TestPresetParameters(t *testing.T) {
	// Layer, total: worked out with a calculator from the shapes. 368m is the
	// 367.97M of the baselines' papers; 15m is stories15M's 15,191,712.
	for _, c := range []struct {
		name                      string
		layer, norms, head, total int64
	}{
		{"tiny", 101_376, 192, 0, 707_808},
		{"15m", 995_328, 576, 0, 15_191_712},
		{"60m", 3_162_112, 1024, 16_384_000, 58_073_600},
		{"130m", 7_077_888, 1536, 24_576_000, 134_105_856},
		{"368m", 12_599_296, 2048, 32_768_000, 367_969_280},
		{"680m", 28_311_552, 3072, 49_152_000, 777_856_512},
		{"1.2b", 50_329_600, 4096, 65_536_000, 1_339_082_752},
	} {
		config, err := model.Preset(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := config.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if config.LayerParams() != c.layer || config.BlockParams()-config.LayerParams() != c.norms ||
			config.HeadParams() != c.head || config.TotalParams() != c.total {
			t.Errorf("%s: layer %d, norms %d, head %d, total %d, want %+v", c.name, config.LayerParams(),
				config.BlockParams()-config.LayerParams(), config.HeadParams(), config.TotalParams(), c)
		}
	}
	if len(model.Presets()) != 7 {
		t.Errorf("presets %v: one is not tested", model.Presets())
	}
}

// What is counted is what is written.
func TestTotalIsTheSumOfTensors(t *testing.T) {
	for _, c := range []model.Config{modeltest.SmallConfig(true), modeltest.SmallConfig(false)} {
		var sum int64
		for _, i := range c.HFTensors("F32") {
			sum += int64(i.Elements())
		}
		if sum != c.TotalParams() {
			t.Errorf("tied %t: %d elements in files, %d parameters", c.Tied, sum, c.TotalParams())
		}
	}
}

func TestPresetNames(t *testing.T) {
	a, err := model.Preset("1.2B")
	if b, _ := model.Preset("1.2b"); err != nil || a != b || a.Hidden != 2048 {
		t.Errorf("1.2B = %+v (%v)", a, err)
	}
	for name, want := range map[string]string{
		"13m":     "(did you mean 15m or 130m?)",
		"TINI":    "(did you mean tiny?)",
		"12b":     "(did you mean 1.2b?)",
		"llama-7": "preset \"llama-7\": the presets are tiny, 15m, 60m, 130m, 368m, 680m, 1.2b",
		"":        "the presets are tiny,",
	} {
		if _, err := model.Preset(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("preset %q: %v, want %q", name, err, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"60m", "680m", 1}} {
		if got := model.EditDistance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := modeltest.SmallConfig(false).Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(c *model.Config)
		want   []string
	}{
		{func(c *model.Config) { c.Hidden = 10 }, []string{"hidden_size 10", "num_attention_heads 4"}},
		{func(c *model.Config) { c.KVHeads = 3 }, []string{"num_attention_heads 4", "num_key_value_heads 3"}},
		{func(c *model.Config) { c.KVHeads = 8 }, []string{"num_attention_heads 4", "num_key_value_heads 8"}},
		{func(c *model.Config) { c.Hidden = 12 }, []string{"head size 3", "12", "odd"}},
		{func(c *model.Config) { c.Hidden = 0 }, []string{"hidden_size is 0"}},
		{func(c *model.Config) { c.FFN = -1 }, []string{"intermediate_size is -1"}},
		{func(c *model.Config) { c.Layers = 0 }, []string{"num_hidden_layers is 0"}},
		{func(c *model.Config) { c.Heads = 0 }, []string{"num_attention_heads is 0"}},
		{func(c *model.Config) { c.KVHeads = 0 }, []string{"num_key_value_heads is 0"}},
		{func(c *model.Config) { c.Vocab = 0 }, []string{"vocab_size is 0"}},
		{func(c *model.Config) { c.MaxSeqLen = 0 }, []string{"max_position_embeddings is 0"}},
		{func(c *model.Config) { c.NormEps = 0 }, []string{"rms_norm_eps is 0"}},
		{func(c *model.Config) { c.RopeTheta = -1 }, []string{"rope_theta is -1"}},
		{func(c *model.Config) { c.Layers = 10_001 }, []string{"num_hidden_layers is 10001", "at most 10000"}},
		{func(c *model.Config) { c.Hidden, c.FFN = 1<<40, 1<<40 }, []string{"parameters"}},
	} {
		config := modeltest.SmallConfig(false)
		c.change(&config)
		err := config.Validate()
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", config, err, want)
			}
		}
	}
}

func TestLinearShapes(t *testing.T) {
	c := modeltest.SmallConfig(false) // 16 hidden, 4 heads, 2 key-value heads, FFN 24
	want := []model.LinearShape{
		{"wq", 16, 16}, {"wk", 8, 16}, {"wv", 8, 16}, {"wo", 16, 16},
		{"gate", 24, 16}, {"up", 24, 16}, {"down", 16, 24},
	}
	if got := c.LinearShapes(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	var names []string
	for _, l := range want {
		names = append(names, l.Name)
	}
	if !slices.Equal(model.LinearNames(), names) {
		t.Errorf("names %v, want %v", model.LinearNames(), names)
	}
}

func TestLoRAParams(t *testing.T) {
	large, err := model.Preset("368m")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config  model.Config
		rank    int
		targets []string
		want    int64
	}{
		{large, 64, model.LinearNames(), 64 * (8*1024 + 3*(1024+2736))}, // E = r (8d + 3(d+f)), paper.md section 1
		{modeltest.SmallConfig(false), 2, []string{"wk"}, 2 * (8 + 16)},
		{modeltest.SmallConfig(false), 2, []string{"down", "wq"}, 2*(24+16) + 2*(16+16)},
		{modeltest.SmallConfig(false), 8, []string{"wk"}, 8 * (8 + 16)},
		{modeltest.SmallConfig(false), 3, nil, 0},
	} {
		if got, err := c.config.LoRAParams(c.rank, c.targets); got != c.want || err != nil {
			t.Errorf("rank %d on %v: %d (%v), want %d", c.rank, c.targets, got, err, c.want)
		}
	}
	for _, c := range []struct {
		rank    int
		targets []string
		want    string
	}{
		{0, []string{"wq"}, "rank 0"},
		{17, []string{"wq"}, "16 x 16"},
		{9, model.LinearNames(), "wk of 8 x 16"},
		{2, []string{"q_proj"}, `"q_proj"`},
		{2, []string{"wq", "wq"}, "twice"},
	} {
		if n, err := modeltest.SmallConfig(false).LoRAParams(c.rank, c.targets); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("rank %d on %v: %d (%v), want %q", c.rank, c.targets, n, err, c.want)
		}
	}
}
