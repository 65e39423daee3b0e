package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// lossLines is the run's metrics without what clocks and memory say.
func lossLines(t *testing.T, run string) string {
	t.Helper()
	var out strings.Builder
	for _, line := range strings.Split(clitest.Contents(t, run, "metrics.jsonl"), "\n") {
		var m struct {
			Step     int
			Loss     float64
			GradNorm float64 `json:"grad_norm"`
		}
		if strings.Contains(line, `"loss"`) {
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(append(b, '\n'))
		}
	}
	return out.String()
}

// A run without a cache, one with, and one that was begun without and goes on
// with it have the same losses, and say where their ids are from.
func TestTokenizeAndPretrain(t *testing.T) {
	m := newMaterial(t)
	cache := t.TempDir()
	filters := []string{"--min-chars", "500", "--dedupe", "--holdout", "0.02"}
	flags := func(run string, more ...string) []string {
		return m.pretrain(run, append(append([]string{"--cache", cache, "--device", "host", "--workers", "2"},
			filters...), more...)...)
	}
	straight, stopped := newRun(t), newRun(t)
	out := succeed(t, "", flags(straight, "--steps", "8")...)
	if !strings.Contains(out, "tokenized on the fly (`steplm data tokenize` would keep the ids)") {
		t.Errorf("no word of it in %q", out)
	}
	// The run that is stopped: a checkpoint before growth, the rest thrown away.
	succeed(t, "", flags(stopped, "--save-every", "2", "--keep", "0")...)
	for _, name := range clitest.Entries(t, filepath.Join(stopped, "checkpoints")) {
		if name != "step-2" && name != "LATEST" {
			os.RemoveAll(filepath.Join(stopped, "checkpoints", name))
		}
	}
	if err := os.WriteFile(filepath.Join(stopped, "checkpoints", "LATEST"), []byte("step-2"), 0o644); err != nil {
		t.Fatal(err)
	}

	args := append([]string{"data", "tokenize", m.train, "--tokenizer", m.tokenizer, "--cache", cache}, filters...)
	out = succeed(t, "", args...)
	for _, part := range []string{"rows read", "held out", " tokens of ", "2 bytes each, in 2 parts"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in %q", part, out)
		}
	}
	var again struct {
		Dir                     string
		Documents, Rows, Tokens int64
		Reused                  int   `json:"reused_parts"`
		HeldOut                 int64 `json:"held_out"`
	}
	if err := json.Unmarshal([]byte(succeed(t, "", append(args, "--json")...)), &again); err != nil {
		t.Fatal(err)
	}
	if again.Reused != 2 || again.Documents == 0 || again.HeldOut == 0 || again.Tokens < again.Documents ||
		filepath.Dir(again.Dir) != cache {
		t.Errorf("%+v", again)
	}

	cached := newRun(t)
	out = succeed(t, "", flags(cached)...)
	if !strings.Contains(out, "tokens from the cache "+again.Dir) {
		t.Errorf("no word of the cache in %q", out)
	}
	if !regexp.MustCompile(`step 8: holdout perplexity [0-9.]+ per token \(end, \d+ tokens`).MatchString(out) {
		t.Errorf("no perplexity of what was held out in %q", out)
	}
	succeed(t, "", flags(stopped, "--save-every", "2", "--keep", "0", "--resume", stopped)...)
	want := lossLines(t, straight)
	if strings.Count(want, "\n") != 8 {
		t.Fatalf("metrics %q", want)
	}
	for name, run := range map[string]string{"cached": cached, "resumed": stopped} {
		if got := lossLines(t, run); got != want {
			t.Errorf("%s: losses\n%s\nwant\n%s", name, got, want)
		}
	}

	fail(t, 1, []string{"1.5", "held out"}, append(args[:len(args)-1:len(args)-1], "1.5")...)
	fail(t, 2, []string{"--workers -1"}, append(args, "--workers=-1")...)
	fail(t, 1, []string{"no-such"}, "data", "tokenize", "no-such", "--tokenizer", m.tokenizer, "--cache", cache)
}

// JSON Lines and text files are training data, alone or mixed, by any field's
// name.
func TestPretrainOnOtherSources(t *testing.T) {
	m := newMaterial(t)
	dir := t.TempDir()
	line, err := json.Marshal(map[string]string{"content": text})
	if err != nil {
		t.Fatal(err)
	}
	lines := filepath.Join(dir, "lines.jsonl")
	if err := os.WriteFile(lines, []byte(strings.Repeat(string(line)+"\n", 40)), 0o644); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "book.txt", strings.Repeat(text, 40))
	host := func(run string, more ...string) []string {
		return m.pretrain(run, append([]string{"--device", "host"}, more...)...)
	}
	out := succeed(t, "", host(newRun(t), "--data", lines, "--text-column", "content")...)
	if !strings.Contains(out, "rows read: ") || !strings.Contains(out, "256 tokens seen") {
		t.Errorf("%q", out)
	}
	run := newRun(t)
	mixed := []string{"--data", file + "=3", "--data", m.train + "=1"}
	out = succeed(t, "", host(run, mixed...)...)
	for _, part := range []string{file + ": weight 3, 1 shards, 1 rows", file + ": 1 rows read", "192 tokens seen",
		m.train + ": ", "64 tokens seen"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in %q", part, out)
		}
	}
	succeed(t, "", host(run, append(mixed, "--resume", run)...)...)
	fail(t, 1, []string{"--data", "3 of ", "2 of "}, host(run, "--data", file+"=2", "--data", m.train+"=1", "--resume",
		run)...)
	refused(t, m, 2, []string{"each has a weight"}, "--data", file, "--data", m.train, "--device", "host")
	refused(t, m, 2, []string{"must be above 0"}, "--data", file+"=0", "--device", "host")
	refused(t, m, 1, []string{lines, `no field "text"`, "content"}, "--data", lines, "--device", "host")

	succeed(t, "", "tokenizer", "train", "--data", lines, "--text-column", "content", "--vocab", "280", "--out",
		filepath.Join(dir, "t.json"))
	model := randomModel(t, 280)
	if p := perplexity(t, "--model", model, "--data", lines, "--text-column", "content", "--max-tokens", "64",
		"--device", "host"); p.Results[0].Tokens != 64 {
		t.Errorf("%+v", p)
	}
}
