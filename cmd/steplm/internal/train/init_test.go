package train

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
)

// still are flags of a run that learns nothing that f32 could hold.
func still(flags ...string) []string {
	return append([]string{"pretrain", "--precision", "f32", "--lr", "1e-30", "--weight-decay", "0", "--batch-size",
		"2", "--seq-len", "16", "--steps", "2", "--device", "host"}, flags...)
}

// small is a run of two layers from random weights, with a checkpoint from before its decay.
func small(t *testing.T, m clitest.Material) string {
	t.Helper()
	run := clitest.NewRun(t)
	clitest.Succeed(t, "", m.Pretrain(run, "--method", "vanilla", "--layers", "2", "--precision", "f32", "--schedule",
		"wsd", "--decay-share", "0.5", "--device", "host")...)
	return run
}

// A run that begins with another's model begins with its weights: of its end, of a checkpoint, of its exported folder.
func TestInit(t *testing.T) {
	m := clitest.NewMaterial(t)
	from := small(t, m)
	final := clitest.Tensors(t, filepath.Join(from, "final"))
	for _, name := range []string{from, filepath.Join(from, "final")} {
		run := clitest.NewRun(t)
		out := clitest.Succeed(t, "", still("--method", "vanilla", "--init", name, "--data", m.Train, "--out", run)...)
		if !strings.Contains(out, "the optimizer begins without state") {
			t.Errorf("it does not say that the optimizer begins without state:\n%s", out)
		}
		same(t, name, clitest.Tensors(t, filepath.Join(run, "final")), final, nil)
	}
	run := clitest.NewRun(t)
	clitest.Succeed(t, "", still("--method", "vanilla", "--init", from+"@stable-4", "--data", m.Train, "--out", run)...)
	got := clitest.Tensors(t, filepath.Join(run, "final"))
	if name := "model.embed_tokens.weight"; got[name][0] == final[name][0] {
		t.Error("the weights before the decay are those after it")
	}

	// A larger vocabulary: old rows stay, new ones are their mean.
	larger := clitest.NewRun(t)
	clitest.Succeed(t, "", still("--method", "vanilla", "--init", from, "--vocab", "303", "--data", m.Train, "--out",
		larger)...)
	for name, w := range clitest.Tensors(t, filepath.Join(larger, "final")) {
		if len(w) == len(final[name]) {
			continue
		}
		mean := 0.0
		for row := range 300 {
			mean += float64(final[name][row*16]) / 300
		}
		for row := 300; row < 303; row++ {
			if diff := float64(w[row*16]) - mean; diff > 1e-7 || diff < -1e-7 {
				t.Errorf("%s: row %d begins with %g, the mean of the others is %g", name, row, w[row*16], mean)
			}
		}
		same(t, "vocabulary", map[string][]float32{name: w[:300*16]}, map[string][]float32{name: final[name]}, nil)
	}
}

// same fails unless tensors are equal to the bit; rename, unless nil, is where in want a name of got is.
func same(t *testing.T, what string, got, want map[string][]float32, rename func(string) string) {
	t.Helper()
	for name, w := range got {
		if rename != nil {
			if name = rename(name); name == "" {
				continue
			}
		}
		if len(w) != len(want[name]) {
			t.Errorf("%s: %s has %d elements, want %d", what, name, len(w), len(want[name]))
			continue
		}
		for i := range w {
			if w[i] != want[name][i] {
				t.Errorf("%s: element %d of %s is %g, want %g", what, i, name, w[i], want[name][i])
				break
			}
		}
	}
}

