package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"steplm/data/datatest"
)

const (
	pieceModelPath = "testdata/sentencepiece/tokenizer.model"
	pieceJSONPath  = "testdata/sentencepiece/tokenizer.json"
)

// patchedPieces is patched for the SentencePiece-style tokenizer.json; of the model, single fields are replaced.
func patchedPieces(t testing.TB, patch map[string]json.RawMessage) string {
	t.Helper()
	fields, model := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(readFile(t, pieceJSONPath)), &fields); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(fields["model"], &model); err != nil {
		t.Fatal(err)
	}
	maps.Copy(fields, patch)
	if raw, ok := patch["model"]; ok {
		if err := json.Unmarshal(raw, &model); err != nil {
			t.Fatal(err)
		}
		fields["model"] = marshal(t, model)
	}
	return filepath.Join(writeFiles(t, map[string]string{"tokenizer.json": string(marshal(t, fields))}),
		"tokenizer.json")
}

type pieceCases struct {
	Texts         []string
	SentencePiece [][]uint32
	Variants      []struct {
		Name  string
		Patch map[string]json.RawMessage
		IDs   [][]uint32
		Back  []*string
	}
	Decoded []struct {
		Variant, Text string
		IDs           []uint32
	}
}

func loadPieceCases(t testing.TB) pieceCases {
	t.Helper()
	var cases pieceCases
	if err := json.Unmarshal([]byte(readFile(t, "testdata/sentencepiece/cases.json")), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases.Texts) < 200 || len(cases.Variants) != 14 || len(cases.Decoded) != 80 {
		t.Fatalf("cases.json has %d texts, %d variants, %d decoded", len(cases.Texts), len(cases.Variants),
			len(cases.Decoded))
	}
	return cases
}

// Ids and texts are those of Hugging Face tokenizers for every variant of the file, also after Save and Load.
func TestSentencePieceJSONGolden(t *testing.T) {
	cases := loadPieceCases(t)
	variants := map[string]*Tokenizer{}
	for _, variant := range cases.Variants {
		t.Run(variant.Name, func(t *testing.T) {
			loaded := mustLoad(t, patchedPieces(t, variant.Patch))
			variants[variant.Name] = loaded
			saved := filepath.Join(t.TempDir(), "saved.json")
			if err := loaded.Save(saved); err != nil {
				t.Fatal(err)
			}
			again := mustLoad(t, saved)
			if loaded.Hash() != again.Hash() {
				t.Errorf("hash %s became %s by saving", loaded.Hash(), again.Hash())
			}
			for name, tok := range map[string]*Tokenizer{"loaded": loaded, "saved": again} {
				for i, text := range cases.Texts {
					want, back := variant.IDs[i], text
					if want == nil {
						want = cases.Variants[0].IDs[i]
					}
					if variant.Back[i] != nil {
						back = *variant.Back[i]
					}
					if got := encode(t, tok, text); !slices.Equal(got, want) {
						t.Errorf("%s: Encode(%q)\n got %v\nwant %v", name, text, got, want)
					}
					if got := encodeWithSpecial(t, tok, text); got[0] != 1 || !slices.Equal(got[1:], want) {
						t.Errorf("%s: EncodeWithSpecial(%q)\n got %v\nwant 1 and %v", name, text, got, want)
					}
					if got, err := tok.Decode(want); err != nil || got != back {
						t.Errorf("%s: Decode(%v) = %q, %v, want %q", name, want, got, err, back)
					}
				}
			}
		})
	}
	for _, c := range cases.Decoded {
		if got, err := variants[c.Variant].Decode(c.IDs); err != nil || got != c.Text {
			t.Errorf("%s: Decode(%v) = %q, %v, want %q", c.Variant, c.IDs, got, err, c.Text)
		}
	}
}

