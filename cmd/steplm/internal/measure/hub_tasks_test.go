package measure

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
)

// hubSet is a configuration of a data set as the hub serves it: where it lies, with rows by split. The harness's task
// files name the repositories; the configurations are those that the hub's own cache has for them. Where a task file
// names none it is the repository's only one.
type hubSet struct {
	repo, config string
	splits       map[string]datatest.HubRow
}

// hubSets are the data sets of all tasks, by the columns of their cards.
func hubSets() []hubSet {
	choices := datatest.TextLists{Text: []string{"mat", "sea"}, Label: []string{"A", "B"}}
	arc := func(s string) datatest.HubRow {
		return datatest.HubRowOf("id", "x", "question", s+" which?", "choices", choices, "answerKey", "B")
	}
	book := func(s string) datatest.HubRow {
		return datatest.HubRowOf("id", "x", "question_stem", s+" sat on the", "choices", choices, "answerKey", "A")
	}
	hella := func(s string) datatest.HubRow {
		return datatest.HubRowOf("ind", 4, "activity_label", "Cat", "ctx_a", s+" sat.", "ctx_b", "it", "ctx", "unused",
			"endings", []string{"ran.", "sat."}, "source_id", "s", "split", "val", "split_type", "indomain",
			"label", "1")
	}
	piqa := func(s string) datatest.HubRow {
		return datatest.HubRowOf("goal", s, "sol1", "sit", "sol2", "run", "label", 1)
	}
	wino := func(s string) datatest.HubRow {
		return datatest.HubRowOf("sentence", s+" and _ ran.", "option1", "cat", "option2", "dog", "answer", "2")
	}
	boolq := func(s string) datatest.HubRow {
		return datatest.HubRowOf("question", "did it", "passage", s, "idx", 0, "label", 0)
	}
	sciq := func(s string) datatest.HubRow {
		return datatest.HubRowOf("question", s+"?", "distractor3", "c", "distractor1", "a", "distractor2", "b",
			"correct_answer", "d", "support", " It.")
	}
	text := func(s string) datatest.HubRow { return datatest.HubRowOf("text", s+" sat down") }
	page := func(s string) datatest.HubRow { return datatest.HubRowOf("page", " = "+s+" = \n sat . \n") }
	all := func(row func(string) datatest.HubRow, names ...string) map[string]datatest.HubRow {
		m := map[string]datatest.HubRow{}
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

// taskHub serves data sets in the branch where the hub has every one as Parquet.
func taskHub(t *testing.T) *clitest.Hub {
	t.Helper()
	const branch = "refs/convert/parquet"
	var files []clitest.HubFile
	for _, s := range hubSets() {
		for split, row := range s.splits {
			var content bytes.Buffer
			if err := datatest.WriteHubRows(&content, row, row); err != nil {
				t.Fatal(err)
			}
			files = append(files, clitest.HubFile{Repo: s.repo, Revision: branch,
				Path: s.config + "/" + split + "/0000.parquet", Content: content.Bytes()})
		}
	}
	return clitest.NewHub(t, files)
}

// From nothing, with no folder named, each task fetches its data set, asks the split that it should, of the columns
// that the hub has, and the second time downloads nothing.
func TestEvalTasksFetch(t *testing.T) {
	hub := taskHub(t)
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
	fetched := len(hub.Downloads())
	if fetched == 0 {
		t.Fatal("nothing was downloaded")
	}
	// Shots are in what was fetched.
	clitest.Succeed(t, "", append(args, "piqa,sciq,winogrande", "--num-fewshot", "1", "--max-length", "32")...)
	if text := clitest.Contents(t, samples); !strings.Contains(text, "train?") || len(hub.Downloads()) != fetched {
		t.Errorf("again %d files were downloaded; with a shot:\n%s", len(hub.Downloads())-fetched, text)
	}
	_, stderr, code := clitest.Call(t, "", "data", "fetch",
		"hf://datasets/baber/piqa/plain_text@refs%2Fconvert%2Fparquet")
	clitest.CheckFailure(t, "a configuration that is not there", stderr, code, 1, "no such dataset, revision or path")
}
