package tokenizer

import (
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func expectError(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", want)
	}
	message := err.Error()
	if !strings.HasPrefix(message, "tokenizer: ") || strings.Contains(message, " tokenizer: ") ||
		strings.Contains(message, "\n") {
		t.Errorf("%q is not one line that begins with the package", message)
	}
	for _, part := range want {
		if !strings.Contains(message, part) {
			t.Errorf("%q does not say %q", message, part)
		}
	}
}

func writeFiles(t testing.TB, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.json")
	_, err := Load(path)
	expectError(t, err, path)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

func TestLoadBadDirectory(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  []string
	}{
		{nil, []string{"no tokenizer.json, no vocab.json with merges.txt and no tokenizer.model"}},
		{map[string]string{"vocab.json": "{}"}, []string{"vocab.json but no merges.txt"}},
		{map[string]string{"merges.txt": ""}, []string{"merges.txt but no vocab.json"}},
		{map[string]string{"tokenizer.model": "\n\x0e"}, []string{"tokenizer.model", "goes past the end"}},
		{map[string]string{"vocab.json": "{}", "merges.txt": ""}, []string{"vocab.json", "vocabulary is empty"}},
		{map[string]string{"vocab.json": `{"a": 0`, "merges.txt": ""}, []string{"vocab.json", "truncated"}},
		{map[string]string{"vocab.json": `{"a": -1}`, "merges.txt": ""}, []string{"vocab.json", "-1"}},
		{map[string]string{"vocab.json": `{"a": 0}`, "merges.txt": "#version: 0.2\na\n"},
			[]string{"merges.txt:2", `"a"`}},
		{map[string]string{"vocab.json": `{"a": 0}`, "merges.txt": "a b c\n"}, []string{"merges.txt:1", `"a b c"`}},
		{map[string]string{"vocab.json": `{"a": 0}`, "merges.txt": ""},
			[]string{"byte 0x00", "not GPT-2's kind"}},
	} {
		dir := writeFiles(t, c.files)
		_, err := Load(dir)
		expectError(t, err, append(c.want, dir)...)
	}
}

func TestLoadBrokenJSON(t *testing.T) {
	whole := readFile(t, trainedPath)
	for name, c := range map[string]struct{ content, want string }{
		"empty":      {"", "truncated"},
		"truncated":  {whole[:len(whole)/2], "truncated"},
		"not JSON":   {"\n\x0e<unk>", "invalid character"},
		"an array":   {"[]", "cannot unmarshal array"},
		"trailing":   {whole + "{}", "more data"},
		"vocab.json": {`{"!": 0}`, `unknown field "!"`},
		"no model":   {`{"version": "1.0"}`, "no model"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(writeFiles(t, map[string]string{"tokenizer.json": c.content}), "tokenizer.json")
			_, err := Load(path)
			expectError(t, err, path, c.want)
		})
	}
}

// One of GPT-2's two files alone says where the other one is looked for.
func TestLoadHalfOfGPT2(t *testing.T) {
	for _, name := range []string{"vocab.json", "merges.txt"} {
		path := filepath.Join(writeFiles(t, map[string]string{"vocab.json": "{}", "merges.txt": ""}), name)
		_, err := Load(path)
		expectError(t, err, path, "give the directory that holds both")
	}
}

