package tokenizer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"steplm/data/datatest"
)

// losslessTokenizers are the trained tokenizer and its variants whose decoding gives back the text.
func losslessTokenizers(t testing.TB) []*Tokenizer {
	var list []*Tokenizer
	for _, v := range loadCases(t).Variants {
		if v.Name != "prefix space" && v.Name != "nfc and added" && v.Name != "nfkc" {
			list = append(list, mustLoad(t, patched(t, v.Patch)))
		}
	}
	return list
}

func checkRoundTrip(t rapid.TB, tok *Tokenizer, text string) {
	ids := tok.Encode(text)
	for _, id := range ids {
		if int(id) >= tok.VocabSize() {
			t.Fatalf("Encode(%q) has id %d beyond the vocabulary of %d", text, id, tok.VocabSize())
		}
	}
	if back, err := tok.Decode(ids); err != nil || back != replaceInvalid(text) {
		t.Fatalf("%q became %q, %v", text, back, err)
	}
}

func TestRoundTrip(t *testing.T) {
	tokenizers := losslessTokenizers(t)
	words := rapid.SampledFrom([]string{"the", "'s", "'LL", " ", "  ", "\n", "\r\n", "<|endoftext|>", "<|", "🙂",
		"e\u0301", "中", "123", "\x00", "\ufffd"})
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(words),
		func(w []string) string { return strings.Join(w, "") }))
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		for _, tok := range tokenizers {
			checkRoundTrip(t, tok, s)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	for _, text := range loadCases(f).Texts {
		f.Add(text)
	}
	f.Add("\xff\xe2\x82 broken \xf0\x9f\x98")
	tokenizers := losslessTokenizers(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range tokenizers {
			checkRoundTrip(t, tok, text)
		}
	})
}

// Every split pattern cuts the text into pieces that are not empty and leave nothing out.
func TestPatternsCoverTheText(t *testing.T) {
	texts := append(loadCases(t).Texts, "\xff", "'\xc5")
	for _, p := range append(slices.Clone(patterns), wholePattern) {
		for _, text := range texts {
			for i := 0; i < len(text); {
				end := p.next(text, i)
				if end <= i || end > len(text) {
					t.Fatalf("%s: the piece of %q at %d ends at %d", p.name, text, i, end)
				}
				i = end
			}
		}
	}
}

// The heap and the scan agree, and both follow the definition, on words around the length where one takes over.
func TestLongWordsMergeAsShortOnes(t *testing.T) {
	tok := mustLoad(t, trainedPath)
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := "aaeehtnstr. "
	for n := 1; n <= shortWord; n++ {
		for range 40 {
			b := make([]byte, n)
			for i := range b {
				b[i] = alphabet[rng.IntN(len(alphabet))]
			}
			short, long := tok.bpe.encodeShort(nil, string(b)), tok.bpe.encodeLong(nil, string(b))
			want := mergeByDefinition(&tok.bpe, string(b))
			if !slices.Equal(short, want) || !slices.Equal(long, want) {
				t.Fatalf("%q\nshort %v\nlong  %v\nwant  %v", b, short, long, want)
			}
		}
	}
}

// mergeByDefinition searches the whole word for the lowest rank again and again.
func mergeByDefinition(b *bpe, word string) []uint32 {
	ids := b.symbols(nil, word)
	for {
		best, at := noMerge, -1
		for i := range len(ids) - 1 {
			if m := b.merge(ids[i], ids[i+1]); m < best {
				best, at = m, i
			}
		}
		if at < 0 {
			return ids
		}
		ids = slices.Replace(ids, at, at+2, best.id())
	}
}

// checkLongWords encodes words of about 1 MiB, in time, and decodes them back.
func checkLongWords(t *testing.T, tok *Tokenizer, words map[string]string) {
	t.Helper()
	for name, text := range words {
		start := time.Now()
		ids := tok.Encode(text)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: %v for a word of 1 MiB", name, took)
		}
		if back, err := tok.Decode(ids); err != nil || back != text {
			t.Errorf("%s: the word did not come back (%v)", name, err)
		}
	}
}

