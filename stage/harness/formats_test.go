package harness

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fill writes files of a folder, which it returns.
func fill(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, []byte(content))
	}
	return dir
}

// Each task reads the files that its data set was published in, the rows that the hub has, and those with a query, and
// makes the same document of them.
func TestFormats(t *testing.T) {
	const (
		stem = `{"id":"x","question":{"stem":"Why?","choices":[{"text":"a b","label":"A"},{"text":"c","label":"B"},` +
			`{"text":"d","label":"C"}]},"answerKey":"B"}`
		side = `"choices":{"text":["a b","c","d"],"label":["1","2","3"]},"answerKey":"2"}`
		flat = `"choices":["a b","c","d"],"gold":1}`
	)
	three := []string{" a b", " c", " d"}
	for _, c := range []struct {
		task, file, content string
		contexts            []string
		continuations       []string
		gold                int
	}{
		{"arc_easy", "ARC-V1-Feb2018-2/ARC-Easy/ARC-Easy-Test.jsonl", stem, []string{"Question: Why?\nAnswer:"},
			three, 1},
		{"arc_easy", "arc_easy_test.json", `[{"question":"Why?",` + side + `]`, []string{"Question: Why?\nAnswer:"},
			three, 1},
		{"arc_challenge", "arc_challenge.jsonl", `{"query":"Question: Why?",` + flat,
			[]string{"Question: Why?\nAnswer:"},
			three, 1},
		{"openbookqa", "OpenBookQA-V1-Sep2018/Data/Main/test.jsonl", stem, []string{"Why?"}, three, 1},
		{"openbookqa", "openbookqa/test.jsonl", `{"question_stem":"Why?",` + strings.Replace(side, `"2"}`, `" 2"}`, 1),
			[]string{"Why?"}, three, 1},
		{"openbookqa", "openbook_qa.jsonl", `{"query":"Why?",` + flat, []string{"Why?"}, three, 1},
		{"piqa", "piqa/valid.jsonl", `{"id":"","goal":"Eat","sol1":"now","sol2":"then"}`,
			[]string{"Question: Eat\nAnswer:"}, []string{" now", " then"}, 1},
		{"piqa", "piqa.jsonl", `{"query":"Question: Eat\n","choices":["now","then"],"gold":1}`,
			[]string{"Question: Eat\nAnswer:"}, []string{" now", " then"}, 1},
		{"hellaswag", "hellaswag_val.jsonl",
			`{"activity_label":"Baking [x]","ctx_a":"A man [title] is.","ctx_b":"the MAN",` +
				`"endings":[" [step] goes  on. ","stops."],"label":"1"}`,
			[]string{"Baking : A man. is. The man"}, []string{"  goes on.", " stops."}, 1},
		{"hellaswag", "hellaswag_small.jsonl", `{"query":"A: b","choices":["c  d","e"],"gold":0}`, []string{"A: b"},
			[]string{" c  d", " e"}, 0},
		{"winogrande", "winogrande_1.1/dev.jsonl", `{"qID":"q","sentence":"Ann saw Bo and _'s dog.","option1":"Ann",` +
			`"option2":"Bo","answer":"2"}`, []string{"Ann saw Bo and Ann", "Ann saw Bo and Bo"},
			[]string{" 's dog.", " 's dog."}, 1},
		{"winogrande", "winogrande.jsonl", `{"context_options":["x a","x b"],"continuation":"ran.","gold":0}`,
			[]string{"x a", "x b"}, []string{" ran.", " ran."}, 0},
		{"boolq", "BoolQ/val.jsonl", `{"question":"is it","passage":"It is.","idx":0,"label":true}`,
			[]string{"It is.\nQuestion: is it?\nAnswer:"}, []string{" no", " yes"}, 1},
		{"boolq", "boolq/dev.jsonl", `{"question":"is it","title":"x","answer":false,"passage":"It is."}`,
			[]string{"It is.\nQuestion: is it?\nAnswer:"}, []string{" no", " yes"}, 0},
		{"boolq", "boolq_validation.jsonl", `{"question":"is it","passage":"It is.","idx":0,"label":1}`,
			[]string{"It is.\nQuestion: is it?\nAnswer:"}, []string{" no", " yes"}, 1},
		{"sciq", "SciQ dataset-2 3/test.json",
			`[{"question":"What?","distractor3":"c","distractor1":"a","distractor2":"b",` +
				`"correct_answer":"d","support":"  It. "}]`, []string{"It. \nQuestion: What?\nAnswer:"},
			[]string{" a", " b", " c", " d"}, 3},
		{"lambada_openai", "lambada_test.openai.jsonl", `{"text":"a b\nc d\ne"}`, []string{"a b\nc"},
			[]string{" d\ne"}, 0},
		{"lambada_standard", "lambada_standard_test.jsonl", `{"text":"a b c"}`, []string{"a b"}, []string{" c"}, 0},
	} {
		dir := fill(t, map[string]string{c.file: c.content + "\n", "piqa/valid-labels.lst": "1\n", "notes.txt": "x",
			"other_train.jsonl": "x"})
		list, err := Find([]string{c.task})
		if err != nil {
			t.Fatal(err)
		}
		got, err := list[0].documents([]string{dir}, list[0].Data.Evaluated())
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d documents, %v", c.file, len(got), err)
			continue
		}
		diff := cmp.Diff(c.contexts, got[0].Contexts) + cmp.Diff(c.continuations, got[0].Continuations)
		if diff != "" || got[0].Gold != c.gold {
			t.Errorf("%s: choice %d is right, want %d (-want +got):\n%s", c.file, got[0].Gold, c.gold, diff)
		}
	}
}

