package mtbench_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	mt "steplm/stage/mtbench"
)

const key = "sk-of-a-test-0123456789"

// theJudge is a server that says what FastChat's judge said, unless a test has it do otherwise.
type theJudge struct {
	url string
	// otherwise answers the nth request, from 1 on, itself if it says so. It may be nil.
	otherwise func(n int, ask string, w http.ResponseWriter) bool

	mu    sync.Mutex
	said  map[string]string
	asked []string // what was
}

func newJudge(t *testing.T, otherwise func(n int, ask string, w http.ResponseWriter) bool) *theJudge {
	t.Helper()
	j := &theJudge{said: map[string]string{}, otherwise: otherwise}
	for _, name := range []string{"gpt-4_single.jsonl", "gpt-4_pair.jsonl"} {
		file, err := mt.ReadJudgments(golden(t, "mt_bench/model_judgment/"+name))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range file.List {
			for i, ask := range x.Asks {
				j.said[ask] = x.Replies[i]
			}
		}
	}
	s := httptest.NewServer(j)
	t.Cleanup(s.Close)
	j.url = s.URL + "/v1"
	return j
}

func (j *theJudge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Messages []struct{ Content string }
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil || len(q.Messages) != 2 {
		w.WriteHeader(400)
		return
	}
	if got := r.Header.Get("Authorization"); got != "Bearer "+key {
		http.Error(w, "who are you, "+got, http.StatusUnauthorized)
		return
	}
	ask := q.Messages[1].Content
	j.mu.Lock()
	j.asked = append(j.asked, ask)
	n := len(j.asked)
	j.mu.Unlock()
	if j.otherwise != nil && j.otherwise(n, ask, w) {
		return
	}
	text, _ := json.Marshal(j.said[ask])
	fmt.Fprintf(w, `{"choices": [{"message": {"content": %s}}], "usage": {"prompt_tokens": 100, "completion_tokens": 7}}`,
		text)
}

// repeated is what was asked more than once, but for what FastChat's judge never replied to.
func (j *theJudge) repeated() (list []string) {
	times := map[string]int{}
	for _, ask := range j.asked {
		if times[ask]++; times[ask] == 2 && j.said[ask] != mt.ErrorReply {
			list = append(list, ask)
		}
	}
	return list
}

// args are a command line that has both models' answers judged.
func (j *theJudge) args(dir, name string, more ...string) []string {
	return append([]string{"mtbench", "judge", "--questions", filepath.Join(dir, "mt_bench/question.jsonl"),
		"--answers",
		filepath.Join(dir, "mt_bench/model_answer"), "--judgments", judgments(dir, name), "--base-url", j.url}, more...)
}

func judgments(dir, name string) string { return filepath.Join(dir, "mt_bench/model_judgment", name) }

// call runs the command with the key in its environment, and checks that nobody is told of it.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	stdout, stderr, code = clitest.Finish(t, withKey(t, args...), "")
	if strings.Contains(stdout+stderr, key) {
		t.Errorf("the key is told:\n%s\n%s", stdout, stderr)
	}
	return stdout, stderr, code
}

func withKey(t *testing.T, args ...string) *exec.Cmd {
	c := clitest.CallOf(t.Context(), args...)
	c.Env = append(c.Env, "OPENAI_API_KEY="+key)
	return c
}

// isGolden compares a file of judgments with FastChat's, but for the times.
func isGolden(t *testing.T, path string) {
	t.Helper()
	got := lines(t, path)
	want := lines(t, golden(t, "mt_bench/model_judgment/"+filepath.Base(path)))
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range want {
		a, _, _ := strings.Cut(got[i], `, "tstamp"`)
		b, _, _ := strings.Cut(want[i], `, "tstamp"`)
		if a != b || strings.Contains(got[i], key) {
			t.Errorf("line %d:\n%s\nwant\n%s", i+1, got[i], want[i])
		}
	}
}

