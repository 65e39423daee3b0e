package tokenizer

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"steplm/data/datatest"
	"steplm/data/tokenizer/internal/subword"
)

const trainedPath = "testdata/trained/tokenizer.json"

func mustLoad(t testing.TB, path string) *Tokenizer {
	t.Helper()
	tok, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func encode(t rapid.TB, tok *Tokenizer, text string) []uint32 {
	ids, err := tok.Encode(text)
	if err != nil {
		t.Fatalf("Encode(%q): %v", text, err)
	}
	return ids
}

func encodeWithSpecial(t rapid.TB, tok *Tokenizer, text string) []uint32 {
	ids, err := tok.EncodeWithSpecial(text)
	if err != nil {
		t.Fatalf("EncodeWithSpecial(%q): %v", text, err)
	}
	return ids
}

// merges are those of a BPE.
func merges(tok *Tokenizer) [][2]string { return tok.model.(*subword.BPE).Options().Merges }

func readFile(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// patched writes the trained tokenizer.json with some of its fields replaced and returns the path.
func patched(t testing.TB, patch map[string]json.RawMessage) string {
	t.Helper()
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(readFile(t, trainedPath)), &fields); err != nil {
		t.Fatal(err)
	}
	maps.Copy(fields, patch)
	content, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

type goldenCases struct {
	Texts    []string
	Variants []struct {
		Name        string
		Patch       map[string]json.RawMessage
		IDs         [][]uint32
		WithSpecial [][]uint32 `json:"with_special"`
	}
	Decoded []struct {
		IDs  []uint32
		Text string
	}
}

func loadCases(t testing.TB) goldenCases {
	t.Helper()
	var cases goldenCases
	if err := json.Unmarshal([]byte(readFile(t, "testdata/cases.json")), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases.Texts) < 300 || len(cases.Variants) < 8 || len(cases.Decoded) < 20 {
		t.Fatalf("cases.json has only %d texts, %d variants, %d decoded", len(cases.Texts), len(cases.Variants),
			len(cases.Decoded))
	}
	return cases
}

// Ids are those of Hugging Face tokenizers for every variant of the file, also after Save and Load.
func TestEncodeGolden(t *testing.T) {
	cases := loadCases(t)
	for _, variant := range cases.Variants {
		t.Run(variant.Name, func(t *testing.T) {
			loaded := mustLoad(t, patched(t, variant.Patch))
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
					want := variant.IDs[i]
					if want == nil {
						want = cases.Variants[0].IDs[i]
					}
					if got := encode(t, tok, text); !slices.Equal(got, want) {
						t.Errorf("%s: Encode(%q)\n got %v\nwant %v", name, text, got, want)
					}
					if variant.WithSpecial != nil {
						want = variant.WithSpecial[i]
					}
					if got := encodeWithSpecial(t, tok, text); !slices.Equal(got, want) {
						t.Errorf("%s: EncodeWithSpecial(%q)\n got %v\nwant %v", name, text, got, want)
					}
				}
			}
		})
	}
}

func TestDecodeGolden(t *testing.T) {
	tok := mustLoad(t, trainedPath)
	for _, c := range loadCases(t).Decoded {
		if got, err := tok.Decode(c.IDs); err != nil || got != c.Text {
			t.Errorf("Decode(%v) = %q, %v, want %q", c.IDs, got, err, c.Text)
		}
	}
}

// corpus yields the lines of a text, as the reference read them.
func corpus(text string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			if !yield(line, nil) {
				return
			}
		}
	}
}

