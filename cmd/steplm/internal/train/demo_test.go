package train

import (
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/view"
	"steplm/data"
	"steplm/data/corpus"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// startDemo runs the demo until its training begins, then presses Ctrl-C.
func startDemo(t *testing.T, c *exec.Cmd) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, code := clitest.StopAt(t, c, os.Interrupt,
		func(line string) bool { return strings.HasPrefix(line, "optimizer") })
	if code != 128+int(syscall.SIGINT) {
		t.Fatalf("the demo ended with %d: %s%s", code, stdout, stderr)
	}
	return stdout, stderr
}

// files are the modification times below a directory.
func files(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	m := map[string]time.Time{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		m[path] = info.ModTime()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The demo tells what happened, in numbers that the run's own files confirm. A
// second one finds its corpus and its tokenizer, and begins a run of its own.
func TestDemo(t *testing.T) {
	list := clitest.Devices(t)
	if len(list) == 1 {
		t.Skip("the demo's model is slow on the host: ", gpu.NoAdapterHelp)
	}
	dir := t.TempDir()
	args := []string{"--dir", dir, "--steps", "4", "--device", list[1]}
	out := clitest.Succeed(t, "", append([]string{"demo"}, args...)...)
	_, summary, found := strings.Cut(out, "What happened")
	if !found {
		t.Fatalf("no summary: %s", out)
	}
	run := filepath.Join(dir, "demo")
	checkDemoTable(t, summary, run, dir)
	checkDemoMemory(t, summary, run)
	for _, want := range []string{
		"After step 1 layers", "were put between the 3 old ones", "froze under LoRA of rank", "right after growth",
		"4,096 tokens in", run, filepath.Join(run, "final"), filepath.Join(dir, "demo-data"),
	} {
		if !strings.Contains(summary, want) {
			t.Errorf("the summary does not say %q:\n%s", want, summary)
		}
	}
	clitest.CheckSchema(t, clitest.ReadMetrics(t, run))

	shared := filepath.Join(dir, "demo-data")
	before := files(t, shared)
	if len(before) != 4 {
		t.Errorf("the demo's data are %v", before)
	}
	_, stderr := startDemo(t, clitest.CallOf(t.Context(), append([]string{"demo"}, args...)...))
	if lines := strings.Split(strings.TrimSpace(stderr), "\n"); !strings.HasPrefix(lines[len(lines)-1],
		"steplm: error: stopped") || !strings.Contains(stderr, run+"-2") {
		t.Errorf("an interrupted demo said %q", stderr)
	}
	if _, err := stage.ReadRecipe(run + "-2"); err != nil {
		t.Errorf("the second demo's run: %v", err)
	}
	for path, time := range files(t, shared) {
		if !before[path].Equal(time) {
			t.Errorf("the second demo wrote %s again", path)
		}
	}
}

// checkDemoTable compares the stages' lines with metrics.jsonl and the unigram
// Perplexity with one counted here.
func checkDemoTable(t *testing.T, summary, run, dir string) {
	t.Helper()
	lines := clitest.ReadMetrics(t, run)
	recipe, layouts := recipeOf(t, run)
	perplexity := map[string]string{}
	for _, l := range lines {
		if l.Text("event") == "eval" {
			var r struct{ Perplexity float64 }
			if err := json.Unmarshal(l["result"], &r); err != nil {
				t.Fatal(err)
			}
			perplexity[l.Text("when")] = strconv.FormatFloat(r.Perplexity, 'f', 2, 64)
		}
	}
	if want := "validation perplexity " + perplexity["before growth"] + " before and " + perplexity["after growth"] +
		" right after growth"; !strings.Contains(summary, want) {
		t.Errorf("the summary does not say %q:\n%s", want, summary)
	}
	for i, s := range recipe.Stages {
		var first, last clitest.MetricsLine
		for _, l := range lines {
			if l.Step() && l.Text("stage") == strconv.Itoa(i+1) {
				if first == nil {
					first = l
				}
				last = l
			}
		}
		trained, frozen := layouts[i].Count()
		want := strings.Join([]string{
			"stage " + strconv.Itoa(i+1), strconv.Itoa(s.Layers), strconv.Itoa(s.Steps), view.Count(
				trained), view.Count(frozen),
			strconv.FormatFloat(first.Number(t, "loss"), 'f', 3, 64) + " -> " +
				strconv.FormatFloat(last.Number(t, "loss"), 'f', 3, 64),
			perplexity[[]string{"before growth", "end"}[i]], `[1-9]\d*`, `\d+m?\d*s`,
		}, `\s+`)
		if !regexp.MustCompile(`(?m)^` + want + `\s*$`).MatchString(summary) {
			t.Errorf("no line like %q in\n%s", want, summary)
		}
	}
	at := regexp.MustCompile(`(?m)^unigram\s+([\d.]+)`).FindStringSubmatch(summary)
	if at == nil {
		t.Fatalf("no unigram perplexity in\n%s", summary)
	}
	said, err := strconv.ParseFloat(at[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	if want := unigramByHand(t, filepath.Join(dir, "demo-data")); math.Abs(said-want) > 0.06 {
		t.Errorf("unigram perplexity %g, want %g", said, want)
	}
}

// unigramByHand is exp of the mean of -log p over the held-out tokens, with
// counts of the training tokens and one more for each, so that none has
// probability 0.
func unigramByHand(t *testing.T, dir string) float64 {
	t.Helper()
	tok, err := tokenizer.Load(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	end, _ := tok.EndOfText()
	read := func(pattern string) (ids []uint32) {
		s, err := data.Open(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for d, err := range s.Documents(data.Position{}) {
			if err != nil {
				t.Fatal(err)
			}
			more, err := tok.Encode(d.Text)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(append(ids, more...), end)
		}
		return ids
	}
	train, held := read(corpus.Train), read(corpus.Validation)
	counts := make([]float64, tok.VocabSize())
	for _, id := range train {
		counts[id]++
	}
	nll := 0.0
	for _, id := range held {
		nll -= math.Log((counts[id] + 1) / float64(len(train)+len(counts)))
	}
	return math.Exp(nll / float64(len(held)))
}

// checkDemoMemory: a stage's bytes are those of its last step's line; the share
// is of vanilla's.
func checkDemoMemory(t *testing.T, summary, run string) {
	t.Helper()
	_, table, found := strings.Cut(summary, "Memory on the device, by class")
	if !found {
		t.Fatalf("no memory in\n%s", summary)
	}
	last := map[string]clitest.MetricsLine{}
	for _, l := range clitest.ReadMetrics(t, run) {
		if l.Step() {
			last[l.Text("stage")] = l
		}
	}
	for n, l := range last {
		var bytes map[string]int64
		if err := json.Unmarshal(l["bytes"], &bytes); err != nil {
			t.Fatal(err)
		}
		want := "stage " + n
		for _, class := range gpu.Classes() {
			want += `\s+` + regexp.QuoteMeta(gpu.Bytes(bytes[class.String()]))
		}
		want += `\s+` + regexp.QuoteMeta(gpu.Bytes(total(bytes))) + `\s+[1-9]\d? %`
		if !regexp.MustCompile(`(?m)^` + want + `\s*$`).MatchString(table) {
			t.Errorf("no line like %q in\n%s", want, table)
		}
	}
	if !regexp.MustCompile(`(?m)^vanilla\s.*\s100 %\s*$`).MatchString(table) {
		t.Errorf("vanilla is not in\n%s", table)
	}
}

// Without any adapter the demo goes on in plain Go, and says so loudly.
func TestDemoWithoutAdapter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only the Vulkan loader can be told that there is no driver")
	}
	c := clitest.CallOf(t.Context(), "demo", "--dir", t.TempDir(), "--steps", "4")
	noAdapter(c)
	stdout, stderr := startDemo(t, c)
	if !strings.Contains(stdout, "host (plain Go)") {
		t.Errorf("the demo said %s", stdout)
	}
	if !strings.HasPrefix(stderr, "WARNING: ") || !strings.Contains(stderr, "mesa-vulkan-drivers") ||
		!strings.Contains(stderr, "plain Go: many times slower") {
		t.Errorf("no loud warning: %q", stderr)
	}
}

func TestDemoErrors(t *testing.T) {
	dir := t.TempDir()
	clitest.Fail(t, 2, []string{"--stepz", "--steps"}, "demo", "--stepz", "3")
	file := clitest.WriteFile(t, "file", "")
	clitest.Fail(t, 1, []string{file}, "demo", "--dir", file, "--device", "host")
	stdout, stderr, code := clitest.Call(t, "", "demo", "--dir", dir, "--steps", "1", "--device", "host")
	clitest.CheckFailure(t, "demo "+stdout, stderr, code, 1, "1 steps", "2 stages")
	if left := clitest.Entries(t, dir); len(left) != 1 || left[0] != "demo-data" {
		t.Errorf("a demo that did not begin left %q", left)
	}
}

// What is told of the old layers at a growth is what the recipe does with them.
func TestFrozenIsWhatTheRecipeDoes(t *testing.T) {
	for _, c := range []struct {
		method string
		edit   func(*recipe.Options)
		want   string
	}{
		{"step", func(*recipe.Options) {}, ", whose linears froze under LoRA of rank 2"},
		{"step", func(o *recipe.Options) { o.NoLoRA = true }, ", whose linears froze"},
		{"step", func(o *recipe.Options) { o.NoFreeze = true }, ", which train on"},
		{"stack", func(o *recipe.Options) { o.Operator = "" }, ", which train on"},
	} {
		o := recipetest.Tiny()
		c.edit(&o)
		o.LoRA.Rank = 2
		if r := recipetest.Must(t, c.method, o); frozen(r, 2) != c.want {
			t.Errorf("%s: %q, want %q", c.method, frozen(r, 2), c.want)
		}
	}
}
