package mtbench_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
)

// answer is a command line by which stories260K answers the six questions.
func answer(t *testing.T, to string, more ...string) []string {
	return append([]string{"mtbench", "answers", "--model", datatest.Path(t, "models/stories260K"), "--tokenizer",
		datatest.Path(t, "golden_tasks/stories260K_tokenizer"), "--device", "host", "--questions", questions(t),
		"--answers", to, "--max-tokens", "24"}, more...)
}

// What is not sampled the model answers as transformers did for FastChat, under both templates: as far as the context
// of 512 holds, beyond which transformers went on.
func TestAnswersAreFastChats(t *testing.T) {
	dir := t.TempDir()
	paths := map[string]string{}
	for _, family := range []string{"alpaca", "vicuna"} {
		path := filepath.Join(dir, "model_answer", family+"-stories260K.jsonl")
		paths[family+"-stories260K"] = path
		clitest.Succeed(t, "", answer(t, path, "--template", "fastchat-"+family)...)
		var ids []int
		for _, line := range lines(t, path) {
			var a struct {
				ID int `json:"question_id"`
			}
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, a.ID)
		}
		if !slices.Equal(ids, []int{87, 108, 116, 125, 139, 144}) {
			t.Errorf("%s: the questions are %v", family, ids)
		}
	}
	compared, cut := 0, 0
	for _, want := range prompts(t) {
		got := readAnswers(t, paths[want.Model]).Of[want.Question]
		if got.Model != want.Model || len(got.AnswerID) != 22 || len(got.Turns()) != 2 {
			t.Errorf("%+v", got)
		}
		for i, text := range want.Answers {
			switch room := 512 - want.Tokens[i]; {
			case !want.Greedy: // by torch's draws
			case room < 0:
				cut++
				if got.Turns()[i] != "ERROR" {
					t.Errorf("%s, question %d, turn %d does not fit and is answered %q", want.Model, want.Question, i+1,
						got.Turns()[i])
				}
			case room < 24 && got.Turns()[i] != "" && strings.HasPrefix(text, got.Turns()[i]):
				cut++
			case got.Turns()[i] != text:
				t.Errorf("%s, question %d, turn %d: %q, want %q", want.Model, want.Question, i+1, got.Turns()[i], text)
			default:
				compared++
			}
		}
	}
	if compared < 14 || cut != 2 {
		t.Errorf("%d answers were compared, %d end with the context", compared, cut)
	}
}

// A command that was killed goes on: what is there stays, of a half-written line nothing, and what is sampled is the
// same as without the kill. Answers that came about otherwise are not mixed in.
func TestAnswersGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.jsonl")
	short := clitest.WriteFile(t, "question.jsonl", strings.Join(lines(t, questions(t))[:3], "\n"))
	answer := func(t *testing.T, to string, more ...string) []string {
		return answer(t, to, append([]string{"--questions", short}, more...)...)
	}
	clitest.Succeed(t, "", answer(t, path)...)
	whole := lines(t, path)
	write(t, path, whole[2]+"\n"+whole[1]+"\n"+whole[0][:80])
	out := clitest.Succeed(t, "", answer(t, path, "--slots", "1")...)
	if !strings.Contains(out, "3 answers of m") || !strings.Contains(out, "1 of them new; template fastchat-alpaca") {
		t.Errorf("%q", out)
	}
	for i, line := range lines(t, path) {
		kept := line == whole[i]
		_, before, _ := strings.Cut(whole[i], `"model_id"`)
		_, after, _ := strings.Cut(line, `"model_id"`)
		before, _, _ = strings.Cut(before, `"tstamp"`)
		after, _, _ = strings.Cut(after, `"tstamp"`)
		if kept != (i > 0) || before != after {
			t.Errorf("line %d: %s, before %s", i+1, line, whole[i])
		}
	}
	names := clitest.Entries(t, filepath.Dir(path))
	if !slices.Equal(names, []string{"m.json", "m.jsonl"}) {
		t.Errorf("the folder has %v", names)
	}
	before := clitest.Contents(t, path)
	clitest.Fail(t, 1, []string{"template was fastchat-alpaca, now it is alpaca", "Name another file"},
		answer(t, path, "--template", "alpaca")...)
	other := clitest.WriteFile(t, "question.jsonl", `{"question_id": 7, "category": "x", "turns": ["a", "b"]}`)
	clitest.Fail(t, 1, []string{"has answers to other questions (87, 108"}, answer(t, path, "--questions", other)...)
	if err := os.Remove(strings.TrimSuffix(path, "l")); err != nil {
		t.Fatal(err)
	}
	clitest.Fail(t, 1, []string{"nothing beside it says how they came about"}, answer(t, path)...)
	if clitest.Contents(t, path) != before {
		t.Error("a refused command changed the answers")
	}
}

// The prompt of Alpaca's training, the model's own template and one in a file give other answers, and say so.
func TestTemplates(t *testing.T) {
	jinja := clitest.WriteFile(t, "t.jinja", "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
	seen := map[string]string{}
	for _, template := range []string{"fastchat-alpaca", "alpaca", jinja} {
		path := filepath.Join(t.TempDir(), "m.jsonl")
		out := clitest.Succeed(t, "", answer(t, path, "--template", template, "--limit", "2")...)
		if !strings.Contains(out, "2 answers of m") || !strings.Contains(out, "template "+template) {
			t.Errorf("%s: %q", template, out)
		}
		text := strings.Join(readAnswers(t, path).Of[108].Turns(), "|")
		if seen[text] != "" {
			t.Errorf("%s and %s both answer %q", template, seen[text], text)
		}
		seen[text] = template
		if setup := clitest.Contents(t, strings.TrimSuffix(path, "l")); !strings.Contains(setup, template) {
			t.Errorf("%s", setup)
		}
	}
}

func TestAnswersAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.jsonl")
	for _, c := range []struct {
		name, questions string
		code            int
		more            []string
		part            string
	}{
		{"a duplicate", `{"question_id": 7, "category": "x", "turns": ["a"]}` + "\n" +
			`{"question_id": 7, "category": "x", "turns": ["b"]}`, 1, nil, "line 2: question 7 is on line 1 already"},
		{"no id", `{"category": "x", "turns": ["a"]}`, 1, nil, "line 1: a question without question_id"},
		{"no turns", "\n" + `{"question_id": 7, "category": "x", "turns": []}`, 1, nil,
			"line 2: question 7 has no turns"},
		{"no category", `{"question_id": 7, "turns": ["a"]}`, 1, nil, "line 1: question 7 has no category"},
		{"a word for an id", `{"question_id": "7", "turns": ["a"]}`, 1, nil, "line 1: json"},
		{"half a line", `{"question_id": 7, "category": "x", "turns": ["a"]}` + "\n" + `{"quest`, 1, nil,
			"line 2: the file's last line is half-written"},
		{"nothing", "\n", 1, nil, "has no questions"},
		{"no template", "", 2, []string{"--template", "nonsense"}, "no such file, and the names are fastchat-alpaca"},
		{"no own template", "", 2, []string{"--template", "own"}, "has no chat template"},
		{"another name", "", 2, []string{"--answers", path + ".txt"}, "end in .jsonl"},
		{"a context that is none", "", 1, []string{"--context", "513"},
			"a context of 513 positions: the model has 512"},
	} {
		more := c.more
		if c.questions != "" {
			more = append(more, "--questions", clitest.WriteFile(t, "question.jsonl", c.questions))
		}
		clitest.Fail(t, c.code, []string{c.part}, answer(t, path, more...)...)
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: there is a file of answers", c.name)
		}
	}
}