// Files are found by the data set and the split in their names, wherever they are in the folder, shards together.
func TestFiles(t *testing.T) {
	hub := map[string]string{
		"x/datasets--allenai--ai2_arc/snapshots/0/ARC-Easy/test/0000.parquet": "",
		"x/datasets--allenai--ai2_arc/snapshots/0/ARC-Easy/test/0001.parquet": "",
		"ARC-Easy/train-00000-of-00002.parquet":                               "",
		"ARC-Easy/train-00001-of-00002.parquet":                               "",
		"winogrande_1.1/train_xl.jsonl":                                       "",
		"winogrande_1.1/train_s.jsonl":                                        "",
		"winogrande_1.1/dev.jsonl":                                            "",
		"winogrande_1.1/test.jsonl":                                           "",
		"lambada_standard/test.jsonl":                                         "",
		"lambada_test.openai.jsonl":                                           "",
		"two/piqa_valid.jsonl":                                                "",
		"two/piqa_dev.jsonl":                                                  "",
	}
	dir := fill(t, hub)
	alone := filepath.Join(fill(t, map[string]string{"sciq/data/test-00000-of-00001.parquet": ""}), "sciq")
	// Where a folder lies is nothing of the data set's: one below dev has no validation split by that.
	dev := filepath.Join(fill(t, map[string]string{"dev/openbookqa/rows.jsonl": "",
		"dev/sciq/train/0000.parquet": ""}), "dev")
	for _, c := range []struct {
		task   *Task
		folder string
		split  string
		want   []string
		err    string
	}{
		{&arcEasy, dir, test, []string{"ai2_arc/snapshots/0/ARC-Easy/test/0000.parquet",
			"ai2_arc/snapshots/0/ARC-Easy/test/0001.parquet"}, ""},
		{&arcEasy, dir, train, []string{"train-00000-of-00002.parquet", "train-00001-of-00002.parquet"}, ""},
		{&winogrande, dir, train, []string{"winogrande_1.1/train_xl.jsonl"}, ""},
		{&winogrande, dir, validation, []string{"winogrande_1.1/dev.jsonl"}, ""},
		{&lambadaOpenAI, dir, test, []string{"lambada_test.openai.jsonl"}, ""},
		{&lambadaStandard, dir, test, []string{"lambada_standard/test.jsonl"}, ""},
		{&sciq, alone, test, []string{"data/test-00000-of-00001.parquet"}, ""},
		{&openbookqa, filepath.Join(dev, "openbookqa"), test, []string{"openbookqa/rows.jsonl"}, ""},
		{&sciq, filepath.Join(dev, "sciq", "train"), train, []string{"train/0000.parquet"}, ""},
		{&piqa, dir, validation, nil, "piqa_dev.jsonl and two/piqa_valid.jsonl may both be its validation split"},
		{&sciq, dir, test, nil, "no file of the test split"},
		{&sciq, filepath.Join(dir, "none"), test, nil, "no such file"},
	} {
		got, err := c.task.files([]string{c.folder}, c.split)
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(filepath.ToSlash(err.Error()), c.err) {
			t.Errorf("%s: %v, want %q", c.task.Name, err, c.err)
		}
		if len(got) != len(c.want) || !slices.EqualFunc(got, c.want, func(path, end string) bool {
			return strings.HasSuffix(filepath.ToSlash(path), end)
		}) {
			t.Errorf("%s, %s: %q, want %q", c.task.Name, c.split, got, c.want)
		}
	}
	if _, err := sciq.files([]string{dir, alone}, test); err != nil {
		t.Errorf("of two folders the second has it: %v", err)
	}
	if _, err := sciq.files([]string{dir}, test); !errors.Is(err, ErrNoFile) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// What is wrong with a row is said with its file and line.
func TestBadRows(t *testing.T) {
	good := `{"query":"q","choices":["a","b"],"gold":0}`
	for _, c := range []struct {
		line string
		want []string
	}{
		{`{"query":"q"`, []string{"arc_easy.jsonl:3", "no JSON object", "unexpected end"}},
		{`[1]`, []string{":3", "no JSON object"}},
		{`{"query":"q","choices":["a","b"],"gold":0} x`, []string{":3"}},
		{`{"query":"q","choices":[],"gold":0}`, []string{":3", "no choices"}},
		{`{"query":"q","choices":["a",""],"gold":0}`, []string{":3", "choice 2 of 2 is empty"}},
		{`{"query":"q","choices":["a","b"],"gold":2}`, []string{":3", "choice 2 of 2, counted from 0"}},
		{`{"query":"q","choices":["a","b"],"gold":"x"}`, []string{":3", `"gold" is "x"`, "whole number"}},
		{`{"query":"q","choices":"ab","gold":1}`, []string{":3", `"choices" is "ab"`, "a list of texts"}},
		{`{"query":null,"choices":["a","b"],"gold":1}`, []string{":3", `"query" is null`, "a text"}},
		{`{"question":"q","choices":{"text":["a"],"label":["A","B"]},"answerKey":"A"}`, []string{":3",
			"1 choices and 2"}},
		{`{"question":"q","choices":{"text":["a"],"label":["A"]},"answerKey":"E"}`, []string{":3", `"E"`,
			"choices are A"}},
		{`{"stem":"q"}`, []string{":3", `no field "question"`, "there are stem"}},
	} {
		dir := fill(t, map[string]string{"arc_easy.jsonl": good + "\n\n" + c.line + "\n" + good + "\n"})
		_, err := arcEasy.documents([]string{dir}, test)
		for _, part := range c.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q", c.line, err, part)
			}
		}
	}
	for content, want := range map[string]string{"": "has no rows", "[{\"query\"": "EOF", "[" + good +
		",]": "arc_easy.json"} {
		dir := fill(t, map[string]string{"arc_easy.json": content})
		if _, err := arcEasy.documents([]string{dir}, test); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
	short := fill(t, map[string]string{"piqa/valid.jsonl": `{"goal":"g","sol1":"a","sol2":"b"}` + "\n" +
		`{"goal":"g","sol1":"a","sol2":"b"}`, "piqa/valid-labels.lst": "0\n"})
	if _, err := piqa.documents([]string{short}, validation); err == nil || !strings.Contains(err.Error(), "1 lines") {
		t.Errorf("a label is missing: %v", err)
	}
	blank := fill(t, map[string]string{"winogrande.jsonl": `{"sentence":"s","option1":"a","option2":"b","answer":"1"}`})
	if _, err := winogrande.documents([]string{blank}, validation); err == nil ||
		!strings.Contains(err.Error(), `no "_"`) {
		t.Errorf("a sentence without a blank: %v", err)
	}
}

func TestFind(t *testing.T) {
	got, err := Find([]string{"sciq", "lambada", "arc_easy", "sciq"})
	if err != nil || len(got) != 3 || got[0] != &arcEasy || got[1] != &lambadaOpenAI || got[2] != &sciq {
		t.Errorf("%v, %v", got, err)
	}
	for name, want := range map[string]string{"hellaswga": "did you mean hellaswag?",
		"x": "the tasks are lambada_openai"} {
		if _, err := Find([]string{name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
