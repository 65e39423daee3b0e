package mtbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// small is a contest of questions of no category in which references are needed, and needs no files.
func small(questions, models int) Contest {
	c := Contest{Mode: Single, Prompts: map[string]Prompt{}}
	for _, name := range []string{"single-v1", "single-v1-multi-turn", "pair-v2", "pair-v2-multi-turn"} {
		p := Prompt{Name: name, Type: "single", Output: "[[rating]]", Template: "{question}{answer}"}
		if strings.HasPrefix(name, "pair") {
			p.Type, p.Output, p.Template = "pairwise", "[[A]]", "{question}{answer_a}{answer_b}"
		}
		if strings.HasSuffix(name, "turn") {
			p.Template = strings.NewReplacer("question}", "question_2}", "answer}", "answer_2}", "_a}", "_a_2}", "_b}",
				"_b_2}").Replace(p.Template)
		}
		c.Prompts[name] = p
	}
	for q := range questions {
		c.Questions = append(c.Questions, Question{q, "writing", []string{fmt.Sprint(q), fmt.Sprint(-q)}})
	}
	for m := range models {
		a := Answers{Model: fmt.Sprintf("m%d", m), Path: "p", Of: map[int]Answer{}}
		for q := range questions {
			a.Of[q] = Answer{Choices: []Choice{{Turns: []string{"a" + a.Model, "b" + a.Model}}}}
		}
		c.Answers = append(c.Answers, a)
	}
	return c
}

// run judges what is missing in a file.
func run(t *testing.T, c Contest, path string, ask func(user string) (string, error), over bool) error {
	t.Helper()
	log := must(OpenLog(path))(t)
	defer log.Close()
	w := must(NewWork("j", must(c.Matches())(t), must(ReadJudgments(path))(t)))(t)
	return w.Run(t.Context(), log, Asker{Parallel: 1, Now: func() Seconds { return 1 }, Done: func(int, int) {},
		Over: func(error) bool { return over },
		Ask:  func(_ context.Context, _, user string) (string, error) { return ask(user) }})
}

// A judge that fails again and again is given up; one that cannot be asked at all is, at once, and leaves no lines.
func TestJudgesAreGivenUp(t *testing.T) {
	no := errors.New("no")
	for _, c := range []struct {
		over          bool
		asked, failed int32
	}{{false, mostFailures, mostFailures}, {true, 1, 0}} {
		path := filepath.Join(t.TempDir(), "j.jsonl")
		asked := int32(0)
		err := run(t, small(20, 1), path, func(string) (string, error) { asked++; return "", no }, c.over)
		unjudged := (*Unjudged)(nil)
		if !errors.As(err, &unjudged) || !errors.Is(err, no) || unjudged.Matches != 40 || unjudged.Of != 40 {
			t.Errorf("%v", err)
		}
		text := string(must(os.ReadFile(path))(t))
		if n := strings.Count(text, ErrorReply); asked != c.asked || n != int(c.failed) {
			t.Errorf("over %t: asked %d times, %d lines of errors", c.over, asked, n)
		}
		// Others in between are no row.
		n := 0
		err = run(t, small(20, 1), path, func(string) (string, error) {
			if n++; n%3 == 0 {
				return "", no
			}
			return "[[5]]", nil
		}, false)
		if !errors.As(err, &unjudged) || unjudged.Matches != 13 || n != 40 {
			t.Errorf("%v after %d", err, n)
		}
	}
}