// The .model gives SentencePiece's ids, and is the same tokenizer as the tokenizer.json that was made of it.
func TestSentencePieceModelGolden(t *testing.T) {
	cases := loadPieceCases(t)
	tok := mustLoad(t, pieceModelPath)
	if want := mustLoad(t, pieceJSONPath); tok.Hash() != want.Hash() {
		t.Errorf("hash %s, that of the tokenizer.json is %s", tok.Hash(), want.Hash())
	}
	compared := 0
	for i, text := range cases.Texts {
		want := cases.SentencePiece[i]
		if want == nil { // it spells a control piece
			want = cases.Variants[0].IDs[i]
		} else {
			compared++
		}
		if got := encode(t, tok, text); !slices.Equal(got, want) {
			t.Errorf("Encode(%q)\n got %v\nwant %v", text, got, want)
		}
	}
	if compared < 200 {
		t.Errorf("only %d texts compared with SentencePiece", compared)
	}
	if id, ok := tok.EndOfText(); !ok || id != 2 || tok.VocabSize() != 700 {
		t.Errorf("end of text %d, %v, vocabulary %d", id, ok, tok.VocabSize())
	}
}

func TestLlama2Conformance(t *testing.T) {
	tok := mustLoad(t, datatest.Path(t, "tokenizers/llama2/tokenizer.model"))
	checkConformance(t, tok, "llama-spm")
	if id, ok := tok.EndOfText(); !ok || id != 2 || tok.VocabSize() != 32000 {
		t.Errorf("end of text %d, %v, vocabulary %d", id, ok, tok.VocabSize())
	}
}

// checkPieceRoundTrip: all text comes back that neither spells the mark, which decodes to a space, nor an added token,
// after which the reference puts another space.
func checkPieceRoundTrip(t rapid.TB, tok *Tokenizer, text string) {
	for _, lost := range []string{spaceMark, "<s>", "</s>", "<unk>"} {
		text = strings.ReplaceAll(text, lost, "")
		if strings.Contains(text, lost) { // made by the removal
			return
		}
	}
	checkRoundTrip(t, tok, text)
}

func TestSentencePieceRoundTrip(t *testing.T) {
	tok := mustLoad(t, pieceModelPath)
	words := rapid.SampledFrom([]string{"the", " ", "  ", "\n", "\r\n", "🙂", "e\u0301", "中", "123", "\x00", "\ufffd",
		"<0x0A>", "\u200d", "\xff\xe2"})
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(words),
		func(w []string) string { return strings.Join(w, "") }))
	rapid.Check(t, func(t *rapid.T) { checkPieceRoundTrip(t, tok, text.Draw(t, "text")) })
}

func FuzzSentencePieceRoundTrip(f *testing.F) {
	for _, text := range loadPieceCases(f).Texts {
		f.Add(text)
	}
	f.Add("\xff\xe2\x82 broken \xf0\x9f\x98")
	tok := mustLoad(f, pieceModelPath)
	f.Fuzz(func(t *testing.T, text string) { checkPieceRoundTrip(t, tok, text) })
}

// A .model of any bytes is a tokenizer or an error, never a panic.
func FuzzSentencePieceModel(f *testing.F) {
	content, err := os.ReadFile(pieceModelPath)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add(content[:len(content)/2])
	f.Add([]byte("\n\x0e"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if def, err := parseSentencePiece(content); err == nil {
			if tok, err := def.compile(); err == nil {
				encode(t, tok, "a b")
			}
		}
	})
}

// A word of a megabyte takes time in proportion to its length.
func TestSentencePieceMegabyteWord(t *testing.T) {
	tok := mustLoad(t, pieceModelPath)
	checkLongWords(t, tok, map[string]string{"the": strings.Repeat("the", 1<<20/3),
		"spaces": strings.Repeat(" ", 1<<20), "fallback": strings.Repeat("🙂", 1<<18)})
}

// Protocol Buffers as tests write them.
func pbBytes(number int, content string) string {
	b := binary.AppendUvarint(nil, uint64(number<<3|2))
	return string(binary.AppendUvarint(b, uint64(len(content)))) + content
}

