package convert_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model/checkpoint"
)

// exported is what the command prints as JSON. Other programs read it.
type exported struct {
	Model, Format, Out string
	Files              []struct {
		Path   string
		Bytes  int64
		SHA256 string
	}
}

// export runs the command, whose words other programs have, and looks whether it wrote what it says.
func export(t *testing.T, model, format, out string, more ...string) exported {
	t.Helper()
	args := append([]string{"export", model, "--to", format, "--out", out, "--json"}, more...)
	text := clitest.Succeed(t, "", args...)
	var e exported
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	if e.Format != format || e.Out != out || len(e.Files) == 0 {
		t.Errorf("it says %+v", e)
	}
	for _, f := range e.Files {
		content := clitest.Contents(t, f.Path)
		sum := sha256.Sum256([]byte(content))
		if hex.EncodeToString(sum[:]) != f.SHA256 || int(f.Bytes) != len(content) {
			t.Errorf("%s has %d bytes and another sum than it says: %+v", f.Path, len(content), f)
		}
	}
	return e
}

// A run that grew is exported to every format in every type, as a whole, by a checkpoint's name, by its folder, and
// while it has no final model; and what comes out is the model.
func TestExportOfARun(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	clitest.Succeed(t, "", m.Pretrain(run, "--device", "host", "--save-every", "4")...)
	dir := t.TempDir()
	out := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		model, format, dtype string
	}{
		{run, "hf", ""}, {run, "hf", "f16"}, {run + "@step-8", "hf", "f32"}, {run + "@step-4", "hf", "bf16"},
		{filepath.Join(run, "checkpoints", "step-8"), "hf", ""},
		{run, "peft", ""}, {run + "@step-8", "peft", "f32"},
		{run, "gguf", ""}, {run, "gguf", "f32"}, {run, "gguf", "f16"}, {run + "@step-8", "gguf", "bf16"},
		{run + "@step-4", "gguf", "q8_0"},
	} {
		t.Run(fmt.Sprint(filepath.Base(c.model), c.format, c.dtype), func(t *testing.T) {
			var more []string
			if c.dtype != "" {
				more = []string{"--dtype", c.dtype}
			}
			to := filepath.Join(t.TempDir(), "out."+c.format)
			e := export(t, c.model, c.format, to, more...)
			if info, err := os.Stat(to); err != nil || info.IsDir() != (c.format != "gguf") {
				t.Errorf("%s: %v", to, err)
			}
			if c.format == "gguf" {
				line := e.Files[0].SHA256 + "  out.gguf\n"
				if got := clitest.Contents(t, to+".sha256"); got != line {
					t.Errorf("the sum's file says %q, want %q", got, line)
				}
			} else if err := checkpoint.Verify(to); err != nil {
				t.Error(err)
			}
		})
	}
	// The same scores: of the run, of what it is exported as, and of the export's export, with its tokenizer.
	export(t, run+"@step-8", "hf", out("a"))
	export(t, out("a"), "hf", out("b"), "--shard-size", "20KB")
	want := clitest.Score(t, "--model", run, "--text", "The cat", "--device", "host")
	for _, model := range []string{out("a"), out("b")} {
		got := clitest.Score(t, "--model", model, "--text", "The cat", "--device", "host")
		if !slices.Equal(got.IDs, want.IDs) || math.Abs(got.Nll()-want.Nll()) > 1e-6 {
			t.Errorf("%s scores %g of %v, the run %g of %v", model, got.Nll(), got.IDs, want.Nll(), want.IDs)
		}
	}
	for _, file := range []string{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
		"generation_config.json"} {
		if clitest.Contents(t, run, "final", file) != clitest.Contents(t, out("b"), file) {
			t.Errorf("%s is not the run's", file)
		}
	}
	if shards, _ := filepath.Glob(filepath.Join(out("b"), "model-*.safetensors")); len(shards) < 2 {
		t.Errorf("%d shards", len(shards))
	}
	for _, key := range []string{"max_position_embeddings", "eos_token_id", "bos_token_id"} { // of the windows: 16
		var final, here map[string]any
		if json.Unmarshal([]byte(clitest.Contents(t, run, "final", "config.json")), &final) != nil ||
			json.Unmarshal([]byte(clitest.Contents(t, out("a"), "config.json")), &here) != nil ||
			final[key] == nil || final[key] != here[key] {
			t.Errorf("a checkpoint's %s is %v, the final model's %v", key, here[key], final[key])
		}
	}
	// A run that was stopped has no final model: its newest checkpoint is taken.
	if err := os.RemoveAll(filepath.Join(run, "final")); err != nil {
		t.Fatal(err)
	}
	e := export(t, run, "hf", out("c"))
	if !strings.HasSuffix(e.Model, "step-8") {
		t.Errorf("a run without a final model is %s", e.Model)
	}
	a, b := clitest.Contents(t, out("a"), "model.safetensors"), clitest.Contents(t, out("c"), "model.safetensors")
	if a != b {
		t.Error("the weights are others")
	}
}

