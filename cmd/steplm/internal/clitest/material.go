package clitest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data"
	"steplm/data/corpus"
	"steplm/data/datatest"
)

// Material is what small runs read: the embedded corpus, a tokenizer of 300 ids
// trained on it, four held-out documents and two pages of WikiText.
type Material struct{ Train, Validation, Wikitext, Tokenizer string }

const WikiPages = " \n = One = \n \n The cat sat on the mat . \n It was warm there . \n \n = Two = \n \n The dog sat " +
	"on the log , too . \n"

func NewMaterial(t *testing.T) Material {
	t.Helper()
	dir := t.TempDir()
	if err := corpus.Extract(dir); err != nil {
		t.Fatal(err)
	}
	m := Material{
		Train: filepath.Join(dir, corpus.Train), Validation: filepath.Join(dir, "held-out.parquet"),
		Wikitext: WriteFile(t, "wiki.raw", WikiPages), Tokenizer: filepath.Join(dir, "tokenizer.json"),
	}
	Succeed(t, "", "tokenizer", "train", "--data", m.Train, "--vocab", "300", "--out", m.Tokenizer)
	held, err := data.Open(filepath.Join(dir, corpus.Validation))
	if err != nil {
		t.Fatal(err)
	}
	var rows []datatest.Row
	for d, err := range held.Documents(data.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if rows = append(rows, datatest.Row{Text: d.Text}); len(rows) == 4 {
			break
		}
	}
	if err := datatest.WriteShard(m.Validation, rows, datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return m
}

// Pretrain is a command line for a very small model that grows from 2 to 4
// layers after 3 of 8 steps. Flags given take the place of its own; a method
// too, which then has no stages unless they are given.
func (m Material) Pretrain(out string, flags ...string) []string {
	args := []string{"pretrain"}
	given := func(flag string) bool {
		return slices.ContainsFunc(flags, func(f string) bool { return f == flag || strings.HasPrefix(f, flag+"=") })
	}
	for _, f := range [][2]string{
		{"--stages", "2"}, {"--method", "step"}, {"--rank", "2"},
		{"--hidden", "16"}, {"--ffn", "24"}, {"--layers", "4"}, {"--heads", "2"}, {"--kv-heads", "1"}, {"--max-seq-len",
			"64"},
		{"--data", m.Train}, {"--tokenizer", m.Tokenizer}, {"--out", out},
		{"--steps", "8"}, {"--batch-size", "2"}, {"--seq-len", "16"}, {"--lr", "1e-2"},
	} {
		if !given(f[0]) && !(f[0] == "--stages" && given("--method")) {
			args = append(args, f[0], f[1])
		}
	}
	return append(args, flags...)
}

// Evaluated has the run measure both sets too.
func (m Material) Evaluated(more ...string) []string {
	return append([]string{"--validation", m.Validation, "--wikitext", m.Wikitext, "--eval-tokens", "64"}, more...)
}

func NewRun(t *testing.T) string { return filepath.Join(t.TempDir(), "run") }

// StopAt runs a call until it prints a line that satisfies at, sends it a
// signal, and returns how it ended.
func StopAt(t *testing.T, c *exec.Cmd, signal os.Signal, at func(line string) bool) (stdout, stderr string, code int) {
	t.Helper()
	child, reached := StartChild(t, c), false
	for s := bufio.NewScanner(child.Out); s.Scan(); {
		stdout += s.Text() + "\n"
		if !reached && at(s.Text()) {
			reached = true
			child.Interrupt(signal)
		}
	}
	c.Wait()
	if !reached {
		t.Fatalf("%v ended before it was stopped: %s%s", c.Args[1:], stdout, &child.Complaint)
	}
	return stdout, child.Complaint.String(), c.ProcessState.ExitCode()
}
