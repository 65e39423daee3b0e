package measure

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/stage/eval"
	"steplm/stage/record"
)

// A model is a run, a checkpoint of it by name or by folder, or a Hugging Face directory. What eval ppl
// says of a checkpoint is, bit for bit, what the run said at that step: before growth, and after it with
// LoRA that is not merged.
func TestModelNames(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	every := m.Evaluated("--device", "host", "--eval-every", "1", "--save-every", "1", "--keep", "0")
	clitest.Succeed(t, "", m.Pretrain(run, every...)...)
	checkpoint := func(name string) string { return filepath.Join(run, "checkpoints", name) }
	measure := func(name string, more ...string) clitest.Perplexities {
		t.Helper()
		return clitest.Perplexity(t, append([]string{"--model", name, "--data", m.Validation, "--wikitext", m.Wikitext,
			"--batch-size", "2", "--max-tokens", "64", "--device", "host"}, more...)...)
	}
	compared := 0
	for e, err := range record.Read(run) {
		if err != nil {
			t.Fatal(err)
		}
		v, ok := e.(record.Evaluation)
		name := "step-" + map[int]string{2: "2", 3: "3", 7: "7"}[v.Step]
		if !ok || name == "step-" || v.When == "after growth" {
			continue
		}
		var ran eval.Result
		if err := v.Result.Into(&ran); err != nil {
			t.Fatal(err)
		}
		i := map[string]int{"validation": 0, "wikitext": 1}[v.Set]
		for _, model := range []string{run + "@" + name, checkpoint(name)} {
			p := measure(model)
			r := p.Results[i]
			if r.Perplexity != ran.Perplexity() || r.Tokens != ran.Tokens() ||
				p.Model != checkpoint(name) || r.Detail["context"] != 16.0 {
				t.Errorf("%s: %+v, the run had %+v", model, r, ran)
			}
			compared++
		}
	}
	if compared != 12 {
		t.Errorf("%d evaluations were compared, want 12", compared)
	}

	// The last checkpoint's LoRA is merged in the final model: other numbers, but close.
	const ids = "5,20,7,31,9"
	for _, text := range [][]string{{"--ids", ids}, {"--text", "The cat"}} {
		args := append(text, "--device", "host")
		last, final := clitest.Score(t, append(args, "--model", run+"@step-8")...),
			clitest.Score(t, append(args, "--model", run)...)
		if d := last.Nll() - final.Nll(); d > 1e-3 || d < -1e-3 {
			t.Errorf("%v: %g from the last checkpoint, %g from the final model", text, last.Nll(), final.Nll())
		}
	}

	// A run that has not ended has its tokenizer too; a checkpoint alone does not say which.
	if err := os.Rename(filepath.Join(run, "final"), filepath.Join(run, "moved")); err != nil {
		t.Fatal(err)
	}
	measure(run + "@step-7")
	alone := filepath.Join(t.TempDir(), "alone")
	if err := os.Rename(checkpoint("step-7"), alone); err != nil {
		t.Fatal(err)
	}
	clitest.Score(t, "--model", alone, "--ids", ids, "--device", "host")
	clitest.Fail(t, 1, []string{alone, "give --tokenizer"}, "score", "--model", alone, "--text", "The cat", "--device",
		"host")
	clitest.Score(t, "--model", alone, "--text", "The cat", "--tokenizer", m.Tokenizer, "--device", "host")
	clitest.Succeed(t, "", "tokenizer", "train", "--data", m.Train, "--vocab", "290", "--out", m.Tokenizer)
	clitest.Fail(t, 1, []string{m.Tokenizer, "no longer the tokenizer", "--tokenizer"},
		"score", "--model", run+"@step-6", "--text", "The cat", "--device", "host")

	file, empty, missing := clitest.WriteFile(t, "a.txt", clitest.Text), t.TempDir(),
		filepath.Join(t.TempDir(), "missing")
	for name, parts := range map[string][]string{
		missing:           {missing, "no such run or model"},
		file:              {file, "is a file"},
		empty:             {empty, "no run, no checkpoint and no Hugging Face model"},
		run:               {run, "has not ended", "@step-1, @step-2"},
		run + "@step-77":  {run, `no checkpoint "step-77"`, "@step-1, @step-2"},
		empty + "@step-1": {empty + "@step-1", "holds no run"},
	} {
		clitest.Fail(t, 1, parts, "score", "--model", name, "--ids", ids, "--device", "host")
	}
	for _, lost := range []string{"model.safetensors", "layout.json"} {
		path := filepath.Join(checkpoint("step-6"), lost)
		if err := os.Rename(path, path+".lost"); err != nil {
			t.Fatal(err)
		}
		clitest.Fail(t, 1, []string{checkpoint("step-6"), lost, "missing", "use another checkpoint"},
			"score", "--model", run+"@step-6", "--ids", ids, "--device", "host")
		if err := os.Rename(path+".lost", path); err != nil {
			t.Fatal(err)
		}
	}
	if out := clitest.Succeed(t, "", "score", "--help"); !strings.Contains(out, "RUN@step-N") {
		t.Errorf("the help does not say what a model may be: %s", out)
	}
}