// What is not implemented is refused by its name.
func TestLoadUnsupported(t *testing.T) {
	const splitOther = `{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\d+"}, "behavior": "Isolated", "invert": false},
		{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}`
	template := func(single, special string) string {
		return `{"type": "TemplateProcessing", "single": [` + single + `], "pair": [], "special_tokens": {` + special +
			`}}`
	}
	const text, begin = `{"Sequence": {"id": "A", "type_id": 0}}`, `{"SpecialToken": {"id": "<s>", "type_id": 0}}`
	for _, c := range []struct {
		field, value string
		want         []string
	}{
		{"normalizer", `{"type": "Nmt"}`, []string{"normalizer: type Nmt is not supported, only BertNormalizer"}},
		{"normalizer", `{"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Precompiled"}]}`,
			[]string{"normalizer: type Precompiled"}},
		{"normalizer", `{"type": "Replace", "pattern": {"Regex": "(a)\\1"}, "content": ""}`,
			[]string{`normalizer: Replace: the regular expression "(a)\\1" holds \1`}},
		{"normalizer", `{"type": "Replace", "pattern": {"String": ""}, "content": ""}`, []string{"an empty pattern"}},
		{"pre_tokenizer", `{"type": "FixedLength", "length": 5}`, []string{"pre_tokenizer: type FixedLength"}},
		{"pre_tokenizer", strings.Replace(splitOther, `\\d+`, `[[:alpha:]]`, 1), []string{"a POSIX bracket [:"}},
		{"pre_tokenizer", strings.Replace(splitOther, `Isolated`, `Dropped`, 1), []string{`behavior "Dropped"`}},
		{"pre_tokenizer", strings.Replace(splitOther, `{"type": "Split"`, `{"type": "ByteLevel"}, {"type": "Split"`, 1),
			[]string{"ByteLevel: two of them"}},
		{"pre_tokenizer", `{"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Metaspace", "replacement": "▁"}]}`,
			[]string{"Metaspace: it is not supported after ByteLevel"}},
		{"pre_tokenizer", `{"type": "ByteLevel", "add_prefix_space": false, "surprise": 1}`,
			[]string{`unknown field "surprise"`}},
		{"pre_tokenizer", `{"type": 3}`, []string{"pre_tokenizer: "}},
		{"post_processor", `{"type": "RobertaProcessing", "sep": ["</s>", 1200], "cls": ["<s>", 0]}`,
			[]string{`"</s>" has id 1200, which is not below the vocabulary size 1200`}},
		{"post_processor", template(text, "") + "", nil}, // supported: the control
		{"post_processor", template(begin+","+text, ""), []string{`"<s>"`, "special_tokens"}},
		{"post_processor", template(begin+","+text, `"<s>": {"id": "<s>", "ids": [1200], "tokens": ["<s>"]}`),
			[]string{"1200", "vocabulary size 1200"}},
		{"post_processor", template(text+","+text, ""), []string{"Sequence A 2 times"}},
		{"post_processor", template("", ""), []string{"Sequence A 0 times"}},
		{"post_processor", template(strings.Replace(text, `"A"`, `"B"`, 1), ""), []string{"Sequence A only"}},
		{"post_processor", `{"type": "Sequence", "processors": [` + template(text, "") + "," + template(text, "") +
			`]}`, []string{"2 parts that add tokens"}},
		{"decoder", `{"type": "CTC"}`, []string{"decoder: type CTC"}},
		{"decoder", `{"type": "Strip", "content": "ab", "start": 1, "stop": 0}`, []string{`content "ab"`}},
		{"model", `{"type": "Unigram", "vocab": [["a", -1.5], ["a", -1]]}`,
			[]string{`token "a" has both id 0 and id 1`}},
		{"model", `{"type": "Unigram", "unk_id": 1, "vocab": [["a", -1.5]]}`, []string{"unk_id 1 is not below"}},
		{"model", `{"type": "Unigram", "vocab": [["a"]]}`, []string{"is not a token and its score"}},
		{"model", `{"type": "Neural", "vocab": {"a": 0}}`, []string{"model: type Neural is not supported"}},
		{"model", `{"type": "BPE", "unk_token": "?", "vocab": {"a": 0}, "merges": []}`,
			[]string{`unk_token "?" is not in the vocabulary`}},
		{"model", `{"type": "BPE", "dropout": 0.1, "vocab": {}, "merges": []}`, []string{"dropout 0.1"}},
		{"model", `{"type": "BPE", "vocab": {}, "merges": [["a"]]}`, []string{`merge ["a"]`}},
		{"model", `{"type": "BPE", "vocab": {}, "merges": [7]}`, []string{"merge 7"}},
		{"added_tokens", `[{"id": 1200, "content": ""}]`, []string{"id 1200 is empty"}},
		{"added_tokens", `[{"id": 1201, "content": "x y"}]`, []string{"id 1200 is missing", "1201"}},
		{"added_tokens", `[{"id": 4294967295, "content": "x y"}]`, []string{"id 1200 is missing", "4294967295"}},
		{"added_tokens", `[{"id": 7, "content": "x y"}]`, []string{"id 7 belongs to both", `"x y"`}},
		{"added_tokens", `[{"id": 1, "content": "<|endoftext|>"}]`, []string{`"<|endoftext|>" has id 1, but 0`}},
		{"added_tokens", `[{"id": 1200, "content": "x y"}, {"id": 1201, "content": "x y"}]`,
			[]string{`"x y" is listed twice`}},
	} {
		t.Run(c.field+" "+c.value[:min(len(c.value), 40)], func(t *testing.T) {
			path := patched(t, map[string]json.RawMessage{c.field: json.RawMessage(c.value)})
			_, err := Load(path)
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			expectError(t, err, append(c.want, path)...)
		})
	}
}

