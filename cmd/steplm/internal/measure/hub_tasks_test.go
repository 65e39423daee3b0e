package measure

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"

	"steplm/cmd/steplm/internal/clitest"
)

// hubField is a column with a row's value: a text, a number, a list of texts, or two such lists in a group.
type hubField struct {
	name  string
	value any
}

// lists is a group of two lists of texts.
type lists struct{ text, label []string }

// hubRow is a row of a data set.
type hubRow []hubField

// hubSet is a configuration of a data set as the hub serves it: where it lies, with rows by split. The harness's task
// files name the repositories; the configurations are those that the hub's own cache has for them. Where a task file
// names none it is the repository's only one.
type hubSet struct {
	repo, config string
	splits       map[string]hubRow
}

// hubSets are the data sets of all tasks, by the columns of their cards.
func hubSets() []hubSet {
	choices := lists{[]string{"mat", "sea"}, []string{"A", "B"}}
	arc := func(s string) hubRow {
		return hubRow{{"id", "x"}, {"question", s + " which?"}, {"choices", choices}, {"answerKey", "B"}}
	}
	book := func(s string) hubRow {
		return hubRow{{"id", "x"}, {"question_stem", s + " sat on the"}, {"choices", choices}, {"answerKey", "A"}}
	}
	hella := func(s string) hubRow {
		return hubRow{{"ind", 4}, {"activity_label", "Cat"}, {"ctx_a", s + " sat."}, {"ctx_b", "it"}, {"ctx", "unused"},
			{"endings", []string{"ran.", "sat."}}, {"source_id", "s"}, {"split", "val"}, {"split_type", "indomain"},
			{"label", "1"}}
	}
	piqa := func(s string) hubRow {
		return hubRow{{"goal", s}, {"sol1", "sit"}, {"sol2", "run"}, {"label", 1}}
	}
	wino := func(s string) hubRow {
		return hubRow{{"sentence", s + " and _ ran."}, {"option1", "cat"}, {"option2", "dog"}, {"answer", "2"}}
	}
	boolq := func(s string) hubRow {
		return hubRow{{"question", "did it"}, {"passage", s}, {"idx", 0}, {"label", 0}}
	}
	sciq := func(s string) hubRow {
		return hubRow{{"question", s + "?"}, {"distractor3", "c"}, {"distractor1", "a"}, {"distractor2", "b"},
			{"correct_answer", "d"}, {"support", " It."}}
	}
	text := func(s string) hubRow { return hubRow{{"text", s + " sat down"}} }
	page := func(s string) hubRow { return hubRow{{"page", " = " + s + " = \n sat . \n"}} }
	all := func(row func(string) hubRow, names ...string) map[string]hubRow {
		m := map[string]hubRow{}
		for _, name := range names {
			m[name] = row(name)
		}
		return m
	}
	return []hubSet{
		{"EleutherAI/lambada_openai", "default", all(text, "test")},
		{"cimec/lambada", "plain_text", all(text, "train", "test", "validation")},
		{"allenai/ai2_arc", "ARC-Easy", all(arc, "train", "test", "validation")},
		{"allenai/ai2_arc", "ARC-Challenge", all(arc, "train", "test", "validation")},
		{"Rowan/hellaswag", "default", all(hella, "train", "test", "validation")},
		{"baber/piqa", "default", all(piqa, "train", "test", "validation")},
		{"allenai/openbookqa", "main", all(book, "train", "test", "validation")},
		{"allenai/openbookqa", "additional", all(book, "train", "test", "validation")},
		{"allenai/winogrande", "winogrande_xl", all(wino, "train", "test", "validation")},
		{"allenai/winogrande", "winogrande_xs", all(wino, "train", "test", "validation")},
		{"aps/super_glue", "boolq", all(boolq, "train", "test", "validation")},
		{"allenai/sciq", "default", all(sciq, "train", "test", "validation")},
		{"EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", all(page, "train", "test", "validation")},
	}
}

