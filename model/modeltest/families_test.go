package modeltest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
)

// Checkpoints of the LLaMA family with what transformers computes from them: the shared
// data's families, whose README has the tolerance. What this program would compute
// differently is refused, and says why.
func TestFamilies(t *testing.T) {
	families := datatest.Path(t, "families")
	refused := map[string]string{
		"granite": "this program lacks its embedding, attention, residual and logit multipliers",
	}
	entries, err := os.ReadDir(families)
	if err != nil {
		t.Fatal(err)
	}
	read, gradients := 0, 0
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
			testConfigs(t, dir)
			testRoundTrip(t, dir)
			grads := filepath.Join(dir, "grads.safetensors")
			_, missing := os.Stat(grads)
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				testFamily(t, d, dir)
				if missing == nil {
					gradients++
					testFamilyGradients(t, d, dir, ReadTensors(t, grads))
				}
			})
		})
	}
	if read < 12 || gradients < 2 {
		t.Errorf("%d families are read, of %d gradients are compared", read, gradients)
	}
}

// familyGolden is a family's golden.json.
type familyGolden struct {
	Positions []int
	MeanLoss  float64 `json:"mean_loss"`
	Sequences []struct {
		IDs      []uint32    `json:"ids"`
		Logits   [][]float32 // at the positions
		LogProbs []float32   `json:"next_logprobs"`
	}
}

// batch is all sequences at once; the last position of each has no target.
func (g familyGolden) batch() (Batch, model.Size) {
	var inputs, targets []uint32
	for _, s := range g.Sequences {
		inputs, targets = append(inputs, s.IDs...), append(append(targets, s.IDs[1:]...), Ignored)
	}
	return NewBatch(inputs, targets), model.Size{Batch: len(g.Sequences), SeqLen: len(g.Sequences[0].IDs)}
}

func testFamily(t *testing.T, d gpu.Device, dir string) {
	var golden familyGolden
	ReadJSON(t, filepath.Join(dir, "golden.json"), &golden)
	m := Load(t, d, dir, Inference)
	var c Comparison
	for _, s := range golden.Sequences {
		a := NewActivations(t, m, model.Size{Batch: 1, SeqLen: len(s.IDs)})
		all := Logits(t, m, a, NewBatch(s.IDs, s.IDs))
		for k, position := range golden.Positions {
			c.Within(t, "logits", all[position*m.Vocab:][:m.Vocab], s.Logits[k], 1e-4)
		}
	}
	b, size := golden.batch()
	a := NewActivations(t, m, size)
	if got := MeanLoss(t, m, a, b); !(got-golden.MeanLoss <= 1e-4 && golden.MeanLoss-got <= 1e-4) {
		t.Errorf("mean loss %.6f, want %.6f within 1e-4", got, golden.MeanLoss)
	}
	losses, err := a.Losses()
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range golden.Sequences {
		got := make([]float32, len(s.LogProbs))
		for k := range got {
			got[k] = -losses[i*size.SeqLen+k]
		}
		c.Within(t, "log-probabilities", got, s.LogProbs, 1e-4)
	}
	c.Report(t)
}

// testFamilyGradients compares every gradient of the mean loss.
func testFamilyGradients(t *testing.T, d gpu.Device, dir string, want map[string][]float32) {
	var golden familyGolden
	ReadJSON(t, filepath.Join(dir, "golden.json"), &golden)
	b, size := golden.batch()
	m := Load(t, d, dir, Trainable)
	Near(t, "loss", Train(t, m, NewActivations(t, m, size), MeanScale(b), b), golden.MeanLoss, 1e-4/golden.MeanLoss)
	checkGradients(t, m, want)
}

// testConfigs: the layouts of config.json of transformers 4 and 5 say the same, and what is written is read back.
func testConfigs(t *testing.T, dir string) {
	t.Helper()
	c, err := hf.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	if old := filepath.Join(dir, "config_v4.json"); exists(old) {
		if v4, err := hf.ReadConfig(old); err != nil || v4 != c {
			t.Errorf("transformers 4's says %+v, 5's %+v: %v", v4, c, err)
		}
	}
	var text bytes.Buffer
	if err := hf.WriteConfig(&text, c, "float32", hf.SpecialIDs{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, text.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	if again, err := hf.ReadConfig(path); err != nil || again != c {
		t.Errorf("written and read back %+v, want %+v: %v", again, c, err)
	}
}

// testRoundTrip: from files to a device and back, every tensor keeps its bits.
func testRoundTrip(t *testing.T, dir string) {
	t.Helper()
	_, from, err := hf.OpenTensors(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	storage := model.FullStorage
	if info, _ := from.Info(model.HFEmbed); info.DType == checkpoint.BF16 {
		storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
			Frozen: model.BF16}
	}
	m := Load(t, gpu.NewHost(), dir, func(c model.Config) model.Layout {
		l := Inference(c)
		l.Storage = storage
		return l
	})
	parent := t.TempDir()
	d, err := checkpoint.Begin(parent, "again")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(WriteHF(d, m, nil), d.Commit()); err != nil {
		t.Fatal(err)
	}
	_, to, err := hf.OpenWhole(filepath.Join(parent, "again"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	want, err := from.Hash()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := to.Hash(); err != nil || got != want {
		t.Errorf("tensors hash to %s, they did to %s: %v", got, want, err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
