package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data"
	"steplm/data/corpus"
	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// smallSteps are of 256 tokens, which an example of instructions has: what a step computes is no matter here.
const smallSteps = "--seq-len 256 --batch-size 1"

// The pages whose commands run, in this order in one folder: a page may use what one before it made.
// shorten has pairs of what stands on a page and what is run instead, which takes seconds. The commands of long pages
// are run where all is wanted, and else only read.
var commandPages = []struct {
	page    string
	shorten []string
	long    bool
}{
	{page: "README.md", shorten: []string{"--vocab 4096", "--vocab 512"}},
	{page: "docs/running.md", shorten: []string{
		"--vocab 4096", "--vocab 512", "--steps 300", "--steps 8 " + smallSteps, "--steps 40 --save-every 20",
		"--steps 8 --save-every 4", "--sample-every 20", "--sample-every 4", "--steps 40 --out",
		"--steps 4 " + smallSteps + " --out",
		"bench matmul", "bench matmul --no-tune --seconds 0.1", "bench attention --batch 8", "bench attention " +
			"--no-tune --steps 1 --batch 1",
		"bench step --model 15m", "bench step --no-tune --steps 1 --batch-size 1 --model tiny",
	}},
	{page: "docs/sft.md", shorten: []string{"--epochs 2", "--epochs 1", "--epochs 4", "--epochs 2"}},
	{page: "docs/rounds.md", shorten: []string{"--model tiny", "--hidden 32 --ffn 64 --layers 4 --heads 2",
		"--steps 400", "--steps 200"}},
	{page: "docs/tasks.md"},
	{page: "docs/experiments.md", shorten: []string{"paper-table --scale small", "pilot --scale toy"}},
	{page: "docs/export.md"},
	{page: "docs/report.md"},
	{page: "docs/mtbench.md"},
	{page: "docs/data.md"},
	{page: "docs/results/README.md", shorten: []string{"paper-table --scale small", "pilot --scale toy"}},
	{page: "docs/memory.md", long: true, shorten: []string{
		"--hidden 96 --ffn 336 --layers 8 --heads 4", "--hidden 32 --ffn 64 --layers 4 --heads 2", "--steps 300",
		"--steps 4", "--seq-len 128 --batch-size 4", "--seq-len 64 --batch-size 2", "--seq-len 128 --batch-size 1",
		"--seq-len 64 --batch-size 2",
		"--model 368m", "--model tiny", "--model 1.2b", "--model tiny", "--vocab 32000", "--vocab 640", "--rank 64",
		"--rank 4", "--split 10,8,6", "--split 3,2,1", "--rank 128", "--rank 4", "--split 16,6,2", "--split 3,2,1",
	}},
	{page: "docs/benchmarks.md"},
	{page: "docs/architecture.md"},
}

// Of `go build` nothing is left to do here; of Go's tests and benchmarks it is shown that they are there.
const shellFunctions = `go() {
    if [ "$1" = build ]; then return; fi
    local package=$2 kind pattern
    while [ $# -gt 0 ]; do
        if [ "$1" = -run ]; then kind=Test pattern=$2; fi
        if [ "$1" = -bench ]; then kind=Benchmark pattern=$2; break; fi
        shift
    done
    (cd "$ROOT" && command go test "$package" -list "$pattern") | grep "^$kind"
}
`

// The documents' commands work as they stand there, on the embedded corpus in place of $DATA and with
// fewer tokens. What they build and install, CI does.
func TestDocumentsCommands(t *testing.T) {
	ci := clitest.Contents(t, "../../.ci/run")
	var pages []string
	for _, page := range documents(t) {
		if shellBlock.MatchString(clitest.Contents(t, "../../"+page)) {
			pages = append(pages, page)
		}
	}
	scripts := map[string]string{}
	for _, p := range commandPages {
		text := clitest.Contents(t, "../../"+p.page)
		if !slices.Contains(pages, p.page) {
			t.Errorf("%s has no sh block", p.page)
		}
		pages = slices.DeleteFunc(pages, func(page string) bool { return page == p.page })
		scripts[p.page] = shortened(t, p.page, pageScript(t, p.page, text, ci), p.shorten)
	}
	if len(pages) > 0 {
		t.Errorf("%v have sh blocks that nothing runs: say in commandPages how", pages)
	}
	if n := strings.Count(scripts["README.md"], "bin/steplm"); n < 7 {
		t.Fatalf("found %d uses of bin/steplm in the README's sh blocks", n)
	}

	if len(clitest.Devices(t)) == 1 {
		t.Skip("the commands name no device: ", gpu.NoAdapterHelp)
	}
	dir := commandFolder(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range commandPages {
		as := "1"
		if p.long && !gputest.All() {
			as = onlyReads
		}
		c := exec.CommandContext(t.Context(), "bash", "-euxo", "pipefail", "-c", shellFunctions+scripts[p.page])
		c.Dir = dir
		c.Env = append(os.Environ(), "DATA="+filepath.Join(dir, "data"), "ROOT="+root, clitest.AsCommand+"="+as)
		start := time.Now()
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", p.page, err, out)
		}
		t.Logf("%s: %s", p.page, time.Since(start).Round(time.Second))
	}
}

// The plan that a page shows is the program's.
func TestDocumentsPlan(t *testing.T) {
	plan := clitest.Succeed(t, "", "plan", "--model", "368m", "--stages", "2", "--rank", "64")
	if !strings.Contains(clitest.Contents(t, "../../docs/running.md"), plan) {
		t.Errorf("docs/running.md does not show what plan prints:\n%s", plan)
	}
}

// pageScript is a page's commands but for those that CI runs, which must be there. A block is one
// or the other.
func pageScript(t *testing.T, page, text, ci string) string {
	t.Helper()
	var script strings.Builder
	for _, m := range shellBlock.FindAllStringSubmatch(text, -1) {
		if strings.Contains(m[1], "bin/steplm") || strings.Contains(m[1], "go test") {
			script.WriteString(m[1])
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(m[1]), "\n") {
			if command, _, _ := strings.Cut(line, "#"); !strings.Contains(ci, strings.TrimSpace(command)) {
				t.Errorf("%s says %q, which CI does not run", page, strings.TrimSpace(command))
			}
		}
	}
	return script.String()
}

// shortened replaces what takes long, and refuses a replacement of what is not there.
func shortened(t *testing.T, page, script string, pairs []string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(script, pairs[i]) {
			t.Errorf("%s: no command has %q to be shortened", page, pairs[i])
		}
	}
	short := regexp.MustCompile(`--tokens \d+`).ReplaceAllString(script, "--tokens 1024 --max-seq-len 256 "+smallSteps)
	return strings.NewReplacer(pairs...).Replace(short)
}

// commandFolder makes a folder with bin/steplm, which is this program, and the data.
func commandFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	readmeData(t, filepath.Join(dir, "data"))
	for _, sub := range []string{"bin", "docs"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %q \"$@\"\n", self)
	if err := os.WriteFile(filepath.Join(dir, "bin", "steplm"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readmeData makes what the documents call $DATA.
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
	if err := datatest.WriteShard(filepath.Join(dir, "validation", "0.parquet"), docs,
		datatest.WriteOptions{}); err != nil {
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