func pbInt(number int, v uint64) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number<<3)), v))
}

func pbPiece(text string, score float32, kind uint64) string {
	f := binary.LittleEndian.AppendUint32([]byte{2<<3 | 5}, math.Float32bits(score))
	return pbBytes(1, pbBytes(1, text)+string(f)+pbInt(3, kind))
}

func TestSentencePieceModelErrors(t *testing.T) {
	whole := readFile(t, pieceModelPath)
	trainer := pbBytes(2, pbInt(3, modelBPE)+pbInt(35, 1))
	rules := pbBytes(3, pbInt(4, 0))
	var letters strings.Builder
	letters.WriteString(pbPiece("<unk>", 0, pieceUnknown))
	for b := range 256 {
		letters.WriteString(pbPiece(fmt.Sprintf("<0x%02X>", b), 0, pieceByte))
	}
	for i, r := range "▁ab" {
		letters.WriteString(pbPiece(string(r), -100-float32(i), pieceNormal))
	}
	good := letters.String() + trainer + rules
	for name, c := range map[string]struct {
		content string
		want    []string
	}{
		"good":              {good, nil},
		"good with a merge": {good + pbPiece("ab", -1, pieceNormal), nil},
		"empty":             {"", []string{"no pieces"}},
		"cut":               {whole[:len(whole)/2], []string{"goes past the end"}},
		"length only":       {"\n\x0e", []string{"field 1 at byte 0 of 2 goes past the end"}},
		"huge length":       {"\n\xff\xff\xff\xff\xff\xff\xff\xff\x7f", []string{"goes past the end"}},
		"endless varint":    {strings.Repeat("\xff", 20), []string{"byte 0 of 20 begins no protobuf field"}},
		"group":             {"\x0b", []string{"wire type 3"}},
		"JSON":              {`{"version": "1.0"}`, []string{"not a SentencePiece model"}},
		"piece cut":         {pbBytes(1, "\n\x0e"), []string{"piece 0: protobuf field 1"}},
		"unigram":           {letters.String() + rules + pbBytes(2, pbInt(35, 1)), nil},
		"word":              {letters.String() + rules + pbBytes(2, pbInt(3, 3)), []string{"model_type 3"}},
		"no fallback":       {good + pbBytes(2, pbInt(35, 0)), []string{"without byte_fallback"}},
		"suffix":            {good + pbBytes(2, pbInt(24, 1)), []string{"treat_whitespace_as_suffix"}},
		"charsmap":          {good + pbBytes(3, pbBytes(2, "x")), []string{"nmt_nfkc"}},
		"denormalizer":      {good + pbBytes(5, pbBytes(2, "x")), []string{"normalization rule"}},
		"squeeze":           {letters.String() + trainer, nil},
		"no escape":         {good + pbBytes(3, pbInt(5, 0)), []string{"escape_whitespaces"}},
		"user-defined":      {good + pbPiece("xy", 0, pieceUserDefined), []string{`"xy"`, "user-defined"}},
		"unknown type":      {good + pbPiece("xy", 0, 9), []string{"unknown type 9"}},
		"empty piece":       {good + pbPiece("", 0, pieceNormal), []string{"piece 260", "empty"}},
		"long piece": {good + pbPiece(strings.Repeat("a", 1<<20), -1, pieceNormal),
			[]string{"1048576 bytes", "limit is 1024"}},
		"not UTF-8": {good + pbPiece("\xff", 0, pieceNormal), []string{"not UTF-8"}},
		"twice":     {good + pbPiece("a", 0, pieceNormal), []string{`"a" has both id 258 and id 260`}},
		"score NaN": {good + pbPiece("ab", float32(math.NaN()), pieceNormal), []string{"not a number"}},
		"equal scores": {good + pbPiece("ab", -1, pieceNormal) + pbPiece("ba", -1, pieceNormal),
			[]string{`"ab" and "ba" have the same score`}},
		"equal runs": {good + pbPiece("▁▁", -9, pieceNormal) + pbPiece("▁▁▁▁", -9, pieceNormal), nil},
		"equal runs that differ": {good + pbPiece("▁▁", -9, pieceNormal) + pbPiece("▁▁▁", -9, pieceNormal),
			[]string{"a run of 4 becomes pieces of [3 1], but [2 2]"}},
		"no character": {good + pbPiece("ac", -1, pieceNormal), []string{`"ac" holds 'c'`}},
		"no byte":      {strings.Replace(good, "<0x41>", "<0xzz>", 1), []string{`no piece "<0x41>"`}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(writeFiles(t, map[string]string{"tokenizer.model": c.content}), "tokenizer.model")
			tok, err := Load(filepath.Dir(path))
			if c.want != nil {
				expectError(t, err, append(c.want, path)...)
			} else if err != nil {
				t.Fatal(err)
			} else {
				checkRoundTrip(t, tok, "ab ba é")
			}
		})
	}
}