// Growth from a model: its layers freeze at once or train first, and a run that is resumed, from a checkpoint or from
// its beginning, is the run that was never stopped.
func TestInitGrows(t *testing.T) {
	m := clitest.NewMaterial(t)
	from := small(t, m)
	for _, device := range clitest.StoryDevices(t) {
		for _, how := range []string{"train", "freeze"} {
			t.Run(how+" "+device, func(t *testing.T) {
				run := clitest.NewRun(t)
				stages := map[string]string{"train": "2", "freeze": "1"}[how]
				clitest.Succeed(t, "", "pretrain", "--method", "step", "--stages", stages, "--init", from+"@stable-4",
					"--init-layers", how, "--layers", "4", "--rank", "2", "--batch-size", "2", "--seq-len", "16",
					"--steps", "4", "--save-every", "1", "--keep", "0", "--data", m.Train, "--device", device,
					"--out", run)
				want := clitest.Tensors(t, filepath.Join(run, "final"))
				for _, back := range []string{"step-1", ""} {
					again := clitest.NewRun(t)
					if err := os.CopyFS(again, os.DirFS(run)); err != nil {
						t.Fatal(err)
					}
					rewind(t, again, back)
					clitest.Succeed(t, "", "pretrain", "--resume", again, "--device", device)
					same(t, "resumed from "+back, clitest.Tensors(t, filepath.Join(again, "final")), want, nil)
				}
			})
		}
	}
}

