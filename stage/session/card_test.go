package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

// The card says what the run's events say: the first and last losses of each stage, its peak, and the results of the
// end alone, the newer one of two.
func TestCard(t *testing.T) {
	r := recipetest.Must(t, "step", recipetest.Tiny())
	c := &card{Name: "run", Method: "step", Device: "a device", Parameters: 1234, Recipe: r,
		Datasets: []string{"owner/name"}, Sources: []string{"a.parquet", "hf://datasets/owner/name"}}
	for i, s := range r.Stages {
		c.Stages = append(c.Stages, cardStage{Number: i + 1, Layers: s.Layers, Steps: s.Steps, LR: s.LR})
	}
	result := func(perplexity float64) record.Result {
		plain, err := record.Plain(eval.PerplexityOf("validation", perplexity, 77))
		if err != nil {
			t.Fatal(err)
		}
		return plain
	}
	at := func(stage int, peak int64) record.At {
		return record.At{Stage: stage, Peaks: record.Peaks{PeakBytes: peak}}
	}
	for _, e := range []record.Event{
		record.Metrics{Step: 1, Stage: 1, Loss: 7.5, Tokens: 16, Peaks: record.Peaks{PeakBytes: 1 << 20}},
		record.Evaluation{At: at(1, 3<<20), When: "every", Result: result(999)},
		record.Metrics{Step: 2, Stage: 1, Loss: 6.25, Tokens: 32},
		record.Metrics{Step: 3, Stage: 2, Loss: 6.125, Tokens: 48, Peaks: record.Peaks{PeakBytes: 2 << 20}},
		record.Evaluation{At: at(2, 0), When: "end", Result: result(888)},
		record.Evaluation{At: at(2, 0), When: "end", Result: result(55.5)},
		record.Metrics{Step: 9, Stage: 9, Loss: 1}, // no stage of the recipe
	} {
		if err := c.add(e); err != nil {
			t.Fatal(err)
		}
	}
	text, err := c.text()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- llama\n- steplm\ndatasets:\n- " +
			"owner/name\n---\n",
		"# run\n", "1234 parameters", "on 48 tokens", "a.parquet, hf://datasets/owner/name",
		"windows of 8 tokens", "| 7.5 | 6.25 | 3.0 MiB |", "| 6.125 | 6.125 | 2.0 MiB |",
		"| validation | 55.5 | token | 77 |",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the card lacks %q:\n%s", part, text)
		}
	}
	for _, part := range []string{"999", "888", "<no value>", "{{"} {
		if strings.Contains(text, part) {
			t.Errorf("the card has %q", part)
		}
	}
	c.Init, c.Recipe.Model.Family, c.Recipe.Init = "small", "qwen3", &recipe.Init{Layers: 4}
	if text, err = c.text(); err != nil || !strings.Contains(text, "tags:\n- qwen3\n") ||
		!strings.Contains(text, "trained further by steplm, from\nsmall (4 layers) on") {
		t.Errorf("a card of a model that began with another (%v):\n%s", err, text)
	}
	c.Results, c.Datasets = nil, nil
	if text, err = c.text(); err != nil || !strings.Contains(text, "None was measured.") ||
		strings.Contains(text, "datasets:") {
		t.Errorf("a card without results and datasets (%v):\n%s", err, text)
	}
}

// A card is not written before the model is there, nor at any other event than the end and its results.
func TestCardIsKeptWithTheModel(t *testing.T) {
	s := &Session{Spec: Default(), Recipe: recipetest.Must(t, "step", recipetest.Tiny())}
	s.Spec.Output.Out = t.TempDir()
	for _, e := range []record.Event{record.End{}, record.Evaluation{When: "end"}, record.Metrics{}} {
		if err := s.keepCard(e); err != nil {
			t.Errorf("%T: %v", e, err)
		}
	}
	if err := os.Mkdir(filepath.Join(s.Spec.Output.Out, record.FinalDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.keepCard(record.Evaluation{When: "every"}); err != nil {
		t.Error(err)
	}
	if exists(filepath.Join(s.Spec.Output.Out, record.FinalDir, cardFile)) {
		t.Error("an evaluation within the run wrote the card")
	}
}

// A card that cannot be written is an error that says what became of the one before.
func TestCardThatCannotBeWritten(t *testing.T) {
	s := &Session{Spec: Default(), Recipe: recipetest.Must(t, "step", recipetest.Tiny()), Device: gpu.NewHost(),
		read: &reading{}}
	s.Spec.Output.Out = t.TempDir()
	if err := os.MkdirAll(filepath.Join(s.Spec.Output.Out, record.FinalDir, cardFile, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	metrics := filepath.Join(s.Spec.Output.Out, "metrics.jsonl")
	if err := os.WriteFile(metrics, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.keepCard(record.End{}); err == nil || !strings.Contains(err.Error(), "still whole") ||
		!strings.Contains(err.Error(), cardFile) {
		t.Errorf("a folder was replaced: %v", err)
	}
}