// taskHub serves data sets in the branch where the hub has every one as Parquet, and counts what is downloaded. What it
// does not have is not found.
func taskHub(t *testing.T) (address string, downloads func() []string) {
	t.Helper()
	const commit = "89abcdef0123456789abcdef0123456789abcdef"
	answers, listings := map[string][]byte{}, map[string][]string{}
	for _, s := range hubSets() {
		answers["/api/datasets/"+s.repo+"/revision/refs%2Fconvert%2Fparquet"] = fmt.Appendf(nil, `{"sha":%q}`, commit)
		for split, row := range s.splits {
			path, content := s.config+"/"+split+"/0000.parquet", parquetOf(t, row)
			answers["/datasets/"+s.repo+"/resolve/"+commit+"/"+path] = content
			tree := "/api/datasets/" + s.repo + "/tree/" + commit + "/" + s.config
			listings[tree] = append(listings[tree], fmt.Sprintf(`{"type":"file","path":%q,"oid":"","size":9,`+
				`"lfs":{"oid":"%x","size":%d}}`, path, sha256.Sum256(content), len(content)))
		}
	}
	for tree, list := range listings {
		answers[tree] = []byte("[" + strings.Join(list, ",") + "]")
	}
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, there := answers[r.URL.EscapedPath()]
		if !there {
			http.NotFound(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/datasets/") {
			got = append(got, r.URL.Path)
		}
		w.Write(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string { return got }
}

// From nothing, with no folder named, each task fetches its data set, asks the split that it should, of the columns
// that the hub has, and the second time downloads nothing.
func TestEvalTasksFetch(t *testing.T) {
	address, downloads := taskHub(t)
	t.Setenv("HF_ENDPOINT", address)
	t.Setenv("HF_HOME", t.TempDir())
	for _, name := range []string{"HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"} {
		t.Setenv(name, "")
	}
	wants := map[string]struct {
		context, continuation, target string
	}{
		"lambada_openai":   {"test sat", " down", " down"},
		"lambada_standard": {"test sat", " down", " down"},
		"arc_easy":         {"Question: test which?\nAnswer:", " mat", "1"},
		"arc_challenge":    {"Question: test which?\nAnswer:", " mat", "1"},
		"hellaswag":        {"Cat: validation sat. It", " ran.", "1"},
		"piqa":             {"Question: validation\nAnswer:", " sit", "1"},
		"openbookqa":       {"test sat on the", " mat", "0"},
		"winogrande":       {"validation and cat", " ran.", " ran."},
		"boolq":            {"validation\nQuestion: did it?\nAnswer:", " no", "0"},
		"sciq":             {"It.\nQuestion: test?\nAnswer:", " a", "3"},
		"wikitext":         {" = test =\nsat.\n", "", ""},
	}
	var names []string
	for name := range wants {
		names = append(names, name)
	}
	samples := filepath.Join(t.TempDir(), "samples.jsonl")
	args := []string{"eval", "tasks", "--device", "host", "--model", clitest.RandomModel(t, 290), "--cache",
		t.TempDir(), "--bootstrap", "0", "--samples", samples, "--tasks"}
	clitest.Succeed(t, "", append(args, strings.Join(names, ","))...)
	seen := map[string]bool{}
	for line := range strings.Lines(clitest.Contents(t, samples)) {
		var s struct {
			Task, Target string
			Arguments    map[string]map[string]string
		}
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		want, first := wants[s.Task], s.Arguments["gen_args_0"]
		if seen[s.Task] = true; first["arg_0"] != want.context || first["arg_1"] != want.continuation ||
			want.target != "" && strings.TrimSpace(s.Target) != strings.TrimSpace(want.target) {
			t.Errorf("%s asked %q %q, target %q, want %q", s.Task, first["arg_0"], first["arg_1"], s.Target, want)
		}
	}
	if len(seen) != len(wants) {
		t.Errorf("asked were %v", seen)
	}
	fetched := len(downloads())
	if fetched == 0 {
		t.Fatal("nothing was downloaded")
	}
	// Shots are in what was fetched.
	clitest.Succeed(t, "", append(args, "piqa,sciq,winogrande", "--num-fewshot", "1", "--max-length", "32")...)
	if text := clitest.Contents(t, samples); !strings.Contains(text, "train?") || len(downloads()) != fetched {
		t.Errorf("again %d files were downloaded; with a shot:\n%s", len(downloads())-fetched, text)
	}
	_, stderr, code := clitest.Call(t, "", "data", "fetch", "hf://datasets/baber/piqa/plain_text@refs%2Fconvert%2Fparquet")
	clitest.CheckFailure(t, "a configuration that is not there", stderr, code, 1, "no such dataset, revision or path")
}

// parquetOf is a file of two equal rows with the types that the hub's converter gives: texts, numbers of 64 bits,
// lists, and groups of lists, each of which may be null.
func parquetOf(t *testing.T, row hubRow) []byte {
	t.Helper()
	const rows = 2
	var fields schema.FieldList
	for _, f := range row {
		switch f.value.(type) {
		case int:
			fields = append(fields, schema.Must(schema.NewPrimitiveNode(f.name, parquet.Repetitions.Optional,
				parquet.Types.Int64, -1, -1)))
		case string:
			fields = append(fields, textNode(f.name))
		case []string:
			fields = append(fields, listNode(f.name))
		case lists:
			fields = append(fields, schema.Must(schema.NewGroupNode(f.name, parquet.Repetitions.Optional,
				schema.FieldList{listNode("text"), listNode("label")}, -1)))
		}
	}
	root := schema.Must(schema.NewGroupNode("schema", parquet.Repetitions.Repeated, fields, -1))
	var b bytes.Buffer
	w := file.NewParquetWriter(&b, root.(*schema.GroupNode))
	g := w.AppendRowGroup()
	write := func(texts []string, numbers []int64, level int16) {
		c, err := g.NextColumn()
		if err != nil {
			t.Fatal(err)
		}
		var defined, repeated []int16
		var bytes []parquet.ByteArray
		var all []int64
		for range rows {
			for i, s := range texts {
				bytes, repeated = append(bytes, parquet.ByteArray(s)), append(repeated, int16(min(i, 1)))
				defined = append(defined, level)
			}
			for _, n := range numbers {
				all, defined = append(all, n), append(defined, level)
			}
		}
		switch c := c.(type) {
		case *file.ByteArrayColumnChunkWriter:
			_, err = c.WriteBatch(bytes, defined, repeated)
		case *file.Int64ColumnChunkWriter:
			_, err = c.WriteBatch(all, defined, nil)
		}
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range row {
		switch v := f.value.(type) {
		case int:
			write(nil, []int64{int64(v)}, 1)
		case string:
			write([]string{v}, nil, 1)
		case []string:
			write(v, nil, 3)
		case lists:
			write(v.text, nil, 4)
			write(v.label, nil, 4)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// textNode is a column of texts.
func textNode(name string) schema.Node {
	return schema.Must(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, schema.StringLogicalType{},
		parquet.Types.ByteArray, 0, -1))
}

// listNode is a column of lists of texts.
func listNode(name string) schema.Node {
	items := schema.Must(schema.NewGroupNode("list", parquet.Repetitions.Repeated,
		schema.FieldList{textNode("element")}, -1))
	return schema.Must(schema.NewGroupNodeLogical(name, parquet.Repetitions.Optional, schema.FieldList{items},
		schema.NewListLogicalType(), -1))
}
