package modeltest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/hf"
)

// Checkpoints of the LLaMA family with what transformers computes from them: the shared
// data's families, whose README has the tolerance. What this program would compute
// differently is refused, and says why.
func TestFamilies(t *testing.T) {
	families := datatest.Path(t, "families")
	refused := map[string]string{
		"granite": "model_type", "mistral-nowindow": "model_type", "mistral-window8": "model_type",
		"qwen2-tied": "model_type", "qwen3-headdim32": "model_type", "smollm3-nope4": "model_type",
		"llama-biases": "attention_bias", "llama-headdim24": "head_dim",
		"llama-rope-linear": "rope_type", "llama-rope-llama3": "rope_type", "llama-rope-yarn": "rope_type",
	}
	entries, err := os.ReadDir(families)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(families, e.Name())
		t.Run(e.Name(), func(t *testing.T) {
			if why, ok := refused[e.Name()]; ok {
				_, err := hf.Load(gpu.NewHost(), dir)
				if err == nil || !strings.Contains(err.Error(), "not supported: ") ||
					!strings.Contains(err.Error(), why) {
					t.Errorf("error %v, want one that names %s", err, why)
				}
				return
			}
			read++
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) { testFamily(t, d, dir) })
		})
	}
	if read < 2 {
		t.Errorf("%d families are read", read)
	}
}

func testFamily(t *testing.T, d gpu.Device, dir string) {
	var golden struct {
		Positions []int
		MeanLoss  float64 `json:"mean_loss"`
		Sequences []struct {
			IDs    []uint32    `json:"ids"`
			Logits [][]float32 // at the positions
		}
	}
	ReadJSON(t, filepath.Join(dir, "golden.json"), &golden)
	m := Load(t, d, dir, Inference)
	var c Comparison
	var inputs, targets []uint32
	for _, s := range golden.Sequences {
		a := NewActivations(t, m, model.Size{Batch: 1, SeqLen: len(s.IDs)})
		all := Logits(t, m, a, NewBatch(s.IDs, s.IDs))
		for k, position := range golden.Positions {
			c.Within(t, "logits", all[position*m.Vocab:][:m.Vocab], s.Logits[k], 1e-4)
		}
		inputs, targets = append(inputs, s.IDs...), append(append(targets, s.IDs[1:]...), Ignored)
	}
	c.Report(t)
	a := NewActivations(t, m, model.Size{Batch: len(golden.Sequences), SeqLen: len(golden.Sequences[0].IDs)})
	if got := MeanLoss(t, m, a, NewBatch(inputs, targets)); !(got-golden.MeanLoss <= 1e-4 &&
		golden.MeanLoss-got <= 1e-4) {
		t.Errorf("mean loss %.6f, want %.6f within 1e-4", got, golden.MeanLoss)
	}
}
