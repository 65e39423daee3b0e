package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
)

var update = flag.Bool("update", false, "rewrite golden files")

// asCommand makes the test binary the command itself: exit codes and both
// outputs are tested as another program sees them.
const asCommand = "STEPLM_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	switch os.Getenv(asCommand) {
	case "":
		os.Exit(m.Run())
	case childAborts:
		abort()
	case childHangs:
		time.Sleep(time.Hour)
	default:
		main()
	}
}

// callOf is a call that has yet to run.
func callOf(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), asCommand+"=1")
	return c
}

// call runs the command to its end.
func call(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return finish(t, callOf(t.Context(), args...), stdin)
}

func finish(t *testing.T, c *exec.Cmd, stdin string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &err
	if e := c.Run(); e != nil && !errors.As(e, new(*exec.ExitError)) {
		t.Fatalf("%v: %v", c.Args[1:], e)
	}
	return out.String(), err.String(), c.ProcessState.ExitCode()
}

// succeed runs the command and returns what it printed.
func succeed(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	stdout, stderr, code := call(t, stdin, args...)
	if code != 0 {
		t.Fatalf("steplm %s: exit code %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// fail checks that the command ends with a code and one line that holds parts.
func fail(t *testing.T, code int, parts []string, args ...string) {
	t.Helper()
	stdout, stderr, got := call(t, "", args...)
	checkFailure(t, strings.Join(args, " "), stderr, got, code, parts...)
	if stdout != "" {
		t.Errorf("steplm %s: failed and printed %q", strings.Join(args, " "), stdout)
	}
}

func checkFailure(t *testing.T, what, stderr string, got, code int, parts ...string) {
	t.Helper()
	if got != code {
		t.Errorf("steplm %s: exit code %d, want %d: %s", what, got, code, stderr)
	}
	if !strings.HasPrefix(stderr, "steplm: error: ") || strings.Count(stderr, "\n") != 1 ||
		!strings.HasSuffix(stderr, "\n") {
		t.Errorf("steplm %s: want one line on standard error, got %q", what, stderr)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("steplm %s: %q does not hold %q", what, stderr, part)
		}
	}
}

// devices are the --device of every device that tests run on.
func devices(t *testing.T) []string {
	t.Helper()
	list := []string{"host"}
	if len(gpu.Enumerate()) > 0 {
		list = append(list, os.Getenv("STEPLM_DEVICE"))
	} else if os.Getenv("STEPLM_GPU") == "require" {
		t.Fatal("STEPLM_GPU=require: ", gpu.NoAdapterHelp)
	}
	return list
}

// text is something for a small tokenizer and a small model.
const text = "The cat sat on the mat. The dog sat on the log. Where did the cat go? The cat ran to the dog; the dog " +
	"ran to the cat.\n"

// randomModel is a directory with an untrained model of 32 positions and, for
// its ids, a tokenizer of 270 to 280 of them.
func randomModel(t *testing.T, vocab int) string {
	t.Helper()
	parent := t.TempDir()
	d, err := checkpoint.Begin(parent, "model")
	if err != nil {
		t.Fatal(err)
	}
	c := model.Config{Hidden: 16, FFN: 24, Layers: 2, Heads: 4, KVHeads: 2, Vocab: vocab, MaxSeqLen: 32, NormEps: 1e-5,
		RopeTheta: 10000, Tied: true}
	m, err := model.New(gpu.NewHost(), model.Plain(c, c.Layers).ForInference())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := m.Init(1, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteHF(d, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "model")
	corpus := writeFile(t, "corpus.txt", text)
	succeed(t, "", "tokenizer", "train", "--data", corpus, "--vocab", "280", "--out",
		filepath.Join(dir, "tokenizer.json"))
	return dir
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args  []string
		parts []string
	}{
		{nil, []string{"plan", "run `steplm --help`"}},
		{[]string{"paln"}, []string{"plan", "run `steplm --help`"}},
		{[]string{"plan", "--modle", "tiny"}, []string{"--modle", "--model", "run `steplm plan --help`"}},
		{[]string{"plan", "--layers", "many"}, []string{"--layers", "run `steplm plan --help`"}},
		{[]string{"plan", "--hidden", "64"}, []string{"--ffn, --layers, --heads, --vocab", "tiny",
			"run `steplm plan --help`"}},
		{[]string{"tokenizer", "encode"}, []string{"--tokenizer", "run `steplm tokenizer encode --help`"}},
		{[]string{"score", "--model", "x"}, []string{"--ids", "--text", "run `steplm score --help`"}},
		{[]string{"score", "--model", "x", "--ids", "1", "--text", "a"}, []string{"--ids", "--text", "together"}},
		{[]string{"score", "--model", "x", "--ids", "1", "--add-special"}, []string{"--add-special", "--text"}},
		{[]string{"score", "--model", "x", "--ids", "1,-2"}, []string{"-2"}},
		{[]string{"eval", "ppl", "--model", "x", "--wikitext", "y", "--stride", "8"},
			[]string{"--stride", "WikiText has its own"}},
		{[]string{"eval", "ppl", "--model", "x"}, []string{"--data", "--text", "--wikitext",
			"run `steplm eval ppl --help`"}},
	} {
		fail(t, 2, c.parts, c.args...)
	}
}

func TestHelpSucceeds(t *testing.T) {
	for _, command := range []string{"", "demo", "pretrain", "plan", "plot", "devices", "score", "eval ppl",
		"bench matmul", "bench attention", "bench step", "bench all", "tokenizer train", "tokenizer encode",
		"tokenizer decode"} {
		args := append(strings.Fields(command), "--help")
		if out := succeed(t, "", args...); !strings.Contains(out, "Usage: steplm "+command) {
			t.Errorf("steplm %s --help: %q", command, out)
		}
	}
}

func TestUnknownDevice(t *testing.T) {
	if len(devices(t)) == 1 {
		t.Skip(gpu.NoAdapterHelp)
	}
	fail(t, 1, []string{`"no such GPU"`, "host"}, "score", "--model", randomModel(t, 280), "--ids", "1,2", "--device",
		"no such GPU")
}

// What other programs and scripts give to pretrain stays there.
func TestPretrainFlags(t *testing.T) {
	help := succeed(t, "", "pretrain", "--help")
	for _, flag := range []string{
		"method", "stages", "rank", "model", "vocab", "data", "validation", "wikitext", "tokenizer", "tokens", "steps",
		"batch-size", "seq-len",
		"grad-accum", "lr", "seed", "out", "save-every", "keep", "eval-every", "eval-tokens", "resume", "device",
		"precision", "json",
	} {
		if !regexp.MustCompile(`(?m)^ +--` + flag + `(=| |$)`).MatchString(help) {
			t.Errorf("pretrain has no --%s", flag)
		}
	}
}

// A flag that the method does not heed is named, not ignored in silence.
func TestPretrainNamesUnusedFlags(t *testing.T) {
	m, run := newMaterial(t), newRun(t)
	for _, c := range []struct {
		method string
		given  []string
		want   string
	}{
		{"vanilla", []string{"--stages", "1", "--operator", "copy", "--lr", "1e-3", "--no-train-norms"},
			"steplm: warning: --rank, --operator, --train-norms: of no effect with --method vanilla\n"},
		{"step", []string{"--operator", "copy", "--no-train-norms"}, ""},
	} {
		args := m.pretrain(filepath.Join(run, c.method), append([]string{"--method", c.method, "--device", "host"},
			c.given...)...)
		if _, stderr, code := call(t, "", args...); code != 0 || stderr != c.want {
			t.Errorf("%s: exit code %d, standard error %q, want %q", c.method, code, stderr, c.want)
		}
	}
}