// Judged as FastChat judged, single and in pairs; a second command asks for nothing; and the tables are FastChat's.
func TestJudgeAndShow(t *testing.T) {
	dir := bench(t)
	j := newJudge(t, nil)
	for _, c := range []struct {
		name, table string
		unanswered  int // FastChat's judge gave no reply
		more        []string
	}{
		{"gpt-4_single.jsonl", "show_result.txt", 1, []string{"--prompt-cost", "30", "--reply-cost", "60"}},
		{"gpt-4_pair.jsonl", "show_result_pair.txt", 0, []string{"--mode", "pairwise-all"}},
	} {
		j.asked = nil
		out := clitest.Succeed(t, "", j.args(dir, c.name, append(c.more, "--dry-run")...)...) // which needs no key
		if !strings.Contains(out, "24 requests with about ") || !strings.Contains(out, "at most 49,152 of replies") ||
			len(j.asked) > 0 || len(c.more) == 4 && !strings.Contains(out, "at most 2.95 more") {
			t.Errorf("%q, asked %d times", out, len(j.asked))
		}
		out, stderr, code := call(t, j.args(dir, c.name, c.more...)...)
		if code != 0 || len(j.asked) != 24 || !strings.Contains(out, "2,400 tokens of prompts and 168 of replies") ||
			!strings.Contains(stderr, "24 requests with about ") {
			t.Errorf("exit code %d after %d requests: %s%s", code, len(j.asked), out, stderr)
		}
		isGolden(t, judgments(dir, c.name))
		if out, stderr, code = call(t, j.args(dir, c.name, c.more...)...); code != 0 ||
			len(j.asked) != 24+c.unanswered || !strings.Contains(stderr, fmt.Sprintf("%d of them to be",
			c.unanswered)) {
			t.Errorf("again: exit code %d after %d requests: %s%s", code, len(j.asked), out, stderr)
		}
		shown := clitest.Succeed(t, "", "mtbench", "show", "--judgments", judgments(dir, c.name), "--questions",
			filepath.Join(dir, "mt_bench/question.jsonl"), "--answers", filepath.Join(dir, "mt_bench/model_answer"))
		want := strings.Replace(clitest.Contents(t, golden(t, c.table)), "data/mt_bench/model_judgment/"+c.name,
			judgments(dir, c.name), 1)
		if !strings.HasPrefix(shown, want) || !strings.Contains(shown, "Judge: gpt-4.") {
			t.Errorf("%s\nwant\n%s", shown, want)
		}
	}
	if names := clitest.Entries(t, filepath.Join(dir, "mt_bench/model_judgment")); len(names) != 2 {
		t.Errorf("the folder has %v", names)
	}
	baseline := clitest.Succeed(t, "", j.args(dir, "b.jsonl", "--mode", "pairwise-baseline", "--baseline",
		"alpaca-stories260K", "--dry-run")...)
	if !strings.Contains(baseline, "12 judgments of 2 models") {
		t.Errorf("%q", baseline)
	}
}

// Judges that misbehave now and then, or are too busy, cost more requests and no judgment.
func TestJudgesThatMisbehave(t *testing.T) {
	soon := func(w http.ResponseWriter, status int) bool {
		w.Header().Set("Retry-After", "0")
		http.Error(w, "not now, "+key, status)
		return true
	}
	dir := bench(t)
	j := newJudge(t, func(n int, _ string, w http.ResponseWriter) bool {
		switch n {
		case 2, 11:
			return soon(w, 429)
		case 3, 4:
			return soon(w, 500)
		case 6:
			panic(http.ErrAbortHandler)
		case 8:
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>")
			return true
		}
		return false
	})
	out, stderr, code := call(t, j.args(dir, "gpt-4_single.jsonl")...)
	if code != 0 || len(j.asked) != 30 {
		t.Errorf("exit code %d after %d requests: %s%s", code, len(j.asked), out, stderr)
	}
	isGolden(t, judgments(dir, "gpt-4_single.jsonl"))
}

// What the judge refuses stays without rating, as in FastChat's files, and is asked for again; what it answers with
// nonsense has none either, and is not. A key that it repeats is in no file.
func TestJudgeRefuses(t *testing.T) {
	dir := bench(t)
	path := judgments(dir, "gpt-4_single.jsonl")
	bad := true
	j := newJudge(t, func(_ int, ask string, w http.ResponseWriter) bool {
		switch {
		case bad && strings.Contains(ask, "central dogma"):
			http.Error(w, `{"error": {"message": "too long for `+key+`"}}`, 400)
		case strings.Contains(ask, "captivating"):
			fmt.Fprintf(w, `{"choices": [{"message": {"content": "Bearer %s says 7 of 10"}}]}`, key)
		default:
			return false
		}
		return true
	})
	for ask, reply := range j.said {
		if reply == mt.ErrorReply {
			j.said[ask] = "[[7]]"
		}
	}
	_, stderr, code := call(t, j.args(dir, "gpt-4_single.jsonl", "--parallel", "1")...)
	if code != 1 || !strings.Contains(stderr, "4 of 24 judgments could not be had") ||
		!strings.Contains(stderr, "400 Bad Request: too long for [key]") ||
		!strings.Contains(stderr, "the same command asks for them again, and for no other") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	text := clitest.Contents(t, path)
	if strings.Contains(text, key) || strings.Count(text, "$ERROR$") != 4 ||
		strings.Count(text, `"judgment": "Bearer [key] says 7 of 10", "score": -1`) != 4 {
		t.Errorf("%d errors in the file, %d keys", strings.Count(text, "$ERROR$"), strings.Count(text, key))
	}
	bad = false
	asked := len(j.asked)
	if _, stderr, code = call(t, j.args(dir, "gpt-4_single.jsonl")...); code != 0 || len(j.asked) != asked+4 {
		t.Errorf("exit code %d after %d more requests: %s", code, len(j.asked)-asked, stderr)
	}
	if strings.Contains(clitest.Contents(t, path), mt.ErrorReply) {
		t.Error("there are replies missing")
	}
}

