package export_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/export"
)

var update = flag.Bool("update", false, "rewrite the golden files, by the Pythons of STEPLM_TRANSFORMERS")

// golden is what versions of transformers made of an export, and of which files.
type golden struct {
	Files map[string]string         `json:"files"` // SHA-256 of each but the weights
	Says  map[string]map[string]any `json:"says"`  // by version: what testdata/check_export.py prints
}

// AutoTokenizer, AutoModelForCausalLM, generate and padding work in transformers 4.51 and 5.24 with what is exported,
// and say the same of it: ids, special tokens, lengths. The goldens hold what they said of these very files, so that a
// file which changes asks for both again: STEPLM_TRANSFORMERS=/a/bin/python:/b/bin/python go test ./model/export -run
// InTransformers -update.
func TestExportInTransformers(t *testing.T) {
	zero, one, two := 0, 1, 2
	for _, c := range []struct {
		name      string
		tokenizer func(t *testing.T) string
		bos, eos  *int
		template  string
		dtype     export.DType
	}{
		{"byte-level", func(*testing.T) string { return "../../data/tokenizer/testdata/trained" }, &zero, &zero, "",
			export.F32},
		{"chat", func(*testing.T) string { return "../../data/tokenizer/testdata/trained" }, &zero, &zero,
			"{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}", export.F16},
		{"bos-first", func(t *testing.T) string {
			return datatest.Path(t, "reports/c03_llama3_like_tokenizer.json")
		}, &zero, &one, "", export.BF16},
		{"sentencepiece-style", func(t *testing.T) string {
			return datatest.Path(t, "generate/tokenizer/tokenizer.json")
		}, &one, &two, "", export.F32},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := tokenizer.Load(c.tokenizer(t))
			if err != nil {
				t.Fatal(err)
			}
			dir := exported(t, tok.VocabSize(), export.Text{Tokenizer: tok, BOS: c.bos, EOS: c.eos, Context: 24,
				ChatTemplate: c.template}, c.dtype)
			got := golden{Files: sums(t, dir), Says: map[string]map[string]any{}}
			for _, python := range filepath.SplitList(os.Getenv("STEPLM_TRANSFORMERS")) {
				version, says := askTransformers(t, python, dir)
				got.Says[version] = says
			}
			path := filepath.Join("testdata", c.name+".json")
			if *update {
				if len(got.Says) != 2 {
					t.Fatalf("STEPLM_TRANSFORMERS names %d versions of transformers, 2 are needed", len(got.Says))
				}
				text, err := json.MarshalIndent(got, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			compare(t, path, got, tok.VocabSize(), c.template != "", c.dtype)
		})
	}
}

// compare holds an export to its golden, and what was said of it to reason.
func compare(t *testing.T, path string, got golden, vocab int, chats bool, dtype export.DType) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want golden
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for name, sum := range want.Files {
		if got.Files[name] != sum {
			t.Errorf("%s is another than the one that transformers was asked about: ask again, see above", name)
		}
	}
	if len(got.Files) != len(want.Files) {
		t.Errorf("%d files are exported, the golden has %d", len(got.Files), len(want.Files))
	}
	var first []byte
	for version, says := range want.Says {
		for _, name := range []string{"vocabulary", "rows"} {
			if says[name] != float64(vocab) {
				t.Errorf("transformers %s: %s %v, want %d", version, name, says[name], vocab)
			}
		}
		for name, want := range map[string]float64{"max_length": 24, "positions": 24} {
			if says[name] != want {
				t.Errorf("transformers %s: %s %v, want %g", version, name, says[name], want)
			}
		}
		chat, kind := any(nil), map[export.DType]string{export.F32: "float32", export.F16: "float16",
			export.BF16: "bfloat16"}[dtype]
		if chats {
			chat = "[user] the cat\n"
		}
		if says["chat"] != chat || says["type"] != "torch."+kind {
			t.Errorf("transformers %s: a conversation is %q, weights are %v", version, says["chat"], says["type"])
		}
		if n := says["generated"].(float64); n > 24 {
			t.Errorf("transformers %s generated %g tokens, beyond the context", version, n)
		}
		if says["pad_id"] == nil || says["eos_id"] == nil || says["generation_eos"] != says["eos_id"] {
			t.Errorf("transformers %s: padding %v, end %v, end of generating %v", version, says["pad_id"],
				says["eos_id"],
				says["generation_eos"])
		}
		b, err := json.Marshal(says)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, b) {
			t.Errorf("two versions of transformers differ:\n%s\n%s", first, b)
		}
		first = b
		if now, asked := got.Says[version]; asked {
			if again, _ := json.Marshal(now); !bytes.Equal(again, b) {
				t.Errorf("transformers %s says now\n%s\nand the golden\n%s", version, again, b)
			}
		}
	}
	if len(want.Says) != 2 {
		t.Errorf("%d versions of transformers were asked", len(want.Says))
	}
}

// exported is the folder of a small random model.
func exported(t *testing.T, vocab int, text export.Text, dtype export.DType) string {
	t.Helper()
	c := model.Config{Hidden: 16, FFN: 24, Layers: 2, Heads: 4, KVHeads: 2, Vocab: vocab, MaxSeqLen: 32, NormEps: 1e-5,
		RopeTheta: 10000}
	m, err := model.New(gpu.NewHost(), model.Plain(c, c.Layers).ForInference())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := m.Init(1, nil); err != nil {
		t.Fatal(err)
	}
	w, err := m.Merged()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	dir := filepath.Join(t.TempDir(), "model")
	if _, err := export.To(t.Context(), export.HuggingFace{}, dir,
		export.Model{Config: w.Config, DType: w.DType, Weights: w}, text, export.Options{DType: dtype}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sums are the SHA-256 of a folder's files, but for weights and the list of sums.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".safetensors") || e.Name() == "checksums.json" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		list[e.Name()] = hex.EncodeToString(sum[:])
	}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
		"special_tokens_map.json"} {
		if _, ok := list[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	return list
}

// askTransformers runs the script on a folder.
func askTransformers(t *testing.T, python, dir string) (version string, says map[string]any) {
	t.Helper()
	run := func(args ...string) []byte {
		c := exec.Command(python, args...)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", python, strings.Join(args, " "), err, stderr.Bytes())
		}
		return out
	}
	version = strings.TrimSpace(string(run("-c", "import transformers; print(transformers.__version__)")))
	if !slices.ContainsFunc([]string{"4.51.", "5.24."}, func(p string) bool { return strings.HasPrefix(version, p) }) {
		t.Fatalf("%s has transformers %s, want 4.51 or 5.24", python, version)
	}
	if err := json.Unmarshal(run(filepath.Join("testdata", "check_export.py"), dir), &says); err != nil {
		t.Fatal(err)
	}
	return version, says
}
