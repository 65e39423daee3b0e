package generate

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/hf"
	"steplm/model/sample"
)

// Every family of the shared data that can be read, with what transformers computes from it: biases, norms of queries
// and keys, scaled rope, windows, blocks without rope. Prompts are read in chunks, and then once more token by token.
func TestFamilies(t *testing.T) {
	families := datatest.Path(t, "families")
	entries, err := os.ReadDir(families)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, e := range entries {
		dir := filepath.Join(families, e.Name())
		if !e.IsDir() {
			continue
		}
		if _, err := hf.ReadLayout(dir); err != nil {
			t.Logf("%s is refused: %v", e.Name(), err)
			continue
		}
		read++
		var golden struct {
			Sequences []family
		}
		readJSON(t, filepath.Join(dir, "golden.json"), &golden)
		t.Run(e.Name(), func(t *testing.T) {
			eachDevice(t, func(t *testing.T, d gpu.Device) {
				g := generator(t, open(t, d, dir), Config{Slots: 2, Chunk: 13, Context: 48})
				testFamily(t, g, golden.Sequences)
			})
		})
	}
	if read < 12 {
		t.Errorf("%d families are read", read)
	}
}

// family is a sequence of a golden: NextLogProbs of each token but the first.
type family struct {
	IDs          []uint32
	NextLogProbs []float64 `json:"next_logprobs"`
}

func testFamily(t *testing.T, g *Generator, list []family) {
	t.Helper()
	near := func(way string, i int, got, want float64) {
		if !(math.Abs(got-want) <= 1e-4) {
			t.Errorf("%s, token %d: %g, want %g", way, i, got, want)
		}
	}
	for _, x := range list {
		s := listen(t, g, Request{Prompt: x.IDs, Echo: true, LogProbs: true})
		run(t, g)
		for i, want := range x.NextLogProbs[:len(x.IDs)-1] {
			near("in chunks", i+1, s.tokens[i+1].LogProb, want)
		}
	}
	for i := range len(list[0].IDs) - 1 {
		rows := []model.Row{{ID: list[0].IDs[i], Position: i}, {ID: list[1].IDs[i], Position: i, First: g.Context}}
		logits, err := g.m.Run(g.rows, rows, true, []int{0, 1})
		if err != nil {
			t.Fatal(err)
		}
		for j, x := range list {
			near("one by one", i+1, sample.LogProb(logits[j*g.m.Vocab:(j+1)*g.m.Vocab], x.IDs[i+1]), x.NextLogProbs[i])
		}
	}
}