// The vocabulary and the merges must fit each other, in either way to write merges.
func TestLoadBadVocabulary(t *testing.T) {
	for name, c := range map[string]struct {
		change func(vocab map[string]any, merges *[]any)
		want   []string
	}{
		"good":              {func(map[string]any, *[]any) {}, nil},
		"merges as strings": {func(_ map[string]any, m *[]any) { (*m)[0] = strings.Join(strs((*m)[0]), " ") }, nil},
		"merge of no tokens": {func(_ map[string]any, m *[]any) { (*m)[0] = "a" },
			[]string{`merge "a" is not two tokens`}},
		"unknown left": {func(_ map[string]any, m *[]any) { (*m)[17] = []any{"☃", "a"} },
			[]string{"merge 17", `needs "☃"`}},
		"unknown right": {func(_ map[string]any, m *[]any) { (*m)[17] = []any{"a", "☃"} },
			[]string{"merge 17", `needs "☃"`}},
		"unknown result": {func(_ map[string]any, m *[]any) { (*m)[17] = []any{"q", "Q"} },
			[]string{"merge 17", `needs "qQ"`}},
		"hole":      {func(v map[string]any, _ *[]any) { v["a"] = 5000 }, []string{"is missing", "up to 5000"}},
		"duplicate": {func(v map[string]any, _ *[]any) { v["a"] = v["b"] }, []string{`belongs to both "a" and "b"`}},
		"negative":  {func(v map[string]any, _ *[]any) { v["a"] = -1 }, []string{"-1"}},
		"fraction":  {func(v map[string]any, _ *[]any) { v["a"] = 1.5 }, []string{"1.5"}},
		"too large": {func(v map[string]any, _ *[]any) { v["a"] = 1 << 32 }, []string{"4294967296"}},
	} {
		t.Run(name, func(t *testing.T) {
			var file struct{ Model map[string]any }
			if err := json.Unmarshal([]byte(readFile(t, trainedPath)), &file); err != nil {
				t.Fatal(err)
			}
			merges := file.Model["merges"].([]any)
			c.change(file.Model["vocab"].(map[string]any), &merges)
			file.Model["merges"] = merges
			path := patched(t, map[string]json.RawMessage{"model": marshal(t, file.Model)})
			tok, err := Load(path)
			if c.want != nil {
				expectError(t, err, append(c.want, path)...)
			} else if err != nil {
				t.Fatal(err)
			} else if tok.Hash() != mustLoad(t, trainedPath).Hash() {
				t.Error("another way to write the same tokenizer changed its hash")
			}
		})
	}
}

func strs(list any) (s []string) {
	for _, v := range list.([]any) {
		s = append(s, v.(string))
	}
	return s
}

// A byte that the vocabulary lacks is dropped, as in the reference, or is the token for the unknown.
func TestLoadMissingByte(t *testing.T) {
	for _, unk := range []any{nil, "<|endoftext|>"} {
		var file struct{ Model map[string]any }
		if err := json.Unmarshal([]byte(readFile(t, trainedPath)), &file); err != nil {
			t.Fatal(err)
		}
		vocab := file.Model["vocab"].(map[string]any)
		a := uint32(vocab["a"].(float64))
		vocab["☃ in its place"] = vocab["z"]
		delete(vocab, "z")
		file.Model["merges"], file.Model["unk_token"] = []any{}, unk
		tok := mustLoad(t, patched(t, map[string]json.RawMessage{"model": marshal(t, file.Model)}))
		want := []uint32{a, a}
		if unk != nil {
			want = []uint32{a, 0, 0, a}
		}
		if got := encode(t, tok, "azza"); !slices.Equal(got, want) {
			t.Errorf("unk_token %v: %v, want %v", unk, got, want)
		}
	}
}

