package report

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"steplm/stage/record"
)

// served shows the runs below a folder until the test ends, and returns where.
func served(t *testing.T, dir, out string) (url string, stop func() error) {
	t.Helper()
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s := &Server{Reader: &Reader{Dirs: []string{dir}, Live: true}, Folder: out, Every: 5 * time.Millisecond}
	go func() { ended <- s.Serve(ctx, l) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			return fmt.Errorf("the server does not end")
		}
	}
	t.Cleanup(func() { stop() })
	return "http://" + l.Addr().String(), stop
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// lengthen adds a step's line to a run's metrics.
func lengthen(t *testing.T, folder string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(folder, record.File), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line, err := record.Encode(
		record.Metrics{Step: steps + 1, Stage: 1, Loss: 1.25, Tokens: 10_000, TokensPerSecond: 8},
	)
	if err == nil {
		_, err = f.Write(line)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A served report is this machine's alone, is renewed when a run goes on, tells pages of it, those too that were away,
// and ends when it is told to, with pages still listening.
func TestServe(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	m := made{name: "a-run", method: "vanilla", seed: 1, lr: 0.01, end: 4, perplexity: 10, peak: gib}
	folder := m.write(t, dir)
	url, stop := served(t, dir, out)
	if host, _, err := net.SplitHostPort(strings.TrimPrefix(url, "http://")); err != nil ||
		!net.ParseIP(host).IsLoopback() {
		t.Errorf("it listens at %s", url)
	}
	answer, page := get(t, url)
	if answer.StatusCode != http.StatusOK || !strings.Contains(page, ">a-run<") ||
		!strings.Contains(page, `"live":true`) ||
		!strings.Contains(answer.Header.Get("Content-Security-Policy"), "connect-src 'self'; frame-ancestors 'none'") {
		t.Errorf("%s %v\n%s", answer.Status, answer.Header, page[:min(len(page), 400)])
	}
	for path, want := range map[string]int{"/none": http.StatusNotFound, "/index.html": http.StatusNotFound} {
		if answer, _ := get(t, url+path); answer.StatusCode != want {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
	asked, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked.Host = "elsewhere.example"
	if answer, err := http.DefaultClient.Do(asked); err != nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("a request for another host: %v, %v", answer, err)
	}

	stream := func(last string) *bufio.Reader {
		asked, err := http.NewRequest("GET", url+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		if last != "" {
			asked.Header.Set("Last-Event-ID", last)
		}
		answer, err := http.DefaultClient.Do(asked)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return bufio.NewReader(answer.Body)
	}
	event := func(r *bufio.Reader) (name, id string) {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if rest, ok := strings.CutPrefix(line, "event: "); ok {
				name = strings.TrimSpace(rest)
			}
			if rest, ok := strings.CutPrefix(line, "id: "); ok {
				id = strings.TrimSpace(rest)
			}
			if line == "\n" {
				return name, id
			}
		}
	}
	listening := stream("")
	name, id := event(listening)
	if name != "hello" {
		t.Errorf("the first event is %q", name)
	}
	lengthen(t, folder)
	if name, now := event(listening); name != "changed" || now == id {
		t.Errorf("a run that goes on: event %q, %s after %s", name, now, id)
	}
	if name, _ := event(stream(id)); name != "changed" {
		t.Errorf("a page that was away hears %q", name)
	}
	if _, page := get(t, url); !strings.Contains(page, "1.25") {
		t.Error("the page does not have the new step")
	}
	text, err := os.ReadFile(filepath.Join(out, PageFile))
	if err != nil || !strings.Contains(string(text), "1.25") || strings.Contains(string(text), `"live":true`) {
		t.Errorf("the file is not renewed, or asks a server: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("it still answers")
	}
}

// A folder without runs is served too: they may come. A port that is taken is an error.
func TestServeBeforeTheFirstRun(t *testing.T) {
	dir := t.TempDir()
	url, stop := served(t, dir, t.TempDir())
	if answer, page := get(t, url); answer.StatusCode != http.StatusOK || !strings.Contains(page, "0 runs") {
		t.Errorf("%s", answer.Status)
	}
	var port int
	if _, err := fmt.Sscanf(url, "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(port); err == nil || !strings.Contains(err.Error(), fmt.Sprint(port)) {
		t.Errorf("error %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
