package measure

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
	"steplm/model"
	"steplm/model/hf"
	"steplm/model/optim"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// Scores and perplexities of the same tokens are one number.
func TestScoreAndPerplexityAgree(t *testing.T) {
	dir := clitest.RandomModel(t, 290)
	const line = "The cat sat on the log."
	for _, device := range clitest.Devices(t) {
		byText := clitest.Score(t, "--model", dir, "--text", line, "--device", device)
		byIDs := clitest.Score(t, "--model", dir, "--ids", clitest.Commas(byText.IDs), "--device", device)
		if byIDs.Nll() != byText.Nll() {
			t.Errorf("device %q: the text scores %g, its ids %g", device, byText.Nll(), byIDs.Nll())
		}
		// The end-of-text token follows a document.
		whole := clitest.Score(t, "--model", dir, "--ids", clitest.Commas(append(slices.Clone(byText.IDs), 0)),
			"--device", device)
		p := clitest.Perplexity(t, "--model", dir, "--text", clitest.WriteFile(t, "a.txt", line), "--device", device)
		r := p.Results[0]
		want := math.Exp(whole.Nll() / float64(len(byText.IDs)))
		if math.Abs(r.Perplexity/want-1) > 1e-5 || r.Unit != "token" || r.Tokens != int64(len(byText.IDs)) {
			t.Errorf("device %q: perplexity %+v, want %g", device, r, want)
		}
		if r.Detail["context"] != 32.0 || r.Detail["stride"] != 32.0 || p.Device == "" || p.Model != dir {
			t.Errorf("device %q: no protocol: %+v", device, p)
		}
	}
}