// Of a pair one game may lack a reply: the other is not asked for again.
func TestOneGameIsEnough(t *testing.T) {
	c := small(3, 2)
	c.Mode = Pairs
	path := filepath.Join(t.TempDir(), "j.jsonl")
	var asked atomic.Int32
	second := func(user string) (string, error) {
		asked.Add(1)
		if strings.Contains(user, "m1am0") || strings.Contains(user, "m1bm0") {
			return "", errors.New("not in this order")
		}
		return "[[A]]", nil
	}
	if err := run(t, c, path, second, false); err == nil || asked.Load() != 12 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	for _, j := range must(ReadJudgments(path))(t).List {
		if j.Winners[0] != First || j.Winners[1] != NoGame || j.Replies[1] != ErrorReply {
			t.Errorf("%+v", j)
		}
	}
	asked.Store(0)
	all := func(string) (string, error) { asked.Add(1); return "[[B]]", nil }
	if err := run(t, c, path, all, false); err != nil || asked.Load() != 6 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	list := must(ReadJudgments(path))(t).List
	for _, j := range list {
		if j.Winners[0] != First || j.Winners[1] != First {
			t.Errorf("%+v", j)
		}
	}
	if len(list) != 6 {
		t.Errorf("%d lines", len(list))
	}
}

// Judgments of other models in the file stay as they are, to the byte.
func TestOthersStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.jsonl")
	other := `{"question_id":0,"model":"z","judge":["j","single-v1"],"user_prompt":"","judgment":"[[3]]","score":3,` +
		`"turn":1,"tstamp":5, "more": true}`
	if err := os.WriteFile(path, []byte(other), 0o644); err != nil { // without an end of line
		t.Fatal(err)
	}
	yes := func(string) (string, error) { return "[[4]]", nil }
	if err := run(t, small(2, 2), path, yes, false); err != nil {
		t.Fatal(err)
	}
	if list := lines(t, path); len(list) != 9 || list[0] != other {
		t.Errorf("%d lines: %s", len(list), list[0])
	}
}

// A file is one process's at a time.
func TestLogIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.jsonl")
	log := must(OpenLog(path))(t)
	if _, err := OpenLog(path); err == nil || !strings.Contains(err.Error(), "is being written by another process") {
		t.Error(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := must(OpenLog(path))(t).Close(); err != nil {
		t.Error(err)
	}
}

func TestFill(t *testing.T) {
	values := map[string]string{"a": "{b}", "b": "}}"}
	for template, want := range map[string]string{"": "", "x": "x", "{a}{b}": "{b}}}", "{{a}}": "{a}",
		"{{{a}}}": "{{b}}", "}}": "}"} {
		if got, err := fill(template, values); err != nil || got != want {
			t.Errorf("%q: %q, %v", template, got, err)
		}
	}
	for template, part := range map[string]string{"{": "single {", "}": "single }", "a}b": "single }", "{c}": "{c}",
		"{a": "single {"} {
		if got, err := fill(template, values); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %q, %v", template, got, err)
		}
	}
}

// Texts come back from Python's JSON as they were, which is ASCII.
func TestPythonJSON(t *testing.T) {
	for value, want := range map[any]string{
		`a"\é` + "\u2028😀\x00\x7f\n<&>": `"a\"\\\u00e9\u2028\ud83d\ude00\u0000\u007f\n<&>"`,
		Seconds(1795775219.0352926):     "1795775219.0352926", Seconds(2): "2.0", Seconds(1e16): "1e+16",
		Seconds(0):       "0.0",
		Seconds(0.00001): "1e-05",
	} {
		if got := must(pythonJSON(value))(t); string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		turns := rapid.SliceOfN(rapid.String(), 1, 3).Draw(r, "turns")
		a := Answer{Model: rapid.String().Draw(r, "model"), Choices: []Choice{{Turns: turns}}}
		text, err := pythonJSON(a)
		if err != nil || strings.ContainsFunc(string(text), func(c rune) bool { return c >= utf8.RuneSelf }) ||
			strings.Contains(string(text), "\n") ||
			!strings.HasPrefix(string(text), `{"question_id": 0, "answer_id": "", `) {
			r.Errorf("%s, %v", text, err)
		}
		path := filepath.Join(t.TempDir(), "a.jsonl")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			r.Fatal(err)
		}
		back, err := ReadAnswers(path)
		if err != nil || !slices.Equal(back.Of[0].Turns(), a.Turns()) {
			r.Errorf("%+v, %v, want %+v", back.Of[0], err, a)
		}
	})
}
