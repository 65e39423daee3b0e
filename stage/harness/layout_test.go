package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"steplm/data/datatest"
	"steplm/gpu/gputest"
)

// layoutSets are the tasks of the harness's files of results, in the layout of their data sets on the hub.
func layoutSets(t *testing.T, v *Vocabulary) (sets []*Set) {
	t.Helper()
	all := goldens(t)
	folders := []string{all["arc_easy.stories260K"].folder(t), all["lambada_openai.stories260K"].folder(t),
		all["wikitext.stories260K"].folder(t)}
	list, err := Find([]string{"wikitext", "arc_easy", "lambada"})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range list {
		s, err := Prepare(task, v, Options{Folders: folders, Limit: 2, Seed: Seed})
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, s)
	}
	return sets
}

// What other programs read of results: the harness's keys, and its numbers.
func TestResultsLayout(t *testing.T) {
	d := gputest.Adapter(t)
	v := vocabulary(t, "stories260K", 512)
	const resamples = 1000
	outcomes, err := Evaluation{Scorer: scorer(t, d, "stories260K"), Resamples: resamples}.Evaluate(t.Context(),
		layoutSets(t, v))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v.Results(outcomes, About{Model: "work/models/stories260K", Parameters: 260032,
		DType: "float32", Resamples: resamples, Began: time.Unix(1, 5e8), Took: 2 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	readJSON(t, datatest.Path(t, "golden_tasks/layout/results_2026-11-27T10-32-47.010857.json"), &want)
	for _, key := range []string{"results", "group_subtasks", "versions", "n-shot", "higher_is_better", "n-samples",
		"eot_token_id", "max_length", "tokenizer_bos_token", "tokenizer_eos_token"} {
		alike(t, key, got[key], want[key])
	}
	for task, config := range got["configs"].(map[string]any) {
		for key, value := range config.(map[string]any) {
			if key != "metric_list" && key != "metadata" {
				alike(t, "configs."+task+"."+key, value, want["configs"].(map[string]any)[task].(map[string]any)[key])
			}
		}
	}
	for key, value := range got["config"].(map[string]any) {
		if key != "model_dtype" && key != "device" {
			alike(t, "config."+key, value, want["config"].(map[string]any)[key])
		}
	}
	if c := got["chance"].(map[string]any); len(c) != 1 || c["arc_easy"] != 0.25 {
		t.Errorf("chance is %v", c)
	}
}

// alike compares values of JSON, numbers by their metric's tolerance.
func alike(t *testing.T, name string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		if !slices.Equal(slices.Sorted(maps.Keys(g)), slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s is %v, want %v", name, got, want)
			return
		}
		for key := range want {
			alike(t, name+"."+key, g[key], want[key])
		}
	case float64:
		key := name[strings.LastIndexByte(name, '.')+1:]
		x, ok := got.(float64)
		if within := tolerance(key) * math.Max(1, math.Abs(want)); !ok || math.Abs(x-want) > within {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	default:
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// A sample of documents in the data sets' own layout has every key and value that the harness logs, hashes too.
func TestSamplesLayout(t *testing.T) {
	d := gputest.Adapter(t)
	v := vocabulary(t, "stories260K", 512)
	for name, task := range map[string]*Task{"arc_easy": &arcEasy, "lambada_openai": &lambadaOpenAI} {
		var want []map[string]any
		var docs bytes.Buffer
		file := datatest.Path(t, "golden_tasks/layout/samples_"+name+"_2026-11-27T10-32-47.010857.jsonl")
		for line := range jsonTexts(file) {
			o, err := parseObject(line)
			var w map[string]any
			if err == nil {
				err = json.Unmarshal(line, &w)
			}
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&docs, "%s\n", o.find("doc"))
			want = append(want, w)
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, name+".jsonl"), docs.Bytes())
		s, err := Prepare(task, v, Options{Folders: []string{dir}})
		if err != nil {
			t.Fatal(err)
		}
		outcomes, err := Evaluation{Scorer: scorer(t, d, "stories260K")}.Evaluate(t.Context(), []*Set{s})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := outcomes[0].WriteSamples(&b); err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
			var got map[string]any
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
			if got["task"] != name {
				t.Errorf("the task is %v", got["task"])
			}
			delete(got, "task")
			if len(got) != len(want[i]) {
				t.Errorf("%d keys, want %d", len(got), len(want[i]))
			}
			for key, value := range want[i] {
				sampled(t, fmt.Sprintf("%s %d: %s", name, i, key), got[key], value)
			}
		}
	}
}

// sampled compares values of samples, where numbers may be texts.
func sampled(t *testing.T, name string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case []any:
		g, _ := got.([]any)
		if len(g) != len(want) {
			t.Errorf("%s is %v, want %v", name, got, want)
			return
		}
		for i := range want {
			sampled(t, name, g[i], want[i])
		}
	default:
		x, err := strconv.ParseFloat(fmt.Sprint(got), 64)
		y, err2 := strconv.ParseFloat(fmt.Sprint(want), 64)
		if err == nil && err2 == nil && near(x, y) {
			return
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
