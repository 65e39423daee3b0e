package export_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/model/hf"
	"steplm/model/modeltest"
)

// peftGolden is what peft made of an adapter.
type peftGolden struct {
	Files map[string]string `json:"files"` // SHA-256, by name, but for the configuration, which names a path
	Says  struct {
		Version string      `json:"version"`
		Loaded  bool        `json:"loaded"`
		Tensors int         `json:"tensors"`
		Logits  [][]float32 `json:"logits"`
		Differs bool        `json:"base_differs"`
		Merged  float64     `json:"merged"`
	} `json:"says"`
}

// peftCases are layouts with LoRA: of all blocks, and as STEP has it, of the older ones, by rsLoRA's scale and on some
// linears alone.
func peftCases() map[string]model.Layout {
	all := model.Plain(modeltest.SmallConfig(false), 2)
	all.LoRA = model.LoRALayout{Rank: 3, Alpha: 7, Targets: model.LinearNames()}
	for i := range all.Blocks {
		all.Blocks[i] = model.BlockLayout{ID: i, Frozen: true, Wrapped: true}
	}
	some := model.Plain(modeltest.SmallConfig(true), 3)
	some.LoRA = model.LoRALayout{Rank: 4, Alpha: 2.5, Targets: []string{"wq", "wv", "down"}, RankStabilized: true}
	some.Blocks = []model.BlockLayout{{ID: 3, Frozen: true, Wrapped: true}, {ID: 9},
		{ID: 1, Frozen: true, Wrapped: true}}
	return map[string]model.Layout{"all": all, "step": some}
}

// peft loads what is exported, every tensor of it, and gives our logits of the unmerged model. The goldens hold what it
// said of these very files: STEPLM_PEFT=/a/bin/python go test ./model/export -run InPeft -update asks it again.
func TestPEFTInPeft(t *testing.T) {
	ids := []uint32{3, 1, 4, 1, 5, 9, 2, 6, 5, 3}
	for name, l := range peftCases() {
		t.Run(name, func(t *testing.T) {
			m := modeltest.New(t, gpu.NewHost(), l, 11)
			s := stored(t, m)
			dir := filepath.Join(t.TempDir(), "adapter")
			written, err := export.To(t.Context(), export.PEFT{}, dir, modelOf(s), export.Text{}, export.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := peftGolden{Files: map[string]string{}}
			for _, f := range written {
				if strings.HasSuffix(f.Name, ".safetensors") {
					got.Files[f.Name] = f.SHA256
				}
			}
			golden := filepath.Join("testdata", "peft-"+name+".json")
			if python := os.Getenv("STEPLM_PEFT"); python != "" {
				askPeft(t, python, dir, ids, &got)
				if *update {
					writeJSON(t, golden, got)
				}
			}
			var want peftGolden
			modeltest.ReadJSON(t, golden, &want)
			if len(got.Files) != 2 || fmt.Sprint(got.Files) != fmt.Sprint(want.Files) {
				t.Errorf("the files are others than those that peft was asked about: ask again, see above")
			}
			if !want.Says.Loaded || !want.Says.Differs || want.Says.Tensors != 2*len(s.LoRA()) ||
				want.Says.Merged > 1e-4 {
				t.Errorf("peft %s: loaded as written %v, %d tensors of %d linears, LoRA counts %v, merged %g away",
					want.Says.Version, want.Says.Loaded, want.Says.Tensors, len(s.LoRA()), want.Says.Differs,
					want.Says.Merged)
			}
			a := modeltest.NewActivations(t, m, model.Size{Batch: 1, SeqLen: len(ids)})
			logits := modeltest.Logits(t, m, a, modeltest.NewBatch(ids, ids))
			var c modeltest.Comparison
			c.Within(t, "logits", logits, slices.Concat(want.Says.Logits...), 3e-5)
			c.Report(t)
		})
	}
}

func askPeft(t *testing.T, python, dir string, ids []uint32, got *peftGolden) {
	t.Helper()
	list := strings.ReplaceAll(strings.Trim(fmt.Sprint(ids), "[]"), " ", ",")
	c := exec.Command(python, filepath.Join("testdata", "check_peft.py"), dir, list)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err := errors.Join(err, json.Unmarshal(out, &got.Says)); err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.Bytes())
	}
}

