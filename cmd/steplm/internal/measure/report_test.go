package measure

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
)

// Real runs, of two methods and two seeds, become a report; one that was begun and killed is named.
func TestReport(t *testing.T) {
	m, dir := clitest.NewMaterial(t), t.TempDir()
	for _, run := range [][]string{
		{"vanilla-1", "--method", "vanilla", "--seed", "1"}, {"vanilla-2", "--method", "vanilla", "--seed", "2"},
		{"step-1", "--seed", "1"}, {"step-2", "--seed", "2"},
	} {
		args := m.Pretrain(filepath.Join(dir, run[0]), m.Evaluated(append(run[1:], "--device", "host")...)...)
		clitest.Succeed(t, "", args...)
	}
	killed := filepath.Join(dir, "step-2", "metrics.jsonl")
	text := clitest.Contents(t, killed)
	if err := os.WriteFile(killed, []byte(text[:len(text)/2]), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "a report")
	if got, want := clitest.Succeed(t, "", "report", dir, "--out", out), "the report of 4 runs is in "+
		filepath.Join(out, "index.html")+"\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	markdown := clitest.Contents(t, out, "report.md")
	for _, want := range []string{`(?m)^\| vanilla \| 0.01 \| 2 \| 256 \| [0-9.]+ ± [0-9.]+ \| – \| [0-9.,]+ ± [0-9.,]+ \|`,
		`(?m)^\| step K=2 \| 0.01 \| \*\*1 of 2\*\* \| 256 \| [0-9.]+ \| [+−][0-9.]+ \|`,
		`unfinished: \d of 8 steps are done`,
		`(?m)^\| step-1 .*\| done \| host `, `steplm pretrain --config \S+/step-1/spec.json --out `} {
		if !regexp.MustCompile(want).MatchString(markdown) {
			t.Errorf("no %s in\n%s", want, markdown)
		}
	}
	if page := clitest.Contents(t, out, "index.html"); !strings.Contains(page, "growth after step 3: 2 to 4 layers") {
		t.Error("the page does not have the growth")
	}
	if csv := clitest.Contents(t, out, "results.csv"); strings.Count(csv, "\n") != 5 ||
		!strings.HasPrefix(csv, "experiment,run,method,optimizer,stages,seed,lr,tokens,") {
		t.Errorf("the table is\n%s", csv)
	}
	// What it says to repeat a run repeats it.
	again := filepath.Join(t.TempDir(), "again")
	clitest.Succeed(t, "", "pretrain", "--config", filepath.Join(dir, "step-1", "spec.json"), "--out", again,
		"--device", "host")
	if clitest.LossLines(t, again) != clitest.LossLines(t, filepath.Join(dir, "step-1")) {
		t.Error("another run came of the command that repeats one")
	}
	serveIt(t, dir, filepath.Join(t.TempDir(), "served"))
}

// serveIt serves a report until it is interrupted, which is no error.
func serveIt(t *testing.T, dir, out string) {
	t.Helper()
	c := clitest.CallOf(t.Context(), "report", dir, "--out", out, "--serve")
	var complaint strings.Builder
	c.Stderr, c.WaitDelay = &complaint, 10*time.Second
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatalf("it says nothing: %s", &complaint)
	}
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text())
	answer, err := http.Get(url + "/")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || !strings.Contains(string(page), ">step-1<") {
		t.Errorf("the page is %.200q, %v", page, err)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		c.Process.Kill()
		t.Skip("this system cannot interrupt a process: ", err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("interrupted, it ends with %v: %s", err, &complaint)
	}
	if _, err := os.Stat(filepath.Join(out, "index.html")); err != nil {
		t.Error(err)
	}
}

func TestReportErrors(t *testing.T) {
	empty := t.TempDir()
	run := metricsRun(t, "run", 4)
	for _, c := range []struct {
		code  int
		parts []string
		args  []string
	}{
		{2, []string{"<dir>"}, []string{"--out", empty}},
		{2, []string{"--out"}, []string{empty}},
		{2, []string{"--port 80", "--serve"}, []string{run, "--out", empty, "--port", "80"}},
		{2, []string{"--port", "65535"}, []string{run, "--out", empty, "--serve", "--port", "70000"}},
		{1, []string{"no run to report", empty, "holds no run"}, []string{empty, "--out", filepath.Join(empty, "out")}},
		{1, []string{"no run to report", "gone", "no such file"},
			[]string{filepath.Join(empty, "gone"), "--out", empty}},
		{1, []string{"an experiment"}, []string{run, "--out", experimentDir(t)}},
	} {
		clitest.Fail(t, c.code, c.parts, append([]string{"report"}, c.args...)...)
	}
	if got := clitest.Entries(t, empty); len(got) > 0 {
		t.Errorf("%q are left", got)
	}
}

// experimentDir is a folder as an experiment leaves it.
func experimentDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "runs"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
