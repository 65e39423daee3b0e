package speak

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
)

// spoken is what generate --json prints: these four fields, which other programs read.
type spoken struct {
	IDs      []uint32  `json:"ids"`
	Text     string    `json:"text"`
	Finish   string    `json:"finish_reason"`
	LogProbs []float64 `json:"logprobs"`
}

// strict reads one JSON object that has these fields, all of them and no other.
func strict(t *testing.T, line string, into any, fields ...string) {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &all); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Sort(fields)
	if !slices.Equal(names, fields) {
		t.Errorf("the object has %v, want %v", names, fields)
	}
	if err := json.Unmarshal([]byte(line), into); err != nil {
		t.Fatal(err)
	}
}

func speak(t *testing.T, stdin string, args ...string) (s spoken) {
	t.Helper()
	out := clitest.Succeed(t, stdin, append([]string{"generate", "--json"}, args...)...)
	if strings.Count(out, "\n") != 1 {
		t.Errorf("%d lines, want one: %q", strings.Count(out, "\n"), out)
	}
	strict(t, out, &s, "ids", "text", "finish_reason", "logprobs")
	if len(s.IDs) != len(s.LogProbs) {
		t.Errorf("%d ids, %d log-probabilities", len(s.IDs), len(s.LogProbs))
	}
	return s
}

