package generate

import (
	"encoding/json"
	"os"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/hf"
	"steplm/model/sample"
)

// open loads a Hugging Face directory.
func open(t *testing.T, d gpu.Device, dir string) *model.Model {
	t.Helper()
	m, err := hf.Open(d, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	return m
}

// generator makes one, and compares what it allocates with its plan.
func generator(t *testing.T, m *model.Model, c Config) *Generator {
	t.Helper()
	specs, err := Specs(m.Layout, c)
	if err != nil {
		t.Fatal(err)
	}
	d := m.Device()
	before, cached := d.Ledger().Total(), d.Ledger().Live(gpu.Cache)
	g, err := New(m, c)
	if err != nil {
		t.Fatal(err)
	}
	plan := gpu.Plan(specs)
	if got := d.Ledger().Total() - before; got != plan.Total() {
		t.Errorf("%d bytes are allocated, planned were %d", got, plan.Total())
	}
	if got := d.Ledger().Live(gpu.Cache) - cached; got != plan.Live(gpu.Cache) || got == 0 {
		t.Errorf("the cache has %d bytes, planned were %d", got, plan.Live(gpu.Cache))
	}
	t.Cleanup(func() {
		live := d.Ledger().Total()
		g.Free()
		if freed := live - d.Ledger().Total(); freed != plan.Total() {
			t.Errorf("%d bytes are freed of %d", freed, plan.Total())
		}
	})
	return g
}

// run steps until no sequence is left.
func run(t *testing.T, g *Generator) {
	t.Helper()
	for g.Active() > 0 {
		if err := g.Step(); err != nil {
			t.Fatal(err)
		}
	}
}

// add takes a sequence in.
func add(t *testing.T, g *Generator, r Request) *Sequence {
	t.Helper()
	s, err := g.Add(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// goldenText is one of generate/greedy.json, made by transformers.
type goldenText struct {
	Prompt     string
	PromptIDs  []uint32 `json:"prompt_ids"`
	NewIDs     []uint32 `json:"new_ids"`
	Text       string
	SumLogProb float64 `json:"sum_logprob"`
}

func goldenTexts(t *testing.T) []goldenText {
	t.Helper()
	var g struct{ Greedy []goldenText }
	readJSON(t, datatest.Path(t, "generate/greedy.json"), &g)
	return g.Greedy
}

func readJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// warm draws from all tokens.
func warm(seed uint64) sample.Config { return sample.Config{Temperature: 1, Seed: seed} }
