package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/model/likelihood"
)

// table is a Scorer whose answers follow from the ids alone, and which may fail after some.
type table struct {
	asked int
	fail  int // after so many answers; 0: never
}

var errKilled = errors.New("killed")

func (s *table) Score(_ context.Context, requests []likelihood.Request,
	heard func(int, likelihood.Answer) error) error {
	for i, r := range requests {
		if s.asked++; s.fail > 0 && s.asked > s.fail {
			return errKilled
		}
		a := likelihood.Answer{Greedy: len(r.Continuation)%2 == 0}
		for j, id := range append(r.Context, r.Continuation...) {
			a.LogLikelihood -= float64(id%97)/7 + float64(j)/1e3
		}
		if err := heard(i, a); err != nil {
			return err
		}
	}
	return nil
}

// An evaluation that was killed goes on where it was, also when its last line was half written, and says the same as
// one that was not; equal requests are asked once.
func TestJournal(t *testing.T) {
	v := vocabulary(t, "stories260K", 512)
	dir := fill(t, map[string]string{"piqa.jsonl": strings.Repeat(
		`{"query":"Question: Eat\n","choices":["now","then"],"gold":1}`+"\n", 3) +
		`{"query":"Question: Go\n","choices":["up","down"],"gold":0}` + "\n" +
		`{"query":"Question: Run\n","choices":["up","down"],"gold":1}` + "\n"})
	s, err := Prepare(&piqa, v, Options{Folders: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	evaluate := func(scorer *table, j *Journal) (string, error) {
		var last Progress
		e := Evaluation{Scorer: scorer, Journal: j, Progress: func(p Progress) { last = p }}
		outcomes, err := e.Evaluate(t.Context(), []*Set{s})
		if err != nil {
			return "", err
		}
		if last.Requests != last.AllRequests || last.Tokens != last.AllTokens || last.Requests != 6 {
			t.Errorf("progress ends with %+v", last)
		}
		var b bytes.Buffer
		if err := outcomes[0].WriteSamples(&b); err != nil {
			t.Fatal(err)
		}
		return b.String(), nil
	}
	whole := &table{}
	want, err := evaluate(whole, nil)
	if err != nil || whole.asked != 6 {
		t.Fatalf("%d requests are asked, want 6 that differ: %v", whole.asked, err)
	}
	folder := t.TempDir()
	open := func(identity string) *Journal {
		t.Helper()
		j, err := OpenJournal(folder, identity)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open("a model")
	if _, err := evaluate(&table{fail: 4}, j); !errors.Is(err, errKilled) {
		t.Fatalf("got %v", err)
	}
	if err := j.Close(false); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	foreign := []byte(`{"key":"` + strings.Repeat("ab", 40) + `","ll":-1}` + "\n")
	write(t, files[0], append(foreign, content[:len(content)-9]...)) // the fourth answer's line is not whole
	other := open("another model")
	if n := other.Answers(); n != 0 {
		t.Errorf("another model has %d answers", n)
	}
	if err := other.Close(true); err != nil {
		t.Fatal(err)
	}
	j = open("a model")
	if n := j.Answers(); n != 3 {
		t.Errorf("%d answers are left, want 3", n)
	}
	rest := &table{}
	got, err := evaluate(rest, j)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || rest.asked != 3 {
		t.Errorf("%d requests are asked again, want 3 (-want +got):\n%s", rest.asked, diff)
	}
	if err := j.Close(true); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) != 0 {
		t.Errorf("%q are left", left)
	}
}

// What cannot be asked is refused with the task and the document.
func TestPrepareRefuses(t *testing.T) {
	tiny := vocabulary(t, "stories260K", 4)
	gpt2 := vocabulary(t, "gpt2tok_tiny", 128)
	row := `{"query":"Question: Eat\n","choices":["now, and for as long as you like","then"],"gold":1}`
	dir := fill(
		t,
		map[string]string{"piqa.jsonl": row, "openbook_qa.jsonl": `{"query":" ","choices":["a","b"],"gold":1}`,
			"wiki.test.jsonl": `{"page":"= A =\n x"}`, "lambada.jsonl": `{"text":"a b"}`},
	)
	for _, c := range []struct {
		task *Task
		v    *Vocabulary
		o    Options
		want []string
	}{
		{&piqa, tiny, Options{}, []string{"piqa: document 0: choice 0", "the model a context of 4"}},
		{&piqa, tiny, Options{LeaveOut: true}, []string{"piqa: each of its 1 documents", "a context of 4 has"}},
		{&openbookqa, gpt2, Options{}, []string{"openbookqa: document 0", "nothing but blanks"}},
		{&wikitext, gpt2, Options{Shots: 1}, []string{"wikitext", "1 shots cannot be shown"}},
		{&piqa, gpt2, Options{Shots: 1}, []string{"shots: piqa", "no file of the train split"}},
		{&lambadaOpenAI, gpt2, Options{Shots: 2}, []string{"lambada_openai: 2 shots", "there are 1 to draw from"}},
	} {
		c.o.Folders = []string{dir}
		_, err := Prepare(c.task, c.v, c.o)
		for _, part := range c.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q", c.task.Name, err, part)
			}
		}
	}
	s, err := Prepare(&lambadaOpenAI, gpt2, Options{Folders: []string{dir}, Limit: 5})
	if err != nil || s.Asked() != 1 || s.Original != 1 {
		t.Errorf("a limit beyond the documents: %v", err)
	}
}