// A judge that is not there, or takes nobody, ends the command at once; nothing is written.
func TestJudgeIsAway(t *testing.T) {
	dir := bench(t)
	j := &theJudge{url: "http://127.0.0.1:1/v1"}
	_, stderr, code := call(t, j.args(dir, "a.jsonl", "--tries", "1")...)
	if code != 1 || !strings.Contains(stderr, "http://127.0.0.1:1/v1/chat/completions cannot be asked") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	j = newJudge(t, nil)
	stdout, stderr, code := clitest.Call(t, "", j.args(dir, "b.jsonl", "--key-env", "NONE")...)
	if code != 1 || !strings.Contains(stderr, "401 Unauthorized: it needs a key, and the environment has none") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	c := clitest.CallOf(t.Context(), j.args(dir, "b.jsonl", "--key-env", "OTHER")...)
	c.Env = append(c.Env, "OTHER="+strings.ToUpper(key))
	if stdout, stderr, code = clitest.Finish(t, c, ""); code != 1 || strings.Contains(stderr, strings.ToUpper(key)) ||
		!strings.Contains(stderr, "does not take the key: who are you, Bearer [key]") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	for _, name := range []string{"a.jsonl", "b.jsonl"} {
		if text := clitest.Contents(t, judgments(dir, name)); text != "" {
			t.Errorf("%s", text)
		}
	}
	stall := newJudge(t, func(int, string,
		http.ResponseWriter) bool {
		time.Sleep(300 * time.Millisecond)
		return false
	})
	_, stderr, code = call(t, stall.args(dir, "c.jsonl", "--tries", "2", "--timeout", "50ms")...)
	if code != 1 || !strings.Contains(stderr,
		"no reply from "+stall.url+"/chat/completions within 50ms (tried 2 times)") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// A command that is killed, and one that is interrupted, has every judgment that came on the disk; the next asks for
// the others alone. What an interrupted one asked for is waited for, and is not paid twice.
func TestJudgeGoesOn(t *testing.T) {
	for _, name := range []string{"gpt-4_single.jsonl", "gpt-4_pair.jsonl"} {
		mode := map[bool]string{true: "single", false: "pairwise-all"}[name == "gpt-4_single.jsonl"]
		for _, kill := range []bool{true, false} {
			if !kill && runtime.GOOS == "windows" {
				continue // It has no signal that one process may send another.
			}
			dir := bench(t)
			enough := make(chan struct{})
			j := newJudge(t, func(n int, _ string, _ http.ResponseWriter) bool {
				if n == 9 {
					close(enough)
				}
				if n >= 9 {
					time.Sleep(200 * time.Millisecond)
				}
				return false
			})
			c := withKey(t, j.args(dir, name, "--mode", mode, "--parallel", "3")...)
			done := make(chan string)
			go func() {
				_, stderr, code := clitest.Finish(t, c, "")
				done <- fmt.Sprintf("exit code %d: %s", code, stderr)
			}()
			<-enough
			if kill {
				c.Process.Kill()
			} else {
				c.Process.Signal(os.Interrupt)
			}
			end := <-done
			if !kill && (!strings.Contains(end, "exit code 1") || !strings.Contains(end, "interrupted")) {
				t.Error(end)
			}
			path := judgments(dir, name)
			if kill { // as if in the middle of a line
				write(t, path, clitest.Contents(t, path)+`{"question_id": 87, "mod`)
			}
			if _, stderr, code := call(t, j.args(dir, name, "--mode", mode)...); code != 0 {
				t.Errorf("%s: exit code %d: %s", name, code, stderr)
			}
			isGolden(t, path)
			// Up to three were on their way; of a pair the first game's reply is not on the disk before the second's.
			most := map[bool]int{true: 3, false: 0}[kill]
			if name == "gpt-4_pair.jsonl" {
				most *= 2
			}
			if n := len(j.repeated()); n > most {
				t.Errorf("%s, killed %t: %d questions were asked twice", name, kill, n)
			}
		}
	}
}

func TestJudgeRefusesFiles(t *testing.T) {
	dir := bench(t)
	j := &theJudge{url: "http://127.0.0.1:1/v1"}
	const alpaca = "mt_bench/model_answer/alpaca-stories260K.jsonl"
	answers := clitest.Contents(t, filepath.Join(dir, alpaca))
	all := strings.SplitAfter(answers, "\n")
	single := clitest.Contents(t, golden(t, "mt_bench/model_judgment/gpt-4_single.jsonl"))
	for _, c := range []struct {
		file, text string // instead of the right one
		code       int
		more       []string
		part       string
	}{
		{alpaca, strings.Join(all[1:], ""), 1, nil, "lacks the answers to 1 of 6 questions: 87"},
		{alpaca, strings.Join(all[:5], "") + all[5][:90], 1, nil, "lacks the answers to 1 of 6 questions: 144"},
		{alpaca, all[0] + "{\n" + all[1], 1, nil, "alpaca-stories260K.jsonl, line 2: unexpected end"},
		{alpaca, strings.Replace(all[0], "87", "88", 1), 1, nil, "answers other questions (88)"},
		{alpaca, strings.Replace(answers, `"turns": [`, `"turn": [`, 1), 1, nil,
			"line 1: the answer to question 87 has no turns"},
		{"judge_prompts.jsonl", `{"name": "single-v1", "type": "single", "prompt_template": "{answer} {x}", ` +
			`"output_format": "[[rating]]"}`, 1, nil, "judge prompt single-v1: its template asks for {x}"},
		{"judge_prompts.jsonl", `{"name": "single-v1", "type": "pairwise", "prompt_template": "x"}`, 1, nil,
			`is of the type "pairwise"`},
		{"judge_prompts.jsonl", `{"name": "x", "prompt_template": "x"}`, 1, nil, "there is no judge prompt single-v1"},
		{"mt_bench/reference_answer/gpt-4.jsonl", all[0], 1, nil, "lacks the reference answers to 3 questions"},
		{"mt_bench/model_judgment/j.jsonl", strings.Replace(single, "The answer", "x", 1), 1, []string{"--judge-model",
			"other",
			"--references", golden(t, "mt_bench/model_answer/vicuna-stories260K.jsonl")},
			"judgments by gpt-4, not by other"},
		{"mt_bench/model_judgment/j.jsonl", strings.Replace(single, "captivating", "x", 1), 1, nil,
			"a judgment of another answer of alpaca-stories260K to question 87, turn 1"},
		{"mt_bench/model_judgment/j.jsonl", single, 1, []string{"--mode", "pairwise-all"}, "judgments of another mode"},
		{"mt_bench/model_judgment/j.jsonl", "{}\n" + single, 1, nil, "j.jsonl, line 1: a judgment without question_id"},
		{"x", "", 2, []string{"--mode", "pairwise-baseline"}, "--baseline and --mode pairwise-baseline"},
		{"x", "", 1, []string{"--mode", "pairwise-baseline", "--baseline", "gpt-3.5"}, `no answers of "gpt-3.5"`},
		{"x", "", 2, []string{"--base-url", "https://me:pw-of-mine@example.org/v1"}, "has a user"},
		{"x", "", 1, []string{"--answers", "nowhere"}, "nowhere"},
	} {
		path := filepath.Join(dir, c.file)
		before := ""
		if c.file != "x" && !strings.HasSuffix(c.file, "j.jsonl") {
			before = clitest.Contents(t, path)
		}
		write(t, path, c.text)
		stdout, stderr, code := call(t, j.args(dir, "j.jsonl", c.more...)...)
		kept := stderr[strings.Index(stderr, "steplm: error"):]
		clitest.CheckFailure(t, c.part, kept, code, c.code, c.part)
		if stdout != "" {
			t.Errorf("%s: %q", c.part, stdout)
		}
		if got := clitest.Contents(t, path); got != c.text {
			t.Errorf("%s: the file was changed to %q", c.part, got)
		}
		write(t, path, before)
	}
}