// rewind takes from a run what came after a checkpoint, or all of them.
func rewind(t *testing.T, run, to string) {
	t.Helper()
	checkpoints := filepath.Join(run, "checkpoints")
	for _, name := range clitest.Entries(t, checkpoints) {
		if name != to {
			if err := os.RemoveAll(filepath.Join(checkpoints, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.RemoveAll(filepath.Join(run, "final")); err != nil {
		t.Fatal(err)
	}
	if to == "" {
		return
	}
	if err := checkpoint.SetLatest(checkpoints, to); err != nil {
		t.Fatal(err)
	}
}

// What cannot be begun with is refused with one line, and leaves nothing.
func TestInitRefuses(t *testing.T) {
	m := clitest.NewMaterial(t)
	from := small(t, m)
	for _, c := range []struct {
		parts []string
		flags []string
	}{
		{[]string{"no such run or model"}, []string{"--init", "nowhere"}},
		{[]string{"--hidden", "16"}, []string{"--init", from, "--hidden", "32"}},
		{[]string{"--model", "leave one out"}, []string{"--init", from, "--model", "tiny"}},
		{[]string{"2 layers", "4", "does not grow", "--method step"}, []string{"--init", from, "--layers", "4"}},
		{[]string{"--layers"}, []string{"--init", from, "--method", "step"}},
		{[]string{"--vocab", "300"}, []string{"--init", from, "--vocab", "200"}},
		{[]string{"begins with none"}, []string{"--model", "tiny", "--method", "step", "--init-layers", "train"}},
	} {
		out := clitest.NewRun(t)
		args := append([]string{"pretrain", "--method", "vanilla", "--data", m.Train, "--tokenizer", m.Tokenizer,
			"--steps", "2", "--seq-len", "16", "--device", "host", "--out", out}, c.flags...)
		_, stderr, code := clitest.Call(t, "", args...)
		if code == 0 || strings.Count(strings.TrimSpace(stderr), "\n") > 0 && code == 1 {
			t.Errorf("%q: code %d, %s", c.flags, code, stderr)
		}
		for _, part := range c.parts {
			if !strings.Contains(stderr, part) {
				t.Errorf("%q: %q is not in %s", c.flags, part, stderr)
			}
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%q left a folder", c.flags)
		}
	}
}

// Growth without training: old layers keep their bits, new ones are what the operator says, and zero computes what the
// smaller model did.
func TestGrow(t *testing.T) {
	m := clitest.NewMaterial(t)
	from := small(t, m)
	old := clitest.Tensors(t, filepath.Join(from, "final"))
	deep := filepath.Join(t.TempDir(), "deep")
	clitest.Succeed(t, "", "grow", from, "--layers", "3", "--operator", "zero", "--out", deep, "--device", "host")
	got := clitest.Tensors(t, deep)
	same(t, "old layers", got, old, func(name string) string {
		switch {
		case strings.HasPrefix(name, "model.layers.1."): // the new one
			return ""
		case strings.HasPrefix(name, "model.layers.2."):
			return strings.Replace(name, ".2.", ".1.", 1)
		}
		return name
	})
	text := []string{"--text", "the cat sat", "--json", "--device", "host"}
	before := clitest.Succeed(t, "", append([]string{"score", "--model", filepath.Join(from, "final")}, text...)...)
	if after := clitest.Succeed(t, "", append([]string{"score", "--model", deep}, text...)...); after != before {
		t.Errorf("the grown model scores %s, the small one %s", after, before)
	}
	mean := filepath.Join(t.TempDir(), "mean")
	clitest.Succeed(t, "", "grow", from, "--layers", "3", "--out", mean, "--device", "host")
	name := "mlp.up_proj.weight"
	for i, v := range clitest.Tensors(t, mean)["model.layers.1."+name] {
		if want := 0.5*old["model.layers.0."+name][i] + 0.5*old["model.layers.1."+name][i]; v != want {
			t.Fatalf("element %d of the new %s is %g, want %g", i, name, v, want)
		}
	}
	out := filepath.Join(t.TempDir(), "none")
	for want, args := range map[string][]string{
		"has 2: growth needs more": {from, "--layers", "2", "--out", out},
		"exists":                   {from, "--layers", "3", "--out", mean},
		"unknown growth operator":  {from, "--layers", "3", "--operator", "best", "--out", out},
	} {
		_, stderr, code := clitest.Call(t, "", append([]string{"grow", "--device", "host"}, args...)...)
		if code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%q: code %d, %q is not in %s", args, code, want, stderr)
		}
	}
}

// Models of every family begin runs and grow in them, in bytes as planned (a difference ends a run), and stay of their
// family: SmolLM3's layers without rotary positions go along.
func TestInitFamilies(t *testing.T) {
	families := datatest.Path(t, "families")
	m := clitest.NewMaterial(t)
	for _, c := range []struct {
		family string
		flags  []string
		want   model.Config // of the trained model, in what is not the shape
	}{
		{"llama-biases", nil, model.Config{QKVBias: true, OutBias: true, FFNBias: true}},
		{"llama-rope-llama3", []string{"--precision", "f32"}, model.Config{RopeScaling: model.RopeScaling{
			Type: model.RopeLlama3, Factor: 8, Original: 64, LowFreq: 1, HighFreq: 4}}},
		{"qwen3-headdim32", []string{"--recompute", "block"},
			model.Config{Family: "qwen3", HeadSize: 32, QKNorm: true}},
		{"mistral-window8", []string{"--mask", "documents"}, model.Config{Family: "mistral", Window: 8}},
		{"qwen2-tied", []string{"--init-layers", "freeze", "--stages", "1", "--frozen", "int8"},
			model.Config{Family: "qwen2", QKVBias: true}},
		{"smollm3-nope4", nil, model.Config{Family: "smollm3", RopeLayers: "111110"}},
	} {
		t.Run(c.family, func(t *testing.T) {
			for _, device := range clitest.StoryDevices(t) {
				run := clitest.NewRun(t)
				clitest.Succeed(t, "", append([]string{"pretrain", "--method", "step", "--layers", "6", "--vocab",
					"300", "--init", filepath.Join(families, c.family), "--tokenizer", m.Tokenizer, "--data", m.Train,
					"--rank", "2", "--batch-size", "2", "--seq-len", "16", "--steps", "4", "--device", device,
					"--out", run}, c.flags...)...)
				got, err := hf.ReadConfig(filepath.Join(run, "final"))
				if err != nil {
					t.Fatal(err)
				}
				if got.Layers != 6 || got.Vocab != 300 || got.MaxSeqLen != 256 {
					t.Errorf("the trained model is %+v", got)
				}
				want := c.want
				want.Hidden, want.FFN, want.Layers, want.Vocab = got.Hidden, got.FFN, got.Layers, got.Vocab
				want.Heads, want.KVHeads, want.MaxSeqLen = got.Heads, got.KVHeads, got.MaxSeqLen
				want.NormEps, want.RopeTheta, want.Tied = got.NormEps, got.RopeTheta, got.Tied
				if got != want {
					t.Errorf("the trained model is %+v, want %+v", got, want)
				}
				clitest.Succeed(t, "", "score", "--model", run, "--text", "the cat", "--device", device)
			}
		})
	}
}
