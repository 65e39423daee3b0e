package serve_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
)

// started is the command, as another program starts it, once it says where it is.
func started(t *testing.T, env []string, args ...string) (c *exec.Cmd, url string, stderr *bytes.Buffer) {
	t.Helper()
	c = clitest.CallOf(t.Context(), append([]string{"serve", "--device", "host", "--port", "0"}, args...)...)
	c.Env = append(c.Env, env...)
	out, err := c.StdoutPipe()
	stderr = &bytes.Buffer{}
	c.Stderr = stderr
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.Wait()
		t.Fatalf("%v: %s", err, stderr)
	}
	go io.Copy(io.Discard, out)
	says := regexp.MustCompile(`^model is served at (http://127\.0\.0\.1:\d+)[,:] .*Ctrl-C ends it\n$`)
	m := says.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("it says %q", line)
	}
	return c, m[1], stderr
}

// ends interrupts a command that serves, and checks that this is no error.
func ends(t *testing.T, c *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%v: %s", err, stderr)
	}
}

// What other programs and scripts give to serve stays there: --model, --host, --port, --api-key-file.
func TestCommand(t *testing.T) {
	dir := clitest.RandomModel(t, 280)
	key := clitest.WriteFile(t, "key.txt", "from-the-file\n")
	for _, x := range []struct {
		env  []string
		args []string
		key  string
	}{
		{nil, nil, ""},
		{[]string{"STEPLM_API_KEY=of-the-environment"}, nil, "of-the-environment"},
		{[]string{"STEPLM_API_KEY=of-the-environment"}, []string{"--api-key-file", key}, "from-the-file"},
	} {
		c, url, stderr := started(t, x.env, append([]string{"--model", dir, "--host", "localhost"}, x.args...)...)
		for given, want := range map[string]int{"": 401, "wrong": 401, x.key: 200} {
			if x.key == "" {
				want = 200
			}
			r, err := http.NewRequest("POST", url+"/v1/completions", strings.NewReader(
				`{"model": "model", "prompt": [1, 2], "max_tokens": 3}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+given)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("with the key %q: %d %s", given, answer.StatusCode, body)
			}
		}
		ends(t, c, stderr)
		if said := stderr.String(); x.key != "" && strings.Contains(said, x.key) || !strings.Contains(said, "Alpaca") {
			t.Errorf("it says %q", said)
		}
	}
}

func TestCommandRefuses(t *testing.T) {
	dir := clitest.RandomModel(t, 280)
	empty := clitest.WriteFile(t, "empty.txt", " \n")
	blank := clitest.WriteFile(t, "blank.txt", "two words")
	serve := func(args ...string) []string {
		return append([]string{"serve", "--model", dir, "--device", "host", "--port", "0"}, args...)
	}
	for _, c := range []struct {
		code  int
		parts []string
		args  []string
	}{
		{2, []string{"--host 0.0.0.0", "--api-key-file", "STEPLM_API_KEY"}, serve("--host", "0.0.0.0")},
		{2, []string{"--host ::"}, serve("--host", "::")},
		{2, []string{"--port 65536"}, serve("--port", "65536")},
		{2, []string{"--queue-time 0s", "above 0"}, serve("--queue-time", "0s")},
		{2, []string{"--client-time"}, serve("--client-time", "soon")},
		{2, []string{"--end-time -1s"}, serve("--end-time=-1s")},
		{2, []string{"--max-sequences 9", "--max-queue is 8"}, serve("--max-sequences", "9", "--max-queue", "8")},
		{2, []string{"--slots 0"}, serve("--slots", "0")},
		{1, []string{"has no key"}, serve("--api-key-file", empty)},
		{1, []string{blank, "is no key"}, serve("--api-key-file", blank)},
		{1, []string{"nowhere.txt"}, serve("--api-key-file", "nowhere.txt")},
		{1, []string{"no such run or model"}, []string{"serve", "--model", "nowhere"}},
		{1, []string{"context of 99", "32"}, serve("--context", "99")},
		{1, []string{"nowhere.jinja"}, serve("--template", "nowhere.jinja")},
	} {
		clitest.Fail(t, c.code, c.parts, c.args...)
	}
	_, url, _ := started(t, nil, "--model", dir)
	taken := url[strings.LastIndex(url, ":")+1:]
	clitest.Fail(t, 1, []string{"port " + taken, "127.0.0.1", "in use"}, serve("--template", "alpaca", "--port",
		taken)...)
}

// A server that is interrupted while it answers lets its clients have their answers, and what takes too long is cut,
// which is an error.
func TestCommandIsInterrupted(t *testing.T) {
	dir := clitest.RandomModel(t, 280)
	c, url, stderr := started(t, nil, "--model", dir, "--end-time", "0s", "--slots", "1", "--max-requests", "300")
	const body = `{"prompt": [1], "max_tokens": 31, "n": 200, "ignore_eos": true, "stream": true}`
	answer, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(text), "the server is ending") {
		t.Errorf("%v: %s", err, text[max(0, len(text)-200):])
	}
	over := make(chan error, 1)
	go func() { over <- c.Wait() }()
	select {
	case <-over:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	said := stderr.String()
	said = said[strings.Index(said, "steplm: error"):]
	clitest.CheckFailure(t, "serve", said, c.ProcessState.ExitCode(), 1, "1, after 0s")
}
