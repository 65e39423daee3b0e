package tokens

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// A run without a cache, one with, and one that was begun without and goes on
// with it have the same losses, and say where their ids are from.
func TestTokenizeAndPretrain(t *testing.T) {
	m := clitest.NewMaterial(t)
	cache := t.TempDir()
	filters := []string{"--min-chars", "500", "--dedupe", "--holdout", "0.02"}
	flags := func(run string, more ...string) []string {
		return m.Pretrain(run, append(append([]string{"--cache", cache, "--device", "host", "--workers", "2"},
			filters...), more...)...)
	}
	straight, stopped := clitest.NewRun(t), clitest.NewRun(t)
	out := clitest.Succeed(t, "", flags(straight, "--steps", "8")...)
	if !strings.Contains(out, "tokenized on the fly (`steplm data tokenize` would keep the ids)") {
		t.Errorf("no word of it in %q", out)
	}
	// The run that is stopped: a checkpoint before growth, the rest thrown away.
	clitest.Succeed(t, "", flags(stopped, "--save-every", "2", "--keep", "0")...)
	for _, name := range clitest.Entries(t, filepath.Join(stopped, "checkpoints")) {
		if name != "step-2" && name != "LATEST" {
			os.RemoveAll(filepath.Join(stopped, "checkpoints", name))
		}
	}
	if err := os.WriteFile(filepath.Join(stopped, "checkpoints", "LATEST"), []byte("step-2"), 0o644); err != nil {
		t.Fatal(err)
	}

	args := append([]string{"data", "tokenize", m.Train, "--tokenizer", m.Tokenizer, "--cache", cache}, filters...)
	out = clitest.Succeed(t, "", args...)
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
	if err := json.Unmarshal([]byte(clitest.Succeed(t, "", append(args, "--json")...)), &again); err != nil {
		t.Fatal(err)
	}
	if again.Reused != 2 || again.Documents == 0 || again.HeldOut == 0 || again.Tokens < again.Documents ||
		filepath.Dir(again.Dir) != cache {
		t.Errorf("%+v", again)
	}

	cached := clitest.NewRun(t)
	out = clitest.Succeed(t, "", flags(cached)...)
	if !strings.Contains(out, "tokens from the cache "+again.Dir) {
		t.Errorf("no word of the cache in %q", out)
	}
	if !regexp.MustCompile(`step 8: holdout perplexity [0-9.]+ per token \(end, [\d,]+ tokens`).MatchString(out) {
		t.Errorf("no perplexity of what was held out in %q", out)
	}
	clitest.Succeed(t, "", flags(stopped, "--save-every", "2", "--keep", "0", "--resume", stopped)...)
	want := clitest.LossLines(t, straight)
	if strings.Count(want, "\n") != 8 {
		t.Fatalf("metrics %q", want)
	}
	for name, run := range map[string]string{"cached": cached, "resumed": stopped} {
		if got := clitest.LossLines(t, run); got != want {
			t.Errorf("%s: losses\n%s\nwant\n%s", name, got, want)
		}
	}

	clitest.Fail(t, 2, []string{"--holdout 1.5", "at most 1"}, append(args[:len(args)-1:len(args)-1], "1.5")...)
	clitest.Fail(t, 2, []string{"--workers -1"}, append(args, "--workers=-1")...)
	clitest.Fail(t, 1, []string{"no-such"}, "data", "tokenize", "no-such", "--tokenizer", m.Tokenizer, "--cache", cache)
}

// JSON Lines and text files are training data, alone or mixed, by any field's
// name.
func TestPretrainOnOtherSources(t *testing.T) {
	m := clitest.NewMaterial(t)
	dir := t.TempDir()
	line, err := json.Marshal(map[string]string{"content": clitest.Text})
	if err != nil {
		t.Fatal(err)
	}
	lines := filepath.Join(dir, "lines.jsonl")
	if err := os.WriteFile(lines, []byte(strings.Repeat(string(line)+"\n", 40)), 0o644); err != nil {
		t.Fatal(err)
	}
	file := clitest.WriteFile(t, "book.txt", strings.Repeat(clitest.Text, 40))
	host := func(run string, more ...string) []string {
		return m.Pretrain(run, append([]string{"--device", "host"}, more...)...)
	}
	out := clitest.Succeed(t, "", host(clitest.NewRun(t), "--data", lines, "--text-column", "content")...)
	if !strings.Contains(out, "rows read: ") || !strings.Contains(out, "256 tokens seen") {
		t.Errorf("%q", out)
	}
	run := clitest.NewRun(t)
	mixed := []string{"--data", file + "=3", "--data", m.Train + "=1"}
	out = clitest.Succeed(t, "", host(run, mixed...)...)
	for _, part := range []string{file + ": weight 3, 1 shard, 1 row;", file + ": 1 row read", "192 tokens seen",
		m.Train + ": ", "64 tokens seen"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in %q", part, out)
		}
	}
	clitest.Succeed(t, "", host(run, append(mixed, "--resume", run)...)...)
	clitest.Fail(t, 1, []string{"--data", "3 of ", "2 of "},
		host(run, "--data", file+"=2", "--data", m.Train+"=1", "--resume",
			run)...)
	clitest.Refused(t, m, 2, []string{"each has a weight"}, "--data", file, "--data", m.Train, "--device", "host")
	clitest.Refused(t, m, 2, []string{"must be above 0"}, "--data", file+"=0", "--device", "host")
	clitest.Refused(t, m, 1, []string{lines, `no field "text"`, "content"}, "--data", lines, "--device", "host")

	clitest.Succeed(t, "", "tokenizer", "train", "--data", lines, "--text-column", "content", "--vocab", "280", "--out",
		filepath.Join(dir, "t.json"))
	model := clitest.RandomModel(t, 280)
	if p := clitest.Perplexity(t, "--model", model, "--data", lines, "--text-column", "content", "--max-tokens", "64",
		"--device", "host"); p.Results[0].Tokens != 64 {
		t.Errorf("%+v", p)
	}
}