// Every single changed byte of a .model gives a tokenizer or an error.
func TestSentencePieceModelMutations(t *testing.T) {
	content := []byte(readFile(t, pieceModelPath))
	for i := 0; i < len(content); i += 13 {
		changed := slices.Clone(content)
		changed[i] ^= 1 << (i % 8)
		if _, err := parseSentencePiece(changed); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("byte %d: %q is not one line", i, err)
		}
	}
}

// What is not implemented is refused by its name.
func TestSentencePieceJSONUnsupported(t *testing.T) {
	meta := func(rest string) string { return `{"type": "Metaspace", "replacement": "▁"` + rest + `}` }
	for _, c := range []struct {
		field, value string
		want         []string
	}{
		{"normalizer", `{"type": "Precompiled", "precompiled_charsmap": ""}`, []string{"type Precompiled"}},
		{"pre_tokenizer", strings.Replace(meta(""), "▁", "ab", 1), []string{`"ab" is not one character`}},
		{"decoder", meta(`, "prepend_scheme": "sometimes"`),
			[]string{`decoder: Metaspace: replacement "▁" with prepend_scheme "sometimes"`}},
		{"decoder", `{"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "CTC"}]}`,
			[]string{"decoder: type CTC"}},
	} {
		t.Run(c.field+" "+c.value[:min(len(c.value), 40)], func(t *testing.T) {
			path := patchedPieces(t, map[string]json.RawMessage{c.field: json.RawMessage(c.value)})
			_, err := Load(path)
			expectError(t, err, append(c.want, path)...)
		})
	}
	for rest, want := range map[string]string{
		`, "prepend_scheme": "sometimes"`:                        `prepend_scheme "sometimes"`,
		`, "prepend_scheme": "first", "add_prefix_space": false`: "contradicts itself",
		`, "surprise": 1`: `unknown field "surprise"`,
	} {
		_, err := Load(patchedPieces(t, map[string]json.RawMessage{"normalizer": json.RawMessage("null"),
			"pre_tokenizer": json.RawMessage(meta(rest))}))
		expectError(t, err, "pre_tokenizer: ", want)
	}
	_, err := Load(patchedPieces(t, map[string]json.RawMessage{
		"normalizer":    json.RawMessage(`{"type": "Strip", "strip_left": true, "strip_right": false}`),
		"pre_tokenizer": json.RawMessage(meta(`, "prepend_scheme": "first"`))}))
	expectError(t, err, "prepend_scheme first is not supported after a normalizer that may drop")
}

func BenchmarkEncodeLlama2(b *testing.B) {
	tok := mustLoad(b, datatest.Path(b, "tokenizers/llama2/tokenizer.model"))
	text := readFile(b, datatest.Path(b, "wikitext/wiki.test.raw"))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		encode(b, tok, text)
	}
}
