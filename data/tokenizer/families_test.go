package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"path/filepath"
	"testing"

	"steplm/data/datatest"
	"steplm/data/tokenizer/internal/pattern"
)

// The ids of real vocabularies of the three families are those of the reference
// libraries on hard strings, and are the text's where nothing normalizes it.
func TestFamilies(t *testing.T) {
	var golden struct {
		Texts    []string
		Families map[string][]uint32
	}
	if err := json.Unmarshal([]byte(readFile(t, "testdata/families.json")), &golden); err != nil {
		t.Fatal(err)
	}
	gpt2 := mustLoad(t, datatest.Path(t, "tokenizers/gpt2"))
	variant := func(normalizer string) *Tokenizer {
		content, err := gpt2.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(content, &fields); err != nil {
			t.Fatal(err)
		}
		fields["normalizer"] = json.RawMessage(normalizer)
		fields["pre_tokenizer"] = marshal(t, map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Split", "pattern": map[string]any{"Regex": pattern.Scanners[1].Regex},
				"behavior": "Isolated", "invert": false},
			map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}}})
		return mustLoad(t, filepath.Join(writeFiles(t, map[string]string{"tokenizer.json": string(marshal(t, fields))}),
			"tokenizer.json"))
	}
	families := map[string]*Tokenizer{
		"gpt2": gpt2, "llama3": variant("null"), "nfkc": variant(`{"type": "NFKC"}`),
		"neox": mustLoad(t, datatest.Path(t, "tokenizers/neox/20B_tokenizer.json")), "llama2": mustLoad(t,
			datatest.Path(t, "tokenizers/llama2/tokenizer.model")),
	}
	if len(golden.Texts) < 600 || len(golden.Families) != len(families) {
		t.Fatalf("%d texts, %d families", len(golden.Texts), len(golden.Families))
	}
	for name, sums := range golden.Families {
		tok := families[name]
		wrong := 0
		for i, text := range golden.Texts {
			var b []byte
			ids := encode(t, tok, text)
			for _, id := range ids {
				b = binary.LittleEndian.AppendUint32(b, id)
			}
			if crc32.ChecksumIEEE(b) != sums[i] {
				if wrong++; wrong <= 3 {
					t.Errorf("%s: text %d: %+q has other ids than the reference: %v", name, i, text, ids)
				}
			}
			lossless := len(tok.def.normalizer) == 0 || name == "llama2"
			if back, err := tok.Decode(ids); lossless && (err != nil || back != text) {
				t.Errorf("%s: text %d: %+q decodes to %+q, %v", name, i, text, back, err)
			}
		}
		if wrong > 0 {
			t.Errorf("%s: %d of %d texts have other ids", name, wrong, len(golden.Texts))
		}
	}
}
