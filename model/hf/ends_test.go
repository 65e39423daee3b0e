package hf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A pad_token_id of -1, as transformers 4.28 wrote it, is none, and can be written again.
func TestReadSpecialIDs(t *testing.T) {
	dir := t.TempDir()
	text := `{"bos_token_id": 0, "eos_token_id": [1, 3], "pad_token_id": -1}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ids, err := ReadSpecialIDs(dir)
	if err != nil || ids.PAD != nil || ids.BOS == nil || *ids.BOS != 0 || ids.EOS == nil || *ids.EOS != 1 ||
		!slices.Equal(ids.OtherEOS, []int{3}) {
		t.Errorf("%+v, %v", ids, err)
	}
	if err := ids.check(4); err != nil {
		t.Error(err)
	}
}

func TestReadEnds(t *testing.T) {
	for _, c := range []struct {
		generation, config string
		want               []uint32
		err                string
	}{
		{"", "", nil, ""},
		{"", `{"eos_token_id": 2}`, []uint32{2}, ""},
		{`{"eos_token_id": [7, 9]}`, `{"eos_token_id": 2}`, []uint32{7, 9}, ""},
		{`{}`, `{"eos_token_id": 2}`, nil, ""},
		{`{"eos_token_id": null}`, "", nil, ""},
		{`{"eos_token_id": 10}`, "", nil, "id 10 is not below the vocabulary of 10"},
		{`{"eos_token_id": "x"}`, "", nil, "an id or a list"},
		{`{"eos_token_id": -1}`, "", nil, "an id or a list"},
		{`{`, "", nil, "generation_config.json"},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"generation_config.json": c.generation, "config.json": c.config} {
			if text != "" {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := ReadEnds(dir, 10)
		if !slices.Equal(got, c.want) || (err == nil) != (c.err == "") ||
			err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}