// stored is a model as a checkpoint has it.
func stored(t *testing.T, m *model.Model) *model.Stored {
	t.Helper()
	parent := t.TempDir()
	d, err := checkpoint.Begin(parent, "saved")
	if err := errors.Join(err, m.Save(d), d.Commit()); err != nil {
		t.Fatal(err)
	}
	s, err := model.OpenStored(filepath.Join(parent, "saved"), m.Layout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// modelOf is a checkpoint to be exported.
func modelOf(s *model.Stored) export.Model {
	m := export.Model{Config: s.Config(), DType: s.DType(), Weights: s.Merged(), Stored: s}
	if s.Adapted() {
		m.DType = checkpoint.F32
	}
	return m
}

// The configuration says which linears carry LoRA, by name where all of a name do, and how it is scaled; the base is a
// model of its own.
func TestPEFTConfig(t *testing.T) {
	for name, want := range map[string]struct {
		targets        []string
		rank           float64
		alpha          float64
		rankStabilized bool
	}{
		"all": {[]string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}, 3, 7, false},
		"step": {[]string{"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj",
			"model.layers.0.mlp.down_proj", "model.layers.2.self_attn.q_proj", "model.layers.2.self_attn.v_proj",
			"model.layers.2.mlp.down_proj"}, 4, 2.5, true},
	} {
		m := modeltest.New(t, gpu.NewHost(), peftCases()[name], 11)
		dir := filepath.Join(t.TempDir(), "adapter")
		if _, err := export.To(t.Context(), export.PEFT{}, dir, modelOf(stored(t, m)), export.Text{},
			export.Options{DType: export.BF16}); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		modeltest.ReadJSON(t, filepath.Join(dir, "adapter_config.json"), &got)
		var targets []string
		for _, x := range got["target_modules"].([]any) {
			targets = append(targets, x.(string))
		}
		if !slices.Equal(targets, want.targets) || got["r"] != want.rank || got["lora_alpha"] != want.alpha ||
			got["use_rslora"] != want.rankStabilized || got["base_model_name_or_path"] != filepath.Join(dir, "base") {
			t.Errorf("%s: %v, want %+v", name, got, want)
		}
		if err := errors.Join(checkpoint.Verify(dir), checkpoint.Verify(filepath.Join(dir, "base"))); err != nil {
			t.Error(err)
		}
		c, tensors, err := hf.OpenTensors(filepath.Join(dir, "base"))
		if err != nil {
			t.Fatal(err)
		}
		if i, _ := tensors.Info(model.HFEmbed); i.DType != checkpoint.BF16 || c.Layers != len(m.Blocks) {
			t.Errorf("the base has %d layers of %s", c.Layers, i.DType)
		}
		tensors.Close()
		adapter, err := checkpoint.Open(filepath.Join(dir, "adapter_model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if i, ok := adapter.Info("base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"); !ok ||
			i.DType != checkpoint.F32 || !slices.Equal(i.Shape, []int{m.LoRA.Rank, 24}) {
			t.Errorf("A of down is %v, there %v", i, ok)
		}
		adapter.Close()
	}
}

// A model without LoRA has no adapter: that is said before anything is written.
func TestPEFTRefuses(t *testing.T) {
	m := modeltest.New(t, gpu.NewHost(), model.Plain(modeltest.SmallConfig(true), 2), 11)
	dir := filepath.Join(t.TempDir(), "above", "adapter")
	_, err := export.To(t.Context(), export.PEFT{}, dir, modelOf(stored(t, m)), export.Text{}, export.Options{})
	if err == nil || !strings.Contains(err.Error(), "carries LoRA") {
		t.Errorf("a model without LoRA: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}
