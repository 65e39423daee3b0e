package mtbench_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/command"
	"steplm/data/datatest"
	mt "steplm/stage/mtbench"
)

func TestMain(m *testing.M) { clitest.Main(m, command.Run, nil) }

// Files of FastChat's, and its questions.
func golden(t *testing.T, name string) string { return datatest.Path(t, "golden_mtbench/"+name) }

func questions(t *testing.T) string { return golden(t, "mt_bench/question.jsonl") }

// bench is a folder as FastChat's, with six questions, the answers of two models, prompts and reference answers. It is
// called like a pattern, which no folder is.
func bench(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bench [1-2]")
	const answers = "mt_bench/model_answer/"
	for to, from := range map[string]string{
		"judge_prompts.jsonl":                   "mtbench/judge_prompts.jsonl",
		"mt_bench/reference_answer/gpt-4.jsonl": "mtbench/mt_bench/reference_answer/gpt-4.jsonl",
		"mt_bench/question.jsonl":               "golden_mtbench/mt_bench/question.jsonl",
		answers + "alpaca-stories260K.jsonl":    "golden_mtbench/" + answers + "alpaca-stories260K.jsonl",
		answers + "vicuna-stories260K.jsonl":    "golden_mtbench/" + answers + "vicuna-stories260K.jsonl",
	} {
		write(t, filepath.Join(dir, to), clitest.Contents(t, datatest.Path(t, from)))
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// lines are a file's.
func lines(t *testing.T, path string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(clitest.Contents(t, path), "\n"), "\n")
}

// prompts are what FastChat made of questions and answers.
func prompts(t *testing.T) (list []struct {
	Model    string `json:"model_id"`
	Question int    `json:"question_id"`
	Greedy   bool
	Prompts  []string
	Tokens   []int `json:"prompt_tokens"`
	Answers  []string
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(clitest.Contents(t, golden(t, "prompts.json"))), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func readAnswers(t *testing.T, path string) mt.Answers {
	t.Helper()
	a, err := mt.ReadAnswers(path)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
