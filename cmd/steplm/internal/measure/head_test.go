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
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
)

// A tied model whose files have a head all the same computes with the embedding; only where the head is another does
// the program say so. The numbers are the same.
func TestTiedModelWithAHead(t *testing.T) {
	scores := map[string][]float64{}
	for name, head := range map[string]float32{"none": 0, "the embedding": 1, "another": 1.5} {
		dir := tiedModel(t, head)
		stdout, stderr, code := clitest.Call(t, "", "score", "--model", dir, "--ids", "1,2,3,4", "--device", "host",
			"--json")
		if code != 0 {
			t.Fatalf("%s: exit code %d: %s", name, code, stderr)
		}
		if said := strings.Contains(stderr, "lm_head.weight that is not the embedding"); said != (name == "another") {
			t.Errorf("head is %s: it is said: %t\n%s", name, said, stderr)
		}
		var all struct{ LogProbs []*float64 }
		if err := json.Unmarshal([]byte(stdout), &all); err != nil {
			t.Fatal(err)
		}
		for _, p := range all.LogProbs[1:] {
			scores[name] = append(scores[name], *p)
		}
	}
	for name, got := range scores {
		if !slices.EqualFunc(got, scores["none"], func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("head is %s: %v, without one %v", name, got, scores["none"])
		}
	}
}

// tiedModel is a tied model's folder with a head that is the embedding times a factor; 0: none.
func tiedModel(t *testing.T, factor float32) string {
	t.Helper()
	c := model.Config{Hidden: 16, FFN: 24, Layers: 1, Heads: 4, KVHeads: 2, Vocab: 11, MaxSeqLen: 8, NormEps: 1e-5,
		RopeTheta: 10000, Tied: true}
	infos := c.HFTensors(checkpoint.F32)
	embed := infos[0]
	if factor != 0 {
		infos = append(infos, checkpoint.Info{Name: "lm_head.weight", DType: checkpoint.F32, Shape: embed.Shape})
	}
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := checkpoint.Create(out, infos)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		values := make([]float32, i.Elements())
		for j := range values {
			values[j] = float32(j%7-3) / 8
			if i.Name == "lm_head.weight" {
				values[j] *= factor
			}
		}
		if err := w.WriteF32(i.Name, values); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	config, err := os.Create(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer config.Close()
	if err := hf.WriteConfig(config, c, "float32", hf.SpecialIDs{}); err != nil {
		t.Fatal(err)
	}
	return dir
}