// The goldens by transformers through the command line: by text and by ids, from a file, from standard input.
func TestGenerateStories260K(t *testing.T) {
	dir, tok := datatest.Path(t, "models/stories260K"), datatest.Path(t, "generate/tokenizer")
	var golden struct {
		Greedy []struct {
			Prompt    string
			PromptIDs []uint32 `json:"prompt_ids"`
			NewIDs    []uint32 `json:"new_ids"`
			Text      string
			Sum       float64 `json:"sum_logprob"`
		}
	}
	raw, err := os.ReadFile(datatest.Path(t, "generate/greedy.json"))
	if err == nil {
		err = json.Unmarshal(raw, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range clitest.Devices(t) {
		base := []string{"--model", dir, "--device", device, "--max-tokens", "60", "--min-tokens", "60",
			"--temperature", "0"}
		var lines strings.Builder
		for i, x := range golden.Greedy {
			fmt.Fprintf(&lines, "{\"prompt\": %q}\n", x.Prompt)
			if i > 1 && device != "host" {
				continue
			}
			byText := speak(t, "", append(base, "--tokenizer", tok, "--prompt", x.Prompt)...)
			byIDs := speak(t, "", append(base, "--ids", clitest.Commas(x.PromptIDs))...)
			sum := 0.0
			for _, p := range byText.LogProbs {
				sum += p
			}
			if !slices.Equal(byText.IDs, x.NewIDs) || x.Prompt+byText.Text != x.Text || byText.Finish != "length" ||
				math.Abs(sum-x.Sum) > 1e-3 {
				t.Errorf("%s, %q: %+v, sum %g, want %v, sum %g", device, x.Prompt, byText, sum, x.NewIDs, x.Sum)
			}
			if !slices.Equal(byIDs.IDs, x.NewIDs) || byIDs.Text != "" {
				t.Errorf("%s, %v: %+v", device, x.PromptIDs, byIDs)
			}
		}
		args := append([]string{"generate", "--tokenizer", tok, "--slots", "3", "--batch", "-"}, base...)
		out := strings.Split(strings.TrimSpace(clitest.Succeed(t, lines.String(), args...)), "\n")
		for i, x := range golden.Greedy {
			var s spoken
			strict(t, out[i], &s, "ids", "text", "finish_reason", "logprobs")
			if !slices.Equal(s.IDs, x.NewIDs) || x.Prompt+s.Text != x.Text {
				t.Errorf("%s, line %d: %+v", device, i, s)
			}
		}
	}
	x := golden.Greedy[0]
	base := []string{"--model", dir, "--tokenizer", tok, "--device", "host", "--max-tokens", "20", "--temperature", "0"}
	file := clitest.WriteFile(t, "prompt.txt", x.Prompt+"\n")
	if a, b := speak(t, "", append(base, "--file", file)...), speak(t, x.Prompt+"\n", base...); a.Text != b.Text ||
		!strings.HasPrefix(x.Text, x.Prompt+a.Text) {
		t.Errorf("from a file %q, from standard input %q", a.Text, b.Text)
	}
	if out := clitest.Succeed(t, "", append([]string{"generate", "--prompt", x.Prompt}, base...)...); out !=
		speak(t, "", append(base, "--prompt", x.Prompt)...).Text+"\n" {
		t.Errorf("printed %q", out)
	}
	stop := speak(t, "", append(base, "--prompt", x.Prompt, "--stop", "zzz", "--stop", "girl named")...)
	if stop.Text != ", there was a little " || stop.Finish != "stop" {
		t.Errorf("up to a stop string: %+v", stop)
	}
}

// generate --distribution prints ids and probs, the likeliest first, as transformers has them after all processors.
func TestDistributionStories260K(t *testing.T) {
	dir := datatest.Path(t, "models/stories260K")
	var golden struct {
		Prefixes []struct {
			IDs      []uint32
			Settings map[string]struct {
				Kept  int
				IDs   []uint32
				Probs []float64
			}
		}
	}
	raw, err := os.ReadFile(datatest.Path(t, "generate/distributions.json"))
	if err == nil {
		err = json.Unmarshal(raw, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"plain": nil,
		"t1.5-topp0.8": {"--temperature", "1.5", "--top-p", "0.8"},
		"rep1.2-t0.8-topk40-topp0.95-minp0.02": {"--repetition-penalty", "1.2", "--temperature", "0.8", "--top-k", "40",
			"--top-p", "0.95", "--min-p", "0.02"}} {
		x := golden.Prefixes[1]
		want := x.Settings[name]
		out := clitest.Succeed(t, "", append([]string{"generate", "--distribution", "--json", "--model", dir,
			"--device", "host", "--ids", clitest.Commas(x.IDs)}, args...)...)
		var got struct {
			IDs   []uint32  `json:"ids"`
			Probs []float64 `json:"probs"`
		}
		strict(t, out, &got, "ids", "probs")
		if len(got.IDs) != want.Kept || len(got.Probs) != want.Kept {
			t.Errorf("%s: %d ids, %d probabilities, want %d", name, len(got.IDs), len(got.Probs), want.Kept)
		}
		for i, id := range want.IDs {
			at := slices.Index(got.IDs, id)
			if at < 0 || math.Abs(got.Probs[at]-want.Probs[i]) > 1e-5 {
				t.Errorf("%s: token %d stands at %d, want %g", name, id, at, want.Probs[i])
			}
		}
	}
}

// Sampling follows from the seed; a run speaks while it trains, by its newest checkpoint, and when it has ended.
func TestGenerateFromRuns(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	clitest.Succeed(t, "", m.Pretrain(run, m.Evaluated("--device", "host", "--save-every", "1", "--keep", "0")...)...)
	args := []string{"--prompt", "The cat", "--device", "host", "--max-tokens", "6"}
	ended := speak(t, "", append(args, "--model", run)...)
	again, other := speak(t, "", append(args, "--model", run)...), speak(t, "", append(args, "--model", run, "--seed",
		"1")...)
	if !slices.Equal(ended.IDs, again.IDs) || slices.Equal(ended.IDs, other.IDs) || len(ended.IDs) == 0 {
		t.Errorf("%v, again %v, with another seed %v", ended.IDs, again.IDs, other.IDs)
	}
	if err := os.Rename(filepath.Join(run, "final"), filepath.Join(run, "moved")); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(filepath.Join(run, "checkpoints"))
	if err != nil || len(names) < 2 {
		t.Fatalf("%d checkpoints, %v", len(names), err)
	}
	training := speak(t, "", append(args, "--model", run)...)
	newest := speak(t, "", append(args, "--model", run+"@step-8")...)
	before := speak(t, "", append(args, "--model", run+"@step-1")...)
	if !slices.Equal(training.LogProbs, newest.LogProbs) || slices.Equal(training.LogProbs, before.LogProbs) {
		t.Errorf("of a run that trains %v, of its last checkpoint %v, of its first %v", training.LogProbs,
			newest.LogProbs, before.LogProbs)
	}
}

func TestGenerateErrors(t *testing.T) {
	dir := clitest.RandomModel(t, 280)
	line := func(text string) string { return clitest.WriteFile(t, "batch.jsonl", text) }
	host := func(args ...string) []string {
		return append([]string{"generate", "--model", dir, "--device", "host"}, args...)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		code  int
		parts []string
		args  []string
	}{
		{2, []string{"--temperature -1", "0 or more"}, host("--prompt", "a", "--temperature=-1")},
		{2, []string{"--top-p 2", "0 to 1"}, host("--prompt", "a", "--top-p", "2")},
		{2, []string{"--repetition-penalty -1"}, host("--prompt", "a", "--repetition-penalty=-1")},
		{2, []string{"--distribution", "--batch"}, host("--distribution", "--batch", line("{}"))},
		{2, []string{"--prompt", "--ids"}, host("--prompt", "a", "--ids", "1")},
		{2, []string{"--max-tokens -1"}, host("--prompt", "a", "--max-tokens=-1")},
		{1, []string{"id 280", "vocabulary of 280"}, host("--ids", "1,280")},
		{1, []string{"34 tokens", "at most 32"}, host("--ids", clitest.Commas(make([]uint32, 34)))},
		{1, []string{"context of 99", "32"}, host("--ids", "1", "--context", "99")},
		{1, []string{missing}, host("--file", missing)},
		{1, []string{missing}, host("--batch", missing)},
		{1, []string{"line 2", "prompt or ids"}, host("--batch", line("{\"ids\": [1]}\n{}\n"))},
		{1, []string{"line 1", "unknown field", "temprature"}, host("--batch", line(`{"ids": [1], "temprature": 1}`))},
		{1, []string{"line 1", "top_p 3"}, host("--batch", line(`{"ids": [1], "top_p": 3}`))},
		{1, []string{"no line"}, host("--batch", line("\n"))},
		{1, []string{"UTF-8"}, host("--file", line("\xff"))},
		{1, []string{"no such run or model"}, []string{"generate", "--model", missing, "--ids", "1"}},
	} {
		clitest.Fail(t, c.code, c.parts, c.args...)
	}
	if err := os.Remove(filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	clitest.Fail(t, 1, []string{"give --tokenizer"}, host("--prompt", "a")...)
	clitest.Fail(t, 1, []string{"give --tokenizer"}, host("--ids", "1", "--stop", "a")...)
	clitest.Fail(t, 1, []string{"line 1", "no tokenizer"}, host("--batch", line(`{"prompt": "a"}`))...)
	if s := speak(t, "", host("--ids", "1", "--max-tokens", "3")[1:]...); len(s.IDs) == 0 || s.Text != "" {
		t.Errorf("without a tokenizer: %+v", s)
	}
	if s := speak(t, "", host("--ids", "1", "--max-tokens", "0")[1:]...); len(s.IDs) != 0 || s.Finish != "length" {
		t.Errorf("no tokens: %+v", s)
	}
}
