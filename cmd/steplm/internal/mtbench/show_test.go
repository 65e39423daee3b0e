package mtbench_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	mt "steplm/stage/mtbench"
)

// Scores come by category and turn too, with the template that the answers beside a setup came about by, as text and
// as JSON; a run keeps those of its model.
func TestShow(t *testing.T) {
	dir := bench(t)
	single := golden(t, "mt_bench/model_judgment/gpt-4_single.jsonl")
	setup := mt.Setup{Model: "m", Template: "fastchat-alpaca", MaxTokens: 24}
	if err := setup.Write(filepath.Join(dir, "mt_bench/model_answer/alpaca-stories260K.jsonl")); err != nil {
		t.Fatal(err)
	}
	show := []string{"mtbench", "show", "--questions", filepath.Join(dir, "mt_bench/question.jsonl"), "--answers",
		filepath.Join(dir, "mt_bench/model_answer"), "--judgments", single}
	text := clitest.Succeed(t, "", show...)
	for _, part := range []string{"########## By category ##########",
		"model               category    turn 1  turn 2   both  ratings  failed",
		"alpaca-stories260K  stem ", "vicuna-stories260K  coding ",
		"Judge: gpt-4. 8 judgments without rating or winner, left out.",
		"Template of alpaca-stories260K: fastchat-alpaca, FastChat's, which is not the prompt that Alpaca was trained",
		"Template of vicuna-stories260K: not known."} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	var s mt.Scores
	if err := json.Unmarshal([]byte(clitest.Succeed(t, "", append(show, "--json")...)), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Models) != 2 || s.Models[0].Model != "alpaca-stories260K" || s.Models[0].Average.N != 7 ||
		s.Models[0].Template != "fastchat-alpaca" || len(s.Models[0].Categories) != 6 {
		t.Errorf("%+v", s)
	}
	run := clitest.WriteFile(t, "recipe.json", "{}")
	clitest.Succeed(t, "", append(show, "--save", filepath.Dir(run), "--model", "vicuna-stories260K")...)
	kept, there, err := mt.ReadScores(filepath.Dir(run))
	if err != nil || !there || kept.Models[0].Model != "vicuna-stories260K" || kept.Models[0].First.Value != 5.375 {
		t.Errorf("%+v, %t, %v", kept, there, err)
	}
	twice := clitest.WriteFile(t, "twice.jsonl", clitest.Contents(t, single)+clitest.Contents(t, single)+`{"question_`)
	_, stderr, code := clitest.Call(t, "", "mtbench", "show", "--judgments", twice)
	if code != 0 || !strings.Contains(stderr, "16 judgments are there again") || !strings.Contains(stderr,
		"half-written") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	pair := golden(t, "mt_bench/model_judgment/gpt-4_pair.jsonl")
	text = clitest.Succeed(t, "", "mtbench", "show", "--judgments", pair, "--baseline", "vicuna-stories260K")
	if !strings.Contains(text, "Mode: pairwise-baseline\n") || strings.Contains(text, "\nvicuna") {
		t.Errorf("%s", text)
	}
	for _, c := range []struct {
		code int
		part string
		args []string
	}{
		{2, `--model "": the judgments are of alpaca-stories260K, vicuna-stories260K`, append(show, "--save",
			filepath.Dir(run))},
		{1, "holds no run", append(show, "--save", dir)},
		{2, "--save " + dir + ": it is for single", []string{"mtbench", "show", "--judgments", pair, "--save", dir}},
		{2, "it is for pairwise judgments", append(show, "--baseline", "x")},
		{1, "has no match with", []string{"mtbench", "show", "--judgments", pair, "--baseline", "x"}},
		{1, "has no judgments", []string{"mtbench", "show", "--judgments", clitest.WriteFile(t, "j.jsonl", "")}},
		{1, "none of those that say the categories", append(show, "--questions",
			clitest.WriteFile(t, "q.jsonl", `{"question_id": 1, "category": "x", "turns": ["y"]}`))},
		{1, "j.jsonl, line 1: the score \"7\" is no number", []string{"mtbench", "show", "--judgments",
			clitest.WriteFile(t, "j.jsonl", `{"question_id": 1, "model": "x", "score": "7", "turn": 1}`)}},
	} {
		clitest.Fail(t, c.code, []string{c.part}, c.args...)
	}
}