func TestLoadGPT2Files(t *testing.T) {
	want := mustLoad(t, trainedPath)
	var lines strings.Builder
	lines.WriteString("#version: 0.2\n")
	for _, m := range merges(want) {
		lines.WriteString(m[0] + " " + m[1] + "\r\n")
	}
	dir := writeFiles(t, map[string]string{"vocab.json": string(marshal(t, want.model.Vocab())),
		"merges.txt": lines.String()})
	got := mustLoad(t, dir)
	if got.Hash() != want.Hash() {
		t.Error("vocab.json and merges.txt give another tokenizer than the tokenizer.json they came from")
	}
	if err := got.Save(dir); err != nil { // from here on the directory holds a tokenizer.json
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "merges.txt")); err != nil {
		t.Fatal(err)
	}
	if mustLoad(t, dir).Hash() != want.Hash() {
		t.Error("Save into a directory and Load of it do not agree")
	}
}

func TestSaveErrors(t *testing.T) {
	tok := mustLoad(t, trainedPath)
	path := filepath.Join(t.TempDir(), "absent", "tokenizer.json")
	expectError(t, tok.Save(path), path)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	expectError(t, tok.Save(filepath.Join(file, "tokenizer.json")), file)
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTrainErrors(t *testing.T) {
	one := func(text string, err error) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) { yield(text, err) }
	}
	broken := errors.New("shard 3 is damaged")
	for name, c := range map[string]struct {
		texts iter.Seq2[string, error]
		o     TrainOptions
		want  []string
	}{
		"too small": {one("text", nil), TrainOptions{VocabSize: 256},
			[]string{"vocabulary of 256 is too small", "257"}},
		"no text":    {one("", nil), TrainOptions{VocabSize: 300}, []string{"no text"}},
		"read error": {one("", broken), TrainOptions{VocabSize: 300}, []string{"shard 3 is damaged"}},
		"twice": {one("text", nil), TrainOptions{VocabSize: 300, Special: []string{"<s>", "<s>"}},
			[]string{`"<s>" is empty or named twice`}},
		"empty special": {one("text", nil), TrainOptions{VocabSize: 300, Special: []string{""}},
			[]string{`"" is empty or named twice`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Train(c.texts, c.o)
			expectError(t, err, c.want...)
			if name == "read error" && !errors.Is(err, broken) {
				t.Errorf("%v does not wrap the cause", err)
			}
		})
	}
	_, err := countWords(one("one two three four", nil), 12)
	expectError(t, err, "over 12 bytes", "train on less")
}

func TestTrainOptions(t *testing.T) {
	text := func(yield func(string, error) bool) { yield("abc abc <s> \xff", nil) }
	tok, err := Train(text, TrainOptions{VocabSize: 5000, Special: []string{"<pad>", "<s>"}})
	if err != nil {
		t.Fatal(err)
	}
	if n := tok.VocabSize(); n <= 258 || n >= 300 { // the text runs out of pairs
		t.Errorf("vocabulary %d", n)
	}
	if ids := encode(t, tok, "<s><pad>"); len(ids) != 2 || ids[0] != 1 || ids[1] != 0 {
		t.Errorf("special tokens are %v", ids)
	}
	if _, ok := tok.EndOfText(); ok {
		t.Error("an end of text that was not asked for")
	}
	bare, err := Train(text, TrainOptions{VocabSize: 256, Special: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if bare.VocabSize() != 256 || len(encode(t, bare, "abc")) != 3 {
		t.Errorf("without merges and special tokens: vocabulary %d, %v", bare.VocabSize(), encode(t, bare, "abc"))
	}
}