// Training gives the reference's merges in its order, and its ids.
func TestTrainGolden(t *testing.T) {
	want := mustLoad(t, trainedPath)
	var calls, last int
	got, err := Train(corpus(readFile(t, "testdata/corpus.txt")), TrainOptions{
		VocabSize: 1200,
		Progress: func(done, total int) {
			calls++
			if done != calls || total != 1200 {
				t.Errorf("call %d of Progress: %d of %d", calls, done, total)
			}
			last = done
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != 1200 {
		t.Errorf("Progress ended at %d of 1200", last)
	}
	if !slices.Equal(merges(got), merges(want)) {
		for i, m := range merges(got) {
			if i >= len(merges(want)) || m != merges(want)[i] {
				t.Fatalf("%d merges, want %d; merge %d is %q", len(merges(got)), len(merges(want)), i, m)
			}
		}
	}
	if !maps.Equal(got.model.Vocab(), want.model.Vocab()) {
		t.Error("the vocabulary's ids differ")
	}
	if got.Hash() != want.Hash() {
		t.Errorf("hash %s, want that of the reference's file, %s", got.Hash(), want.Hash())
	}
	if id, ok := got.EndOfText(); !ok || id != 0 {
		t.Errorf("EndOfText() = %d, %v, want 0, true", id, ok)
	}
}

func TestGPT2Conformance(t *testing.T) {
	tok := mustLoad(t, datatest.Path(t, "tokenizers/gpt2"))
	checkConformance(t, tok, "gpt-2")
	if id, ok := tok.EndOfText(); !ok || id != 50256 || tok.VocabSize() != 50257 {
		t.Errorf("end of text %d, %v, vocabulary %d", id, ok, tok.VocabSize())
	}
}

// checkConformance encodes llama.cpp's cases of a vocabulary and decodes them
// back.
func checkConformance(t *testing.T, tok *Tokenizer, vocabulary string) {
	t.Helper()
	const separator = "\n__ggml_vocab_test__\n"
	file := "tokenizers/cases/ggml-vocab-" + vocabulary + ".gguf"
	texts := strings.Split(strings.TrimSuffix(readFile(t, datatest.Path(t, file+".inp")), separator), separator)
	lines := strings.Split(strings.TrimSuffix(readFile(t, datatest.Path(t, file+".out")), "\n"), "\n")
	if len(texts) != len(lines) {
		t.Fatalf("%d texts, %d lines of ids", len(texts), len(lines))
	}
	for i, text := range texts {
		got := strings.Trim(fmt.Sprint(encode(t, tok, text)), "[]")
		if want := strings.TrimSpace(lines[i]); got != want {
			t.Errorf("case %d, Encode(%q)\n got %s\nwant %s", i, text, got, want)
		}
		if back, err := tok.Decode(encode(t, tok, text)); err != nil || back != text {
			t.Errorf("case %d: decoded %q, %v, want %q", i, back, err, text)
		}
	}
}

// neoxCases were encoded by tokenizers 0.23.3.
var neoxCases = map[string][]uint32{
	"":                                  {},
	"Hello world":                       {12092, 1533},
	" Hello world!":                     {24387, 1533, 2},
	"cafe\u0301 e\u0301te\u0301":        {68, 2320, 860, 23162},
	"a" + strings.Repeat(" ", 30) + "b": {66, 50254, 50272, 67},
	"def f(x):\n        return x\n":     {1545, 269, 9, 89, 2262, 187, 50270, 2309, 1269, 187},
	"<|endoftext|>x<|padding|>":         {0, 89, 1},
	"\u1112\u1161\u11ab \u2126":         {39742, 1454, 104},
	"東京は夜の七時 🙂":                         {12676, 111, 5494, 107, 6418, 7249, 239, 3917, 3218, 214, 27033, 42908},
	"I'm 12345 they're":                 {42, 1353, 1249, 16767, 597, 1472},
}

func TestNeoX(t *testing.T) {
	tok := mustLoad(t, datatest.Path(t, "tokenizers/neox/20B_tokenizer.json"))
	if id, ok := tok.EndOfText(); !ok || id != 0 || tok.VocabSize() != 50277 {
		t.Errorf("end of text %d, %v, vocabulary %d", id, ok, tok.VocabSize())
	}
	for text, want := range neoxCases {
		if got := encode(t, tok, text); !slices.Equal(got, want) {
			t.Errorf("Encode(%q)\n got %v\nwant %v", text, got, want)
		}
	}
}

// train_bpe's reference prefers the pair of larger bytes among equally frequent ones, Hugging Face and Train the one of
// smaller ids. So the lists part at the first tie, and differ in their ends by what ties push out.
func TestTrainAgainstOtherTieBreaking(t *testing.T) {
	text := readFile(t, datatest.Path(t, "tokenizers/train_bpe/corpus.en"))
	var want [][2]string
	for line := range strings.Lines(readFile(t, datatest.Path(t,
		"tokenizers/train_bpe/train-bpe-reference-merges.txt"))) {
		m, err := subword.SplitMerge(strings.TrimRight(line, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, m)
	}
	tok, err := Train(func(yield func(string, error) bool) { yield(text, nil) }, TrainOptions{VocabSize: 500})
	if err != nil {
		t.Fatal(err)
	}
	got := merges(tok)
	const firstTie = 31 // "Ġ d" and "Ġa nd"
	if len(got) != len(want) || !slices.Equal(got[:firstTie], want[:firstTie]) {
		t.Errorf("%d merges, want %d; the first %d are %q, want %q", len(got), len(want), firstTie, got[:firstTie],
			want[:firstTie])
	}
	common := 0
	for _, m := range got {
		if slices.Contains(want, m) {
			common++
		}
	}
	if common != 239 {
		t.Errorf("%d of %d merges are in the reference's list, want 239", common, len(want))
	}
}
