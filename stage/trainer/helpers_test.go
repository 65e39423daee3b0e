package trainer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// planes are what the optimizer keeps on the device.
func planes(tr *Trainer) []gpu.Tensor {
	list, _ := tr.opt.State()
	return list
}

// weights are what the model has on the device, without gradients.
func weights(tr *Trainer) (list []gpu.Tensor) {
	for _, p := range tr.Model.Params() {
		for _, x := range []gpu.Tensor{p.Weight, p.Scales, p.Master} {
			if !x.None() {
				list = append(list, x)
			}
		}
	}
	return list
}

// numbers are what it keeps on the host.
func numbers(tr *Trainer) string {
	_, n := tr.opt.State()
	return string(n)
}

// newTrainer is freed with the test.
func newTrainer(t testing.TB, d gpu.Device, r recipe.Recipe, b Batches) *Trainer {
	t.Helper()
	tr, err := New(d, r, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Free)
	return tr
}

// kept is what a run of the trainer's recipe keeps at least.
func kept(tr *Trainer) Kept { return Kept{Recipe: tr.Recipe.Hash()} }

// load is Load of a recipe whose checkpoints know it by its hash.
func load(d gpu.Device, r recipe.Recipe, b Batches, dir string) (*Trainer, error) {
	tr, _, err := Load(d, r, r.Hash(), b, dir)
	return tr, err
}

func takeSteps(t testing.TB, tr *Trainer, n int) []record.Metrics {
	t.Helper()
	var all []record.Metrics
	for range n {
		m, err := tr.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// trainStage runs what is left of the current stage.
func trainStage(t testing.TB, tr *Trainer) []record.Metrics {
	t.Helper()
	var all []record.Metrics
	for stage := tr.stage; tr.step < tr.Recipe.Steps(); {
		if now, _ := tr.Recipe.StageOf(tr.step); now != stage {
			break
		}
		all = append(all, takeSteps(t, tr, 1)...)
	}
	return all
}

func advance(t testing.TB, tr *Trainer) record.Transition {
	t.Helper()
	e, err := tr.Advance()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func read(t testing.TB, d gpu.Device, x gpu.Tensor) []float32 {
	t.Helper()
	f, err := gpu.ReadF32(d, x)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// snapshot reads every weight, by name.
func snapshot(t testing.TB, tr *Trainer) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for _, p := range tr.Model.Params() {
		all[p.Name] = read(t, tr.dev, p.Weight)
	}
	return all
}

// sameBits compares values as bytes: NaNs are equal, 0 and -0 are not.
func sameBits(a, b []float32) bool { return slices.Equal(gpu.Words(a), gpu.Words(b)) }

// logits of the trainer's own buffers on a batch.
func logits(t testing.TB, tr *Trainer, b data.Batch) []float32 {
	t.Helper()
	if err := loadBatch(tr.acts, b); err != nil {
		t.Fatal(err)
	}
	f, err := tr.Model.Logits(tr.acts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// heldLoss is the mean loss on a batch, without gradients.
func heldLoss(t testing.TB, tr *Trainer, b data.Batch) float64 {
	t.Helper()
	losses, err := eval.OnDevice(tr.Model, tr.acts).Losses(b.Inputs, b.Targets, b.Begins)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, x := range losses {
		sum += float64(x)
	}
	return sum / float64(len(losses))
}

// largestGap is max |a-b|, NaN being the largest.
func largestGap(a, b []float32) float64 {
	gap := 0.0
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if !(d <= gap) {
			gap = d
		}
	}
	return gap
}

func largest(a []float32) float64 { return largestGap(a, make([]float32, len(a))) }

// relative checks got against want within a share of want.
func relative(t testing.TB, what string, got, want, tolerance float64) {
	t.Helper()
	if d := math.Abs(got-want) / math.Abs(want); !(d <= tolerance) {
		t.Errorf("%s is %.9g, want %.9g: off by %.2g of it, %.2g is allowed", what, got, want, d, tolerance)
	}
}

// inFiles is a tensor's name in Hugging Face's files; only a block's needs a layer.
func inFiles(layer int, tensor string) string {
	whole := map[string]string{"embed": "model.embed_tokens.weight", "norm": "model.norm.weight",
		"head": "lm_head.weight"}
	if name, ok := whole[tensor]; ok {
		return name
	}
	return fmt.Sprintf("model.layers.%d.%s.weight", layer, map[string]string{
		"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
		"wq": "self_attn.q_proj", "wk": "self_attn.k_proj", "wv": "self_attn.v_proj", "wo": "self_attn.o_proj",
		"gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
	}[tensor])
}

// fileName is a parameter's name in Hugging Face's files, adapters included;
// layers are numbered as they stand now.
func fileName(m *model.Model, p *model.Param) string {
	id := p.Block
	tensor := strings.TrimPrefix(p.Name, fmt.Sprintf("blocks.%d.", id))
	layer := slices.IndexFunc(m.Blocks, func(b *model.Block) bool { return b.ID == id })
	if linear, ok := strings.CutSuffix(tensor, ".lora_a"); ok {
		return strings.TrimSuffix(inFiles(layer, linear), "weight") + "lora_A.weight"
	}
	if linear, ok := strings.CutSuffix(tensor, ".lora_b"); ok {
		return strings.TrimSuffix(inFiles(layer, linear), "weight") + "lora_B.weight"
	}
	return inFiles(layer, tensor)
}
