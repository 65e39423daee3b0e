//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeKit is a kit whose programs are scripts of a shell.
func fakeKit(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir, from := t.TempDir(), t.TempDir()
	for name, script := range programs {
		write(t, filepath.Join(from, name), "#!/bin/sh\n"+script+"\n")
	}
	if err := (&packCmd{From: from, To: filepath.Join(dir, programsFile)}).Run(); err != nil {
		t.Fatal(err)
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

// runKit runs a kit with stages alone.
func runKit(t *testing.T, dir string, c runCmd) (read map[string]any, page string, err error) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	c.Out = filepath.Join(t.TempDir(), "out")
	k, err := newKit(dir, &c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	err = k.run(t.Context())
	k.close()
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "gpu-kit-*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	return readSummary(t, c.Out), contents(t, filepath.Join(c.Out, "summary.md")), err
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readSummary(t *testing.T, out string) (read map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(contents(t, filepath.Join(out, "summary.json"))), &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// part is a stage of a summary that was read back.
func part(t *testing.T, read map[string]any, name string) map[string]any {
	t.Helper()
	for _, s := range read["stages"].([]any) {
		if s := s.(map[string]any); s["name"] == name {
			return s
		}
	}
	t.Fatalf("no stage %s in %v", name, read)
	return nil
}

const fakeDevices = `echo '{"devices":[{"index":0,"name":"Card 7","driver":"1.2","backend":"vulkan","kind":"discrete","ok":true,"max_buffer_bytes":4096}]}'`

// Without a device the kit ends after the self-test, with the loader's own words for why.
func TestNoDevice(t *testing.T) {
	dir := fakeKit(t, map[string]string{"steplm": `[ -z "$VK_LOADER_DEBUG" ] || echo "ERROR:   Could not get 'vkCreateInstance' for ICD libcard.so" >&2
echo "steplm: error: no GPU" >&2; exit 1`})
	read, page, err := runKit(t, dir, runCmd{Minutes: 1, Strict: true})
	if err == nil {
		t.Error("--strict passes without a device")
	}
	if s := part(t, read, "selftest"); s["status"] != failed || !strings.Contains(fmt.Sprint(s["note"]), "no GPU") ||
		runtime.GOOS == "linux" && !strings.Contains(fmt.Sprint(s["failures"]), "libcard.so") {
		t.Errorf("%v", s)
	}
	for _, name := range []string{"tests", "steps", "experiment"} {
		if s := part(t, read, name); s["status"] != skipped || s["note"] != "there is no device" {
			t.Errorf("%v\n%s", s, page)
		}
	}
}

// A stage that hangs is cut off with all it started, what it found is kept, and the next one runs.
func TestStagesAreBounded(t *testing.T) {
	dir := fakeKit(t, map[string]string{"steplm": `case "$1 $2" in
"devices --json") ` + fakeDevices + ` ;;
"devices tune") echo '{"classes":[{"class":"c","variant":"v","gflops":30,"default_gflops":20,"tried":4,"excluded":["x: other bits than v"]}]}' ;;
"bench matmul") sleep 1000 & sleep 1000 ;;
"bench step") echo '{"peak_gflops":9,"ledger_peak_bytes":7,"stages":[{"name":"vanilla","tokens_per_second":5,"step_seconds":0.1}]}' ;;
*) echo "no $1" >&2; exit 1 ;; esac`})
	began := time.Now()
	read, page, err := runKit(t, dir, runCmd{Minutes: 4.0 / 60, Only: []string{"selftest", "rates", "steps"},
		Size: "auto", Peak: 60})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("4 s took %s", took)
	}
	if read["device"] != "Card 7" || read["driver"] != "vulkan 1.2" {
		t.Errorf("%v", read)
	}
	for name, want := range map[string]string{"selftest": passed, "rates": cutOff, "steps": passed} {
		s := part(t, read, name)
		if s["status"] != want || !(s["seconds"].(float64) >= 0) {
			t.Errorf("%s: %v, want %s", name, s, want)
		}
	}
	figures := part(t, read, "rates")["figures"].(map[string]any)
	if figures["tuned_f32_best_gflops"] != 30.0 || figures["tuned_f32_largest_gain"] != 1.5 ||
		figures["peak_gflops"] != 60.0 {
		t.Errorf("figures of a stage that was cut off: %v", figures)
	}
	if f := part(t, read, "rates")["failures"].([]any); len(f) != 1 ||
		!strings.Contains(f[0].(string), "other bits than v") {
		t.Errorf("failures %v", f)
	}
	if f := part(t, read, "steps")["figures"].(map[string]any); f["368m_bf16_vanilla_tokens_per_second"] != 5.0 {
		t.Errorf("a GPU steps the large models: %v", f)
	}
	for _, text := range []string{"# steplm on Card 7", "| Tuner, products and attention | cut off |",
		"tuned f32 best gflops | 30 |"} {
		if !strings.Contains(page, text) {
			t.Errorf("no %q in\n%s", text, page)
		}
	}
}

// goTests prints what `go test -v` would: A passes, B ends the process unless it is left out, and so does P behind the
// line that it failed, as with a panic; C fails, D is skipped.
const goTests = `skip=
for a in "$@"; do case $a in -test.skip=*) skip=$a ;; esac; done
left() { case $skip in *"$1"*) return 0 ;; esac; return 1; }
[ "$STEPLM_DATA" ] || { echo "=== RUN   TestData"; echo "--- FAIL: TestData (0.00s)"; }
left TestA || { echo "=== RUN   TestA"; echo "=== RUN   TestA/host"; echo "    --- PASS: TestA/host (0.00s)"; echo "--- PASS: TestA (0.01s)"; }
left TestB || { echo "=== RUN   TestB"; echo "the GPU library gave up" >&2; exit 1; }
left TestP || { echo "=== RUN   TestP"; echo "--- FAIL: TestP (0.00s)"; echo "panic: no such element" >&2; exit 2; }
left TestC || { echo "=== RUN   TestC"; echo "    c_test.go:3: 4 is not 5"; echo "--- FAIL: TestC (0.00s)"; }
left TestD || { echo "=== RUN   TestD"; echo "    d_test.go:9: no compiler"; echo "--- SKIP: TestD (0.00s)"; }
echo FAIL; exit 1`

// Tests that fail are listed, one that ends the process does not hide those after it, and a suite that does
// not start is an error.
func TestDeviceTestsAreListed(t *testing.T) {
	programs := map[string]string{"steplm": fakeDevices, "gpu.test": goTests,
		"wgsl.test": "echo '=== RUN   TestLong'; sleep 1000"}
	read, page, err := runKit(t, fakeKit(t, programs), runCmd{Minutes: 6.0 / 60, Only: []string{"tests"}, Size: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	s := part(t, read, "tests")
	if f := s["figures"].(map[string]any); f["tests_run"] != 4.0 || f["tests_failed"] != 3.0 {
		t.Errorf("%v", f)
	}
	want := []any{"gpu TestB: it ended the process: the GPU library gave up",
		"gpu TestP: it said nothing; log.txt has the run", "gpu TestC: c_test.go:3: 4 is not 5"}
	if got := fmt.Sprint(s["failures"]); got != fmt.Sprint(want) {
		t.Errorf("failures %v, want %v", got, want)
	}
	for _, text := range []string{"| gpu | 4 | 3 | 1 |", "cut off in TestLong",
		"- gpu TestC: c\\_test.go:3: 4 is not 5"} {
		if !strings.Contains(page, strings.ReplaceAll(text, "\\_", "_")) {
			t.Errorf("no %q in\n%s", text, page)
		}
	}
	programs["wgsl.test"] = "echo 'cannot open shared object' >&2; exit 127"
	if read, _, err = runKit(t, fakeKit(t, programs),
		runCmd{Minutes: 1, Only: []string{"tests"}, Strict: true}); err == nil ||
		!strings.Contains(err.Error(), "stage tests: failed") {
		t.Errorf("--strict: %v", err)
	}
	if s := part(t, read, "tests"); s["status"] != failed ||
		!strings.Contains(s["note"].(string), "cannot open shared object") {
		t.Errorf("%v", s)
	}
}

// Of a broken driver and a good one the good one is measured, by every stage and every test.
func TestFirstThatPassesIsMeasured(t *testing.T) {
	steplm := `case "$1 $2" in
"devices --json") echo '{"devices":[{"name":"plain Go","ok":true},{"index":0,"name":"Broken","ok":false,"note":"4 is not 5"},` +
		`{"index":1,"name":"Good","ok":true}]}' ;;
*) echo "$@" >&2; exit 1 ;; esac`
	tests := `echo "=== RUN   TestA"; echo "    a_test.go:1: device $STEPLM_DEVICE"; echo "--- FAIL: TestA (0.00s)"; exit 1`
	dir := fakeKit(t, map[string]string{"steplm": steplm, "gpu.test": tests})
	read, _, err := runKit(t, dir, runCmd{Minutes: 1, Only: []string{"selftest", "tests", "rates"}, Size: "small"})
	if err != nil {
		t.Fatal(err)
	}
	if s := part(t, read, "selftest"); read["device"] != "Good" || s["status"] != passed {
		t.Errorf("%v: %v", read["device"], s)
	}
	if got := fmt.Sprint(part(t, read, "tests")["failures"]); !strings.Contains(got, "device 1") {
		t.Errorf("tests ran on another: %s", got)
	}
	if got := fmt.Sprint(part(t, read, "rates")); !strings.Contains(got, "--device 1") {
		t.Errorf("rates are of another: %s", got)
	}
}

// A signal ends the kit in any stage; the summary has what was found until then.
func TestSignal(t *testing.T) {
	dir := fakeKit(t, map[string]string{"steplm": `if [ "$1" = devices ]; then ` + fakeDevices +
		`; else sleep 1000; fi`})
	write(t, filepath.Join(dir, "experiment.txt"), "score --text a # a comment\n\n")
	for _, stage := range []string{"rates", "steps", "steprun", "trace", "experiment"} {
		c := runCmd{Minutes: 10, Only: []string{"selftest", stage}, Size: "small",
			Out: filepath.Join(t.TempDir(), "out")}
		k, err := newKit(dir, &c, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		err = k.run(ctx)
		k.close()
		if err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("%s: error %v", stage, err)
		}
		read := readSummary(t, c.Out)
		if s := part(t, read, "selftest"); s["status"] != passed {
			t.Errorf("%s: %v", stage, s)
		}
		if s := part(t, read, stage); s["status"] != cutOff {
			t.Errorf("%v", s)
		}
	}
}

// Killed at once, a kit leaves the stage that ran and those before it.
func TestKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	pid := filepath.Join(t.TempDir(), "pid")
	dir := fakeKit(t, map[string]string{"steplm": `if [ "$1" = devices ]; then ` + fakeDevices +
		`; else kill -9 $(cat ` + pid + `); fi`})
	child, err := os.StartProcess(self, []string{self, "-test.run=^TestChild$"}, &os.ProcAttr{
		Env: append(os.Environ(), "GPUKIT_CHILD="+dir, "GPUKIT_OUT="+out, "GPUKIT_PID="+pid), Files: []*os.File{nil,
			os.Stderr, os.Stderr},
	})
	if err != nil {
		t.Fatal(err)
	}
	state, err := child.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if w, ok := state.Sys().(syscall.WaitStatus); !ok || !w.Signaled() {
		t.Fatalf("it was not killed: %v", state)
	}
	read := readSummary(t, out)
	for name, want := range map[string]string{"selftest": passed, "rates": running, "steps": waiting} {
		if s := part(t, read, name); s["status"] != want {
			t.Errorf("%s: %v, want %s", name, s, want)
		}
	}
}

// TestChild is the kit that TestKilled kills.
func TestChild(t *testing.T) {
	dir := os.Getenv("GPUKIT_CHILD")
	if dir == "" {
		t.Skip("it is TestKilled's child")
	}
	write(t, os.Getenv("GPUKIT_PID"), fmt.Sprint(os.Getpid()))
	k, err := newKit(dir, &runCmd{Minutes: 1, Only: []string{"selftest", "rates", "steps"},
		Out: os.Getenv("GPUKIT_OUT")}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(k.run(t.Context()))
}

func TestBadCommandLines(t *testing.T) {
	for _, args := range [][]string{
		{"--minutes", "0"}, {"--minutes", "NaN"}, {"--skip", "nonsense"}, {"--only", "steps,nonsense"},
		{"--loader", "/no/such/file"}, {"--size", "huge"}, {"--nonsense"},
	} {
		if code := run(append([]string{"--out", t.TempDir()}, args...)); code != 2 {
			t.Errorf("%v: exit code %d, want 2", args, code)
		}
	}
	if code := run([]string{"--out", t.TempDir()}); code != 1 { // The test's own folder is no kit.
		t.Errorf("a folder without programs: exit code %d, want 1", code)
	}
}
