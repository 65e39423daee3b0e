package hf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSampling(t *testing.T) {
	dir := t.TempDir()
	if s, err := ReadSampling(dir); err != nil || s != (Sampling{}) {
		t.Errorf("%+v, %v", s, err)
	}
	for text, want := range map[string]Sampling{
		`{}`: {},
		`{"top_k": 50, "top_p": 0.9, "min_p": null, "repetition_penalty": 1.1, "eos_token_id": 2}`: {TopK: 50, TopP: 0.9,
			RepetitionPenalty: 1.1},
	} {
		if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if s, err := ReadSampling(dir); err != nil || s != want {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(`{"top_k": "x"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSampling(dir); err == nil || !strings.Contains(err.Error(), "generation_config.json") {
		t.Error(err)
	}
}
