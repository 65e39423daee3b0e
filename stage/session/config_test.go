package session

import (
	"os"
	"path/filepath"
	"testing"

	"steplm/model"
)

func TestModelConfig(t *testing.T) {
	n := func(i int) *int { return &i }
	yes := true
	grouped := filepath.Join(t.TempDir(), "grouped.json")
	config := []byte(`{"hidden_size": 32, "intermediate_size": 12, "num_hidden_layers": 1,
		"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 9}`)
	if err := os.WriteFile(grouped, config, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		asked Model
		vocab int
		want  model.Config
	}{
		{"preset", Model{Name: "1.2B"}, 0, model.Config{Hidden: 2048, FFN: 5461, Layers: 24, Heads: 32, KVHeads: 32,
			Vocab: 32000, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000}},
		{"tokenizer's vocabulary", Model{Name: "60m", Layers: n(2)}, 500, model.Config{Hidden: 512, FFN: 1376,
			Layers: 2, Heads: 8, KVHeads: 8, Vocab: 500, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000}},
		{"larger vocabulary", Model{Name: "60m", Vocab: n(512), Tied: &yes}, 500, model.Config{Hidden: 512, FFN: 1376,
			Layers: 8, Heads: 8, KVHeads: 8, Vocab: 512, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000, Tied: true}},
		{"heads without groups", Model{Name: "60m", Heads: n(16)}, 0, model.Config{Hidden: 512, FFN: 1376, Layers: 8,
			Heads: 16, KVHeads: 16, Vocab: 32000, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000}},
		{"heads in groups", Model{Name: grouped, Heads: n(8)}, 0, model.Config{Hidden: 32, FFN: 12, Layers: 1, Heads: 8,
			KVHeads: 2, Vocab: 9, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000}},
		{"dimensions", Model{Hidden: n(8), FFN: n(12), Layers: n(1), Heads: n(2)}, 9, model.Config{Hidden: 8, FFN: 12,
			Layers: 1, Heads: 2, KVHeads: 2, Vocab: 9, MaxSeqLen: 2048, NormEps: 1e-5, RopeTheta: 10000}},
	} {
		got, err := c.asked.Config(c.vocab)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v (%v), want %+v", c.name, got, err, c.want)
		}
	}
	if _, err := (Model{Name: "60m", Vocab: n(400)}).Config(500); err == nil {
		t.Error("a vocabulary below the tokenizer's was taken")
	}
	if got := (Model{}).Window(model.Config{MaxSeqLen: 100}); got != 100 {
		t.Errorf("window %d of a model with 100 positions", got)
	}
}
