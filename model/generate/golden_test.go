package generate

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/sample"
)

// eos is the token that ends texts of stories260K.
var eos = []uint32{2}

// eachDevice is gputest.EachDevice, and the adapter once more with the kernels that GPUs take.
func eachDevice(t *testing.T, do func(t *testing.T, d gpu.Device)) {
	gputest.EachDevice(t, do)
	t.Run("as a GPU", func(t *testing.T) {
		d := gputest.Adapter(t)
		defer gpu.AsGPU(d)()
		do(t, d)
	})
}

// What transformers adds greedily to five prompts, all at once and read in small chunks, with log-probabilities.
func TestGreedyOfTransformers(t *testing.T) {
	dir, texts := datatest.Path(t, "models/stories260K"), goldenTexts(t)
	eachDevice(t, func(t *testing.T, d gpu.Device) {
		g := generator(t, open(t, d, dir), Config{Slots: len(texts), Context: 128, Chunk: 7})
		sums := make([]float64, len(texts))
		var all []*Sequence
		for i, x := range texts {
			all = append(all, add(t, g, Request{Prompt: x.PromptIDs, MaxTokens: 60, MinTokens: 60, Ends: eos,
				LogProbs: true, Heard: func(t Token) bool { sums[i] += t.LogProb; return false }}))
		}
		run(t, g)
		for i, s := range all {
			if !slices.Equal(s.Tokens, texts[i].NewIDs) || s.Finish != Length {
				t.Errorf("%q is continued by %v (%s), want %v", texts[i].Prompt, s.Tokens, s.Finish, texts[i].NewIDs)
			}
			if d := math.Abs(sums[i] - texts[i].SumLogProb); !(d <= 1e-3) {
				t.Errorf("%q: sum of log-probabilities %g, want %g", texts[i].Prompt, sums[i], texts[i].SumLogProb)
			}
		}
	})
}

// llama2.c's 200 tokens, the first of which begins the text.
func TestGreedyOfLlama2c(t *testing.T) {
	dir := datatest.Path(t, "models/stories260K")
	var golden struct {
		Sequences []struct {
			Name   string
			Tokens []uint32
		}
	}
	readJSON(t, filepath.Join(dir, "golden.json"), &golden)
	want := golden.Sequences[0].Tokens
	eachDevice(t, func(t *testing.T, d gpu.Device) {
		g := generator(t, open(t, d, dir), Config{Slots: 1})
		s := add(t, g, Request{Prompt: want[:1], MaxTokens: len(want) - 1, Ends: eos})
		run(t, g)
		if !slices.Equal(s.Tokens, want[1:]) {
			t.Errorf("got %v, want %v", s.Tokens, want[1:])
		}
	})
}

// Distributions after every setting's processors, from this model's logits, to 1e-5.
func TestDistributionsOfTransformers(t *testing.T) {
	dir := datatest.Path(t, "models/stories260K")
	var golden struct {
		Parameters map[string]struct {
			Temperature       *float64
			TopK              int     `json:"top_k"`
			TopP              float64 `json:"top_p"`
			MinP              float64 `json:"min_p"`
			RepetitionPenalty float64 `json:"repetition_penalty"`
		}
		Prefixes []struct {
			IDs      []uint32
			Settings map[string]struct {
				Kept  int
				IDs   []uint32
				Probs []float64
			}
		}
	}
	readJSON(t, datatest.Path(t, "generate/distributions.json"), &golden)
	eachDevice(t, func(t *testing.T, d gpu.Device) {
		g := generator(t, open(t, d, dir), Config{Slots: 1})
		for i, prefix := range golden.Prefixes {
			logits, err := g.Logits(prefix.IDs)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range prefix.Settings {
				p := golden.Parameters[name]
				c := sample.Config{Temperature: 1, TopK: p.TopK, TopP: p.TopP, MinP: p.MinP,
					RepetitionPenalty: p.RepetitionPenalty}
				if p.Temperature != nil {
					c.Temperature = *p.Temperature
				}
				got, err := c.Distribution(logits, prefix.IDs, nil)
				if err != nil || len(got) != want.Kept {
					t.Errorf("prefix %d, %s: %d tokens are left, want %d; %v", i, name, len(got), want.Kept, err)
				}
				probs := map[uint32]float64{}
				for _, p := range got {
					probs[p.ID] = p.P
				}
				for j, id := range want.IDs {
					if d := math.Abs(probs[id] - want.Probs[j]); !(d <= 1e-5) {
						t.Errorf("prefix %d, %s: token %d has %g, want %g", i, name, id, probs[id], want.Probs[j])
					}
				}
			}
		}
	})
}

// Tokens with the cache are those without one: every time the whole text is read anew.
func TestCacheChangesNoToken(t *testing.T) {
	dir := datatest.Path(t, "models/stories260K")
	eachDevice(t, func(t *testing.T, d gpu.Device) {
		m := open(t, d, dir)
		g := generator(t, m, Config{Slots: 1})
		prompt := []uint32{1, 403, 407, 261, 378}
		for _, c := range []sample.Config{{}, warm(3)} {
			s := add(t, g, Request{Prompt: prompt, MaxTokens: 40, Sample: c})
			run(t, g)
			text := slices.Clone(prompt)
			for n := range 40 {
				a, err := model.NewActivations(d, m.Layout, model.Size{Batch: 1, SeqLen: len(text)})
				if err != nil {
					t.Fatal(err)
				}
				if err := a.Load(text, make([]uint32, len(text)), nil, nil, nil, nil); err != nil {
					t.Fatal(err)
				}
				logits, err := m.Logits(a)
				a.Free()
				if err != nil {
					t.Fatal(err)
				}
				id, err := c.Next(logits[len(logits)-m.Vocab:], text, nil, n)
				if err != nil {
					t.Fatal(err)
				}
				text = append(text, id)
			}
			if !slices.Equal(s.Tokens, text[len(prompt):]) {
				t.Errorf("%+v: with the cache %v, without %v", c, s.Tokens, text[len(prompt):])
			}
		}
	})
}
