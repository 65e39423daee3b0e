package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

type partCases struct {
	Texts      []string
	Bases      map[string]map[string]json.RawMessage
	Tokenizers []struct {
		Base             string
		File, Model      map[string]json.RawMessage
		IDs, Plain, Back []*uint32
		Around           []uint32
	}
}

func checksum(ids []uint32) uint32 {
	var b []byte
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return crc32.ChecksumIEEE(b)
}

// Parts in many combinations give the ids and texts of Hugging Face's library, also after Save and Load, or are
// refused; STEPLM_PARTS names another file that testdata/make_parts.py made.
func TestPartsGolden(t *testing.T) {
	path := "testdata/parts.json"
	if other := os.Getenv("STEPLM_PARTS"); other != "" {
		path = other
	}
	var cases partCases
	if err := json.Unmarshal([]byte(readFile(t, path)), &cases); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for n, c := range cases.Tokenizers {
		fields, model := maps.Clone(c.File), maps.Clone(cases.Bases[c.Base])
		maps.Copy(model, c.Model)
		fields["model"] = marshal(t, model)
		dir := writeFiles(t, map[string]string{"tokenizer.json": string(marshal(t, fields))})
		file := filepath.Join(dir, "tokenizer.json")
		tok, err := Load(file)
		if err != nil {
			refused++
			t.Logf("tokenizer %d: %v", n, err)
			continue
		}
		if err := tok.Save(file); err != nil {
			t.Fatal(err)
		}
		again := mustLoad(t, file)
		if again.Hash() != tok.Hash() {
			t.Errorf("tokenizer %d: hash %s became %s by saving", n, tok.Hash(), again.Hash())
		}
		wrong := 0
		complain := func(text string, got any, err error) {
			if wrong++; wrong == 1 {
				t.Errorf("tokenizer %d, of model %s, gives %+q another result than the reference: %v, %v\n%s", n,
					c.Base, text, got, err, marshal(t, []any{c.Model, c.File}))
			}
		}
		for i, text := range cases.Texts {
			for _, tok := range []*Tokenizer{tok, again} {
				if c.IDs[i] != nil { // or else the reference fails
					if ids, err := tok.Encode(text); err != nil || checksum(ids) != *c.IDs[i] {
						complain(text, ids, err)
					} else if back, err := tok.Decode(ids); c.Back[i] != nil &&
						(err != nil || crc32.ChecksumIEEE([]byte(back)) != *c.Back[i]) {
						complain(text, back, err)
					}
				}
			}
			if c.Plain[i] != nil {
				if ids, _, err := tok.AppendDocument(nil, text); err != nil || checksum(ids) != *c.Plain[i] {
					complain(text, ids, err)
				}
			}
		}
		if got, err := tok.EncodeWithSpecial("a"); c.Around != nil && (err != nil || !slices.Equal(got, c.Around)) {
			t.Errorf("tokenizer %d, %s: EncodeWithSpecial gives %v, %v, want %v", n, c.File["post_processor"], got, err,
				c.Around)
		}
	}
	if refused > len(cases.Tokenizers)/5 {
		t.Errorf("%d of %d are refused", refused, len(cases.Tokenizers))
	}
}
