package mtbench_test

import (
	"bufio"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
)

// served is where steplm serve answers for stories260K, with a context of so many tokens.
func served(t *testing.T, context string) (url string) {
	t.Helper()
	model := filepath.Join(t.TempDir(), "judge")
	for _, name := range []string{"config.json", "model.safetensors"} {
		text := clitest.Contents(t, datatest.Path(t, "models/stories260K/"+name))
		if name == "config.json" {
			text = regexp.MustCompile(`("max_position_embeddings": )\d+`).ReplaceAllString(text, "${1}"+context)
			if !strings.Contains(text, context) {
				t.Fatalf("the model's configuration has no positions: %s", text)
			}
		}
		write(t, filepath.Join(model, name), text)
	}
	c := clitest.CallOf(t.Context(), "serve", "--model", model, "--tokenizer",
		datatest.Path(t, "golden_tasks/stories260K_tokenizer"), "--device", "host", "--port", "0", "--slots", "2")
	c.Env = append(c.Env, "STEPLM_API_KEY="+key)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	m := regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	if err != nil || m == "" {
		t.Fatalf("the server says %q, %v", line, err)
	}
	return m + "/v1"
}

// steplm serve is a judge, a bad one: its replies are on the disk, and one question is too long for a short context,
// which the error says.
func TestServeIsAJudge(t *testing.T) {
	dir := bench(t)
	j := &theJudge{url: served(t, "2048")}
	args := j.args(dir, "judge_single.jsonl", "--judge-model", "judge", "--max-tokens", "8", "--limit", "1")
	out, stderr, code := call(t, args...)
	if code != 0 || !strings.Contains(out, "4 judgments are in ") || !strings.Contains(out, " of replies") {
		t.Fatalf("exit code %d: %s%s", code, out, stderr)
	}
	list := lines(t, judgments(dir, "judge_single.jsonl"))
	for _, line := range list {
		if !strings.Contains(line, `"judge": ["judge", "single-v1`) || strings.Contains(line, `"judgment": ""`) ||
			strings.Contains(line, "$ERROR$") {
			t.Errorf("%.2000s", line)
		}
	}
	if out, stderr, code = call(t, args...); code != 0 || len(list) != 4 || !strings.Contains(stderr,
		"0 of them to be asked") {
		t.Errorf("%d lines; exit code %d: %s%s", len(list), code, out, stderr)
	}
	j = &theJudge{url: served(t, "256")}
	_, stderr, code = call(t, j.args(dir, "short.jsonl", "--judge-model", "judge", "--max-tokens", "8", "--limit",
		"1")...)
	if code != 1 || !strings.Contains(stderr, "4 of 4 judgments could not be had") || !strings.Contains(stderr,
		"400 Bad") ||
		!strings.Contains(stderr, "256") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