// A model directory keeps what else it came with: chat template, generation's settings and all special ids.
func TestExportCarriesOver(t *testing.T) {
	dir := clitest.RandomModel(t, 290)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("tokenizer_config.json", `{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", `+
		`"chat_template": "{{ messages[0].content }}"}`)
	write("generation_config.json", `{"temperature": 0.6, "eos_token_id": [0, 5], "do_sample": true}`)
	config := clitest.Contents(t, dir, "config.json")
	write("config.json", strings.Replace(config, `"eos_token_id": null`, `"eos_token_id": [0, 5]`, 1))
	out := filepath.Join(t.TempDir(), "out")
	export(t, dir, "hf", out)
	for _, file := range []string{"tokenizer_config.json", "generation_config.json", "tokenizer.json"} {
		if clitest.Contents(t, dir, file) != clitest.Contents(t, out, file) {
			t.Errorf("%s is another", file)
		}
	}
	var got struct {
		EOS []int `json:"eos_token_id"`
	}
	if err := json.Unmarshal([]byte(clitest.Contents(t, out, "config.json")), &got); err != nil ||
		!slices.Equal(got.EOS, []int{0, 5}) {
		t.Errorf("config.json says the ends are %v (%v)", got.EOS, err)
	}
	export(t, dir, "gguf", out+".gguf")
	content := clitest.Contents(t, out+".gguf")
	for _, part := range []string{"tokenizer.chat_template", "{{ messages[0].content }}", "general.name", "model"} {
		if !strings.Contains(content, part) {
			t.Errorf("the GGUF file does not hold %q", part)
		}
	}
}

// What cannot be written is one line, and leaves nothing.
func TestExportRefuses(t *testing.T) {
	dir := clitest.RandomModel(t, 290)
	parent := t.TempDir()
	out := filepath.Join(parent, "out")
	there := clitest.WriteFile(t, "there", "mine")
	broken := clitest.RandomModel(t, 290)
	poison(t, filepath.Join(broken, "model.safetensors"))
	bare := clitest.RandomModel(t, 290)
	if err := os.Remove(filepath.Join(bare, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	words := clitest.WriteFile(t, "tokenizer.json",
		`{"added_tokens": [{"id": 0, "content": "</s>", "special": true}], `+
			`"pre_tokenizer": {"type": "Whitespace"}, "model": {"type": "WordLevel", "unk_token": "</s>", `+
			`"vocab": {"</s>": 0, "a": 1}}}`)
	for _, c := range []struct {
		code  int
		args  []string
		parts []string
	}{
		{2, []string{dir, "--to", "onnx", "--out", out}, []string{"hf", "peft", "gguf", "onnx"}},
		{2, []string{dir, "--to", "hf", "--out", out, "--dtype", "int4"}, []string{"f32", "q8_0", "int4"}},
		{2, []string{dir, "--out", out}, []string{"--to"}},
		{1, []string{dir, "--to", "hf", "--out", out, "--dtype", "q8_0"}, []string{"hf has no weights of q8_0",
			"f32, f16, bf16", "gguf"}},
		{1, []string{dir, "--to", "hf", "--out", there}, []string{there, "exists", "choose another --out"}},
		{1, []string{dir, "--to", "gguf", "--out", there}, []string{there, "exists", "choose another --out"}},
		{1, []string{dir, "--to", "peft", "--out", out}, []string{"carries LoRA", "use --to hf"}},
		{1, []string{broken, "--to", "hf", "--out", out}, []string{"model.norm.weight: element 3 is NaN"}},
		{1, []string{broken, "--to", "gguf", "--out", out}, []string{"model.norm.weight: element 3 is NaN"}},
		{1, []string{bare, "--to", "gguf", "--out", out}, []string{"needs a tokenizer", "--tokenizer"}},
		{1, []string{dir, "--to", "gguf", "--out", out, "--tokenizer", words}, []string{"WordLevel"}},
		{1, []string{filepath.Join(parent, "none"), "--to", "hf", "--out", out}, []string{"no such run or model"}},
		{1, []string{parent, "--to", "hf", "--out", out}, []string{parent, "holds no run"}},
	} {
		clitest.Fail(t, c.code, c.parts, append([]string{"export"}, c.args...)...)
		if entries := clitest.Entries(t, parent); len(entries) > 0 {
			t.Fatalf("export %v left %v", c.args, entries)
		}
	}
	if clitest.Contents(t, there) != "mine" {
		t.Error("a file was replaced")
	}
}

// A model with a number that is none is not made deeper either, and nothing is left of it.
func TestGrowRefusesNaN(t *testing.T) {
	broken, parent := clitest.RandomModel(t, 290), t.TempDir()
	poison(t, filepath.Join(broken, "model.safetensors"))
	clitest.Fail(t, 1, []string{"model.norm.weight: element 3 is NaN"}, "grow", broken, "--layers", "4", "--device",
		"host", "--out", filepath.Join(parent, "out"))
	if entries := clitest.Entries(t, parent); len(entries) > 0 {
		t.Errorf("grow left %v", entries)
	}
}

// poison makes one element of the last norm no number.
func poison(t *testing.T, path string) {
	t.Helper()
	content := []byte(clitest.Contents(t, path))
	f, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := len(content)
	names := f.Names()
	for i := len(names) - 1; i >= 0; i-- {
		info, _ := f.Info(names[i])
		if at -= int(info.Bytes()); names[i] == "model.norm.weight" {
			break
		}
	}
	copy(content[at+4*3:], []byte{0, 0, 0xc0, 0x7f})
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