// A megabyte without a space takes time in proportion to its length: quadratic merging would need hours.
func TestMegabyteWord(t *testing.T) {
	tok := mustLoad(t, trainedPath)
	rng := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 1<<20)
	for i := range random {
		random[i] = "abcdefghijklmnopqrstuvwxyz"[rng.IntN(26)]
	}
	checkLongWords(t, tok, map[string]string{"random": string(random), "equal": strings.Repeat("a", 1<<20),
		"the": strings.Repeat("the", 1<<20/3)})
	start := time.Now()
	if _, err := Train(func(yield func(string, error) bool) { yield(string(random), nil) },
		TrainOptions{VocabSize: 1000}); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 60*time.Second {
		t.Errorf("training on a word of 1 MiB took %v", took)
	}
}

func TestConcurrentEncode(t *testing.T) {
	cases := loadCases(t)
	tok := mustLoad(t, trainedPath)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i, text := range cases.Texts {
				if !slices.Equal(tok.Encode(text), cases.Variants[0].IDs[i]) {
					t.Errorf("Encode(%q) differs when called concurrently", text)
				}
			}
		})
	}
	group.Wait()
}

func TestDecodeUnknownID(t *testing.T) {
	tok := mustLoad(t, trainedPath)
	_, err := tok.Decode([]uint32{5, 1200})
	if want := "tokenizer: id 1200 at position 1 is not below the vocabulary size 1200"; err == nil ||
		err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	if _, err := tok.Decode([]uint32{1<<32 - 1}); err == nil {
		t.Error("id 2^32-1 was decoded")
	}
}

func TestEndOfText(t *testing.T) {
	for _, c := range []struct {
		added []addedToken
		want  uint32
		ok    bool
	}{
		{nil, 0, false},
		{[]addedToken{{ID: 1200, Content: "<pad>"}}, 0, false},
		{[]addedToken{{ID: 1200, Content: "</s>"}, {ID: 1201, Content: "<|end_of_text|>"}}, 1200, true},
		{[]addedToken{{ID: 1200, Content: "<|end_of_text|>"}, {ID: 1201, Content: "</s>"}}, 1201, true},
		{[]addedToken{{ID: 1200, Content: "</s>"}, {ID: 0, Content: "<|endoftext|>"}}, 0, true},
	} {
		tok := mustLoad(t, patched(t, map[string]json.RawMessage{"added_tokens": marshal(t, c.added)}))
		if id, ok := tok.EndOfText(); id != c.want || ok != c.ok {
			t.Errorf("%v: EndOfText() = %d, %v, want %d, %v", c.added, id, ok, c.want, c.ok)
		}
	}
}

func marshal(t testing.TB, v any) json.RawMessage {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestHashTellsTokenizersApart(t *testing.T) {
	seen := map[string]string{}
	for _, v := range loadCases(t).Variants {
		if v.Name == "gpt2 split" { // the same words by the other way to write the pattern
			continue
		}
		hash := mustLoad(t, patched(t, v.Patch)).Hash()
		if len(hash) != 64 || seen[hash] != "" {
			t.Errorf("%s has the hash %s, and so has %q", v.Name, hash, seen[hash])
		}
		seen[hash] = v.Name
	}
}

// The table agrees with Go's own on every rune that Go's version of Unicode has assigned; what it has
// beyond is unassigned there.
func TestClassesAgreeWithGo(t *testing.T) {
	if unicode.Version != "15.0.0" {
		t.Skipf("this comparison is for Unicode 15.0.0, Go has %s", unicode.Version)
	}
	added := 0
	for r := range rune(unicode.MaxRune + 1) {
		want := other
		switch {
		case unicode.IsLetter(r):
			want = letter
		case unicode.IsNumber(r):
			want = number
		case unicode.IsSpace(r):
			want = space
		}
		if got := classes[r]; got == want {
			continue
		} else if assigned := unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.M, unicode.P,
			unicode.S, unicode.Z); assigned || want != other || got == space {
			t.Errorf("%U has class %d, want %d", r, got, want)
		}
		added++
	}
	if added != 5004 { // letters and numbers of Unicode 15.1 and 16.0
		t.Errorf("%d runes beyond Unicode 15.0, want 5004", added)
	}
}

