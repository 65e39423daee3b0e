package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"steplm/data"
	"steplm/data/corpus"
	"steplm/data/datatest"
	"steplm/gpu"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The README's commands work as they stand there, on the embedded corpus in
// place of $DATA and with fewer tokens. What they build and install, CI does.
func TestReadmeCommands(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	ci, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, m := range shellBlock.FindAllStringSubmatch(string(readme), -1) {
		if strings.Contains(m[1], "bin/steplm") {
			script.WriteString(m[1])
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(m[1]), "\n") {
			if command, _, _ := strings.Cut(line, "#"); !strings.Contains(string(ci), strings.TrimSpace(command)) {
				t.Errorf("the README says %q, which CI does not run", strings.TrimSpace(command))
			}
		}
	}
	if n := strings.Count(script.String(), "bin/steplm"); n < 8 {
		t.Fatalf("found %d uses of bin/steplm in the README's sh blocks", n)
	}

	if plan := succeed(t, "", "plan", "--model", "368m", "--stages", "2", "--rank", "64"); !strings.Contains(string(readme), plan) {
		t.Errorf("the README does not show what plan prints:\n%s", plan)
	}

	if len(devices(t)) == 1 {
		t.Skip("the commands name no device: ", gpu.NoAdapterHelp)
	}
	dir := t.TempDir()
	readmeData(t, filepath.Join(dir, "data"))
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	wrapper := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", asCommand, self)
	if err := os.WriteFile(filepath.Join(dir, "bin", "steplm"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	short := regexp.MustCompile(`--tokens \d+`).ReplaceAllString(script.String(), "--tokens 6144")
	short = strings.NewReplacer("--vocab 4096", "--vocab 512", "for seed in 1 2", "for seed in 1",
		"bench matmul", "bench matmul --no-tune --seconds 0.1", "bench attention --batch 8", "bench attention --no-tune --steps 1 --batch 1",
		"bench step --model 15m", "bench step --no-tune --steps 1 --batch-size 1 --model tiny").Replace(short)
	c := exec.CommandContext(t.Context(), "bash", "-euxo", "pipefail", "-c", "go() { :; }\n"+short)
	c.Dir = dir
	c.Env = append(os.Environ(), "DATA="+filepath.Join(dir, "data"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// readmeData makes what the README calls $DATA.
func readmeData(t *testing.T, dir string) {
	t.Helper()
	if err := corpus.Extract(dir); err != nil {
		t.Fatal(err)
	}
	var docs []datatest.Row
	shards, err := data.Open(filepath.Join(dir, corpus.Validation))
	if err != nil {
		t.Fatal(err)
	}
	for d, err := range shards.Documents(data.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if docs = append(docs, datatest.Row{Text: d.Text}); len(docs) == 4 {
			break
		}
	}
	for _, sub := range []string{"train", "validation"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := datatest.WriteShard(filepath.Join(dir, "validation", "0.parquet"), docs, datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	train, err := filepath.Glob(filepath.Join(dir, corpus.Train))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range train {
		if err := os.Rename(f, filepath.Join(dir, "train", filepath.Base(f))); err != nil {
			t.Fatal(err)
		}
	}
	page := " \n = The cat = \n \n The cat sat on the mat , and the dog @-@ like cat ran . \n"
	if err := os.WriteFile(filepath.Join(dir, "wiki.test.raw"), []byte(page+page), 0o644); err != nil {
		t.Fatal(err)
	}
}