// A document with a choice that is longer than the context is left out where that is asked for, and counted; the
// others keep their numbers.
func TestLongChoicesAreLeftOut(t *testing.T) {
	v := vocabulary(t, "stories260K", 8)
	row := func(choice string) string {
		return fmt.Sprintf(`{"query":"Question: Eat\n","choices":[%q,"then"],"gold":1}`+"\n", choice)
	}
	long := row(strings.Repeat("for as long as you like ", 9))
	dir := fill(t, map[string]string{"piqa.jsonl": row("now") + long + row("once") + long + row("twice")})
	s, err := Prepare(&piqa, v, Options{Folders: []string{dir}, LeaveOut: true, Limit: 4})
	if err != nil {
		t.Fatal(err)
	}
	if s.Asked() != 2 || s.LeftOut != 2 || s.Original != 5 {
		t.Errorf("%d are asked and %d left out of %d", s.Asked(), s.LeftOut, s.Original)
	}
	list, err := Evaluation{Scorer: &table{}}.Evaluate(t.Context(), []*Set{s})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := list[0].WriteSamples(&b); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`"doc_id":0,`, `"doc_id":2,`} {
		if line := strings.Split(b.String(), "\n")[i]; !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
}

// Scores are read as they were written, and a table of them has each number with its error and chance.
func TestScores(t *testing.T) {
	v := vocabulary(t, "stories260K", 512)
	dir := fill(
		t,
		map[string]string{"piqa.jsonl": `{"query":"Question: Eat\n","choices":["now","then"],"gold":1}` + "\n" +
			`{"query":"Question: Go\n","choices":["up","down"],"gold":0}` + "\n", "lambada.jsonl": `{"text":"a b"}`},
	)
	var sets []*Set
	for _, task := range []*Task{&piqa, &lambadaOpenAI} {
		s, err := Prepare(task, v, Options{Folders: []string{dir}})
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, s)
	}
	outcomes, err := Evaluation{Scorer: &table{}, Resamples: 10}.Evaluate(t.Context(), sets)
	if err != nil {
		t.Fatal(err)
	}
	text, err := marshal(v.Results(outcomes, About{Model: "m"}))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if _, ok, err := ReadScores(folder); ok || err != nil {
		t.Errorf("no scores: %t, %v", ok, err)
	}
	if err := (Scores{Model: "m", Tasks: text}).Write(folder); err != nil {
		t.Fatal(err)
	}
	s, ok, err := ReadScores(folder)
	if err != nil || !ok {
		t.Fatal(err)
	}
	list, err := s.Table()
	if err != nil || len(list) != 4 {
		t.Fatalf("%v, %v", list, err)
	}
	for i, want := range []struct{ task, metric string }{{"piqa", "acc"}, {"piqa", "acc_norm"},
		{"lambada_openai", "perplexity"}, {"lambada_openai", "acc"}} {
		got := list[i]
		if got.Task != want.task || got.Metric != want.metric {
			t.Errorf("score %d is %+v, want %v", i, got, want)
		}
		if one := i >= 2; (got.StdErr != got.StdErr) != one || (got.Chance == 0.5) == one {
			t.Errorf("%+v: of one document there is no error, of no choices no chance", got)
		}
	}
	write(t, filepath.Join(folder, ScoresFile), []byte("{"))
	if _, ok, err := ReadScores(folder); ok || err == nil || !strings.Contains(err.Error(), ScoresFile) {
		t.Errorf("damaged scores: %t, %v", ok, err)
	}
}