func TestPerplexityOfAllKinds(t *testing.T) {
	dir := clitest.RandomModel(t, 280)
	shards := t.TempDir()
	if err := datatest.WriteShard(filepath.Join(shards, "a.parquet"),
		[]datatest.Row{{Text: clitest.Text}, {Text: clitest.Text}},
		datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	wiki := clitest.WriteFile(t, "wiki.raw", " \n = One = \n \n The cat sat . \n = Two = \n \n The dog sat , too . \n")
	args := []string{"--model", dir, "--device", "host", "--data", shards, "--text",
		clitest.WriteFile(t, "a.txt", clitest.Text),
		"--wikitext", wiki,
		"--context", "16", "--stride", "8", "--batch-size", "3", "--max-tokens", "40"}
	p := clitest.Perplexity(t, args...)
	for i, want := range []struct {
		name, unit, key string
		value           float64
	}{{"data", "token", "documents", 1}, {"text", "token", "stride", 8}, {"wikitext", "word", "pages", 2}} {
		r := p.Results[i]
		if r.Name != want.name || r.Unit != want.unit || r.Detail[want.key] != want.value ||
			r.Detail["context"] != 16.0 || r.Perplexity <= 1 {
			t.Errorf("result %d is %+v, want %+v", i, r, want)
		}
	}
	if p.Results[0].Tokens != 40 || p.Results[0].Perplexity != p.Results[1].Perplexity {
		t.Errorf("40 tokens of the same text: %+v", p.Results[:2])
	}
	lines := strings.Split(strings.TrimSpace(clitest.Succeed(t, "", append([]string{"eval", "ppl"}, args...)...)), "\n")
	for i, want := range []string{"data: perplexity", "per token (context 16, stride 8; 40 tokens, 1 documents)",
		"per word (whole pages, context 16; 2 pages,"} {
		if len(lines) != 3 || !strings.Contains(lines[i], want) {
			t.Errorf("line %d of %q, want %q", i, lines, want)
		}
	}
}

// A run's folder stands for its final model and the window it was trained with.
func TestRunFolderStandsForItsModel(t *testing.T) {
	dir := clitest.RandomModel(t, 280)
	c, err := hf.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := recipe.NewRecipe("vanilla", recipe.Options{
		Model: c, Storage: model.FullStorage, Recompute: recipe.RecomputeNone, SplitBy: recipe.SplitPaper, Steps: 1,
		Batch: model.Size{Batch: 1, SeqLen: 24}, GradAccum: 1, Stages: 1,
		Optimizer: optim.Config{Settings: optim.AdamW{Beta1: 0.9, Beta2: 0.95,
			Eps: 1e-8}}, LR: []float64{1}, Decay: []float64{0}, LoRALR: 1, LoRADecay: 1, Schedule: "constant",
	})
	if err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(t.TempDir(), "run")
	f, err := stage.CreateFolder(run, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file := clitest.WriteFile(t, "a.txt", clitest.Text)
	clitest.Fail(t, 1, []string{run, "has not ended"}, "eval", "ppl", "--model", run, "--text", file, "--device",
		"host")
	if err := os.Rename(dir, filepath.Join(run, record.FinalDir)); err != nil {
		t.Fatal(err)
	}
	if p := clitest.Perplexity(t, "--model", run, "--text", file, "--device",
		"host"); p.Results[0].Detail["context"] != 24.0 {
		t.Errorf("a run with windows of 24 is measured by %+v", p.Results[0].Detail)
	}
}

func TestScoreTable(t *testing.T) {
	dir := clitest.RandomModel(t, 280)
	out := clitest.Succeed(t, "", "score", "--model", dir, "--device", "host", "--text", "The cat.")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if !slices.Equal(strings.Fields(lines[0]), []string{"position", "id", "log", "p", "token"}) ||
		!strings.Contains(lines[1], " - ") || !strings.Contains(out, "sum of ") {
		t.Errorf("got %s", out)
	}
}

func TestModelErrors(t *testing.T) {
	dir, file := clitest.RandomModel(t, 280), clitest.WriteFile(t, "a.txt", clitest.Text)
	small := clitest.RandomModel(t, 260)
	missing := filepath.Join(t.TempDir(), "missing")
	host := func(args ...string) []string { return append(args, "--device", "host") }
	for _, c := range []struct {
		args  []string
		parts []string
	}{
		{host("score", "--model", dir, "--ids", "1,280"), []string{"id 280", "position 1", "vocabulary of 280"}},
		{host("score", "--model", dir, "--ids", clitest.Commas(make([]uint32, 34))), []string{"34 tokens", "32"}},
		{host("score", "--model", dir, "--text", ""), []string{"0 tokens"}},
		{host("score", "--model", missing, "--ids", "1"), []string{missing}},
		{host("score", "--model", small, "--text", "a"), []string{"tokenizer has 280 ids", "only 260"}},
		{host("eval", "ppl", "--model", small, "--text", file), []string{"tokenizer has 280 ids", "only 260"}},
		{host("eval", "ppl", "--model", dir, "--text", missing), []string{missing}},
		{host("eval", "ppl", "--model", dir, "--data", missing), []string{missing}},
		{host("eval", "ppl", "--model", dir, "--wikitext", missing), []string{missing}},
		{host("eval", "ppl", "--model", dir, "--text", file, "--context", "33"), []string{"33", "32"}},
		{host("eval", "ppl", "--model", dir, "--text", file, "--stride", "64"), []string{"stride 64", "32"}},
		{host("eval", "ppl", "--model", dir, "--text", file, "--tokenizer", missing), []string{missing}},
	} {
		clitest.Fail(t, 1, c.parts, c.args...)
	}
	if err := os.Remove(filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	clitest.Fail(t, 1, []string{"give --tokenizer"}, "eval", "ppl", "--model", dir, "--text", file, "--device", "host")
	clitest.Fail(t, 2, []string{"--batch-size 0", "1 or more"}, "eval", "ppl", "--model", dir, "--text", file,
		"--batch-size", "0")
	clitest.Fail(t, 2, []string{"--stride -1"}, "eval", "ppl", "--model", dir, "--text", file, "--stride=-1")
}

// A real model: what llama2.c says of its own text.
func TestScoreStories260K(t *testing.T) {
	dir := datatest.Path(t, "models/stories260K")
	raw, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Sequences []struct {
			Name   string   `json:"name"`
			NLL    float64  `json:"mean_nll"`
			Tokens []uint32 `json:"tokens"`
		} `json:"sequences"`
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	for _, device := range clitest.Devices(t) {
		for _, s := range golden.Sequences {
			got := clitest.Score(t, "--model", dir, "--ids", clitest.Commas(s.Tokens), "--device", device)
			mean := got.Nll() / float64(len(s.Tokens)-1)
			if math.Abs(mean-s.NLL) > 1e-4 {
				t.Errorf("device %q, %s: mean loss %.7f, llama2.c has %.7f", device, s.Name, mean, s.NLL)
			}
		}
	}
	clitest.Fail(t, 1, []string{"id 512", "vocabulary of 512"}, "score", "--model", dir, "--ids", "1,512", "--device",
		"host")
}

// Any tokenizer of fewer ids will do to see a real model measured on real text
// through every device alike.
func TestPerplexityStories260K(t *testing.T) {
	dir := datatest.Path(t, "models/stories260K")
	file := datatest.Path(t, "tokenizers/train_bpe/tinystories_sample.txt")
	wiki := datatest.Path(t, "wikitext/wiki.test.raw")
	tok := filepath.Join(t.TempDir(), "tokenizer.json")
	clitest.Succeed(t, "", "tokenizer", "train", "--data", file, "--vocab", "500", "--out", tok)
	var first clitest.Perplexities
	for i, device := range clitest.Devices(t) {
		p := clitest.Perplexity(t, "--model", dir, "--tokenizer", tok, "--text", file, "--wikitext", wiki, "--context",
			"128",
			"--max-tokens", "1000", "--device", device)
		if i == 0 {
			first = p
		}
		for j, r := range p.Results {
			if want := first.Results[j]; r.Tokens != want.Tokens ||
				math.Abs(math.Log(r.Perplexity/want.Perplexity)) > 1e-3 {
				t.Errorf("device %q: %s %+v, on the host %+v", device, r.Name, r, want)
			}
		}
	}
	if n := first.Results[0].Tokens; n != 1000 {
		t.Errorf("--max-tokens 1000 scored %d", n)
	}
}