func TestByteAlphabet(t *testing.T) {
	seen := map[rune]bool{}
	for b, r := range byteRune {
		if seen[r] || int(runeByte[r]) != b {
			t.Errorf("byte 0x%02X is %q, which is byte %d", b, r, runeByte[r])
		}
		seen[r] = true
	}
	for text, want := range map[string]string{"Ġthe": " the", "Ċ": "\n", "Ã©": "é", "!": "!", "Ń": "\u00ad"[1:]} {
		if got, ok := tokenBytes(text); !ok || got != want {
			t.Errorf("tokenBytes(%q) = %q, %v, want %q", text, got, ok, want)
		}
	}
	if got, ok := tokenBytes("a b"); ok || got != "a b" {
		t.Errorf("tokenBytes of text outside the alphabet: %q, %v", got, ok)
	}
}

func TestNFC(t *testing.T) {
	for in, want := range map[string]string{
		"plain é":                          "plain é",
		"e\u0301":                          "é",
		"\u2126\u212b":                     "Ω\u00c5",
		"a\u0307\u0323":                    "\u1ea1\u0307",
		"\u1112\u1161\u11ab":               "한",
		"\uac00\u11a8":                     "각",
		"\uac01\u11a8":                     "각\u11a8",
		"\u0958":                           "\u0915\u093c", // excluded from composition
		"\u0344":                           "\u0308\u0301",
		"\u0301e":                          "\u0301e",
		"a\u0301\u0301":                    "á\u0301",
		"a" + strings.Repeat("\u0316", 40): "a" + strings.Repeat("\u0316", 40), // no stream-safe limit
		"a" + strings.Repeat("\u0316", 40) + "\u0301": "á" + strings.Repeat("\u0316", 40),
	} {
		if got := nfc(in); got != want {
			t.Errorf("nfc(%+q) = %+q, want %+q", in, got, want)
		}
	}
	// Every composed form comes back from its parts, and nothing changes twice.
	for _, entry := range decompositions {
		once := nfc(string(entry[0]))
		if nfc(once) != once || !utf8.ValidString(once) {
			t.Errorf("nfc is not stable on %U", entry[0])
		}
		parts := string(entry[1])
		if entry[2] != 0 {
			parts += string(entry[2])
		}
		if nfc(parts) != once {
			t.Errorf("nfc of %U is %+q, of its parts %+q", entry[0], once, nfc(parts))
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := mustLoad(b, trainedPath)
	text := readFile(b, "testdata/corpus.txt")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Encode(text)
	}
}

func BenchmarkEncodeGPT2(b *testing.B) {
	tok := mustLoad(b, datatest.Path(b, "tokenizers/gpt2"))
	text := readFile(b, datatest.Path(b, "wikitext/wiki.test.raw"))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Encode(text)
	}
}

func BenchmarkTrain(b *testing.B) {
	text := readFile(b, datatest.Path(b, "wikitext/wiki.test.raw"))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Train(corpus(text), TrainOptions{VocabSize: 8192}); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleTrain() {
	texts := func(yield func(string, error) bool) {
		yield("low low low lower lower newest newest newest widest", nil)
	}
	tok, err := Train(texts, TrainOptions{VocabSize: 262})
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := tok.Encode("lowest<|endoftext|>")
	text, err := tok.Decode(ids)
	fmt.Println(ids, text, err)
	// Output: [257 258 259 0] lowest<|endoftext|> <nil>
}
