package export_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"steplm/data/datatest"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/export"
	"steplm/model/modeltest"
)

// llamaCpp is what llama.cpp made of a file.
type llamaCpp struct {
	SHA256 string `json:"sha256"` // of the file
	Says   struct {
		BOS      int         `json:"bos"`
		EOS      int         `json:"eos"`
		PutsBOS  bool        `json:"puts_bos"`
		Template *string     `json:"chat_template"`
		IDs      [][]uint32  `json:"ids"`
		Back     []string    `json:"back"`
		LogProbs [][]float64 `json:"logprobs"`
		Greedy   []uint32    `json:"greedy"`
	} `json:"says"`
}

// ggufCase is an exported file.
type ggufCase struct {
	name      string
	tokenizer string // a path
	model     string // of a Hugging Face directory; "": random
	dtype     export.DType
	bos, eos  int
	puts      bool    // a text gets its BOS
	template  string  // of conversations
	tolerance float64 // of log-probabilities, absolute
	greedy    bool    // the tokens of llama.cpp are the golden ones
	sequences bool    // those of the model's golden.json are scored
}

var texts = []string{
	"The cat sat on the mat.", "Once upon a time, there were 1234567 dogs.", " two  spaces\n\n\tand tabs ",
	"It's naïve: “quoted” 東京 🙂", "I'LL DON'T x=3.14;", "a",
}

// ggufCases are the kinds of vocabularies with the names of their pre-tokenizers, and the types.
func ggufCases(t *testing.T) []ggufCase {
	trained := "../../data/tokenizer/testdata/trained"
	stories, pieces := datatest.Path(t, "models/stories260K"), datatest.Path(t, "generate/tokenizer/tokenizer.json")
	list := []ggufCase{
		{name: "bytes", tokenizer: trained, tolerance: 1e-4,
			template: "{% for m in messages %}{{ m.content }}{% endfor %}"},
		{name: "llama3", tokenizer: datatest.Path(t, "reports/c03_llama3_like_tokenizer.json"), eos: 1, puts: true,
			tolerance: 1e-4},
		{name: "unigram", tokenizer: unigram(t), bos: 1, eos: 2, tolerance: 1e-4},
	}
	for _, x := range []struct {
		dtype     export.DType
		tolerance float64
	}{{export.F32, 1e-4}, {export.F16, 0.02}, {export.BF16, 0.15}, {export.Q8, 0.5}} { // It rounds activations, too.
		list = append(list, ggufCase{name: "stories-" + string(x.dtype), tokenizer: pieces, model: stories, bos: 1,
			eos: 2, puts: true, dtype: x.dtype, tolerance: x.tolerance,
			greedy: x.dtype == export.F32 || x.dtype == export.F16})
	}
	// LLaMA's relatives: biases, heads of another size, q/k norms, scaled rope, layers without it.
	for _, name := range []string{"llama-biases", "llama-headdim24", "llama-rope-linear", "llama-rope-llama3",
		"llama-rope-yarn", "mistral-nowindow", "qwen2-tied", "qwen3-headdim32", "smollm3-nope4"} {
		list = append(list, ggufCase{name: name, tokenizer: unigram(t),
			model: datatest.Path(t, "families/"+name), bos: 1, eos: 2, tolerance: 1e-4, sequences: true})
	}
	return list
}

// unigram is a tokenizer.json of SentencePiece's other kind.
func unigram(t *testing.T) string {
	t.Helper()
	pieces := [][]any{{"<unk>", 0.0}, {"<s>", 0.0}, {"</s>", 0.0}}
	for i, p := range []string{"▁the", "▁", "at", "c", "s", "m", "o", "n", ".", "▁cat", "a", "t", "e", "h", "T", "he",
		"1", "2"} {
		pieces = append(pieces, []any{p, -1.5 - 0.25*float64(i)})
	}
	special := func(id int, text string) map[string]any {
		return map[string]any{"id": id, "content": text, "special": true}
	}
	text, err := json.Marshal(map[string]any{
		"added_tokens": []any{special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")},
		"normalizer": map[string]any{"type": "Sequence", "normalizers": []any{
			map[string]any{"type": "Prepend", "prepend": "▁"},
			map[string]any{"type": "Replace", "pattern": map[string]any{"String": " "}, "content": "▁"},
		}},
		"decoder": map[string]any{"type": "Sequence", "decoders": []any{
			map[string]any{"type": "Replace", "pattern": map[string]any{"String": "▁"}, "content": " "},
			map[string]any{"type": "Fuse"},
		}},
		"model": map[string]any{"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": false},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// llama.cpp loads what is exported, cuts texts into the same ids, and computes the same from them. The goldens hold
// what it said of these very files, so that one which changes asks for it again: with node-llama-cpp 3.22.1 in a
// folder's node_modules, STEPLM_LLAMACPP=/that/folder go test ./model/export -run InLlamaCpp -update.
func TestGGUFInLlamaCpp(t *testing.T) {
	for _, c := range ggufCases(t) {
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
}

func (c ggufCase) run(t *testing.T) {
	tok, err := tokenizer.Load(c.tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	m := c.load(t, tok.VocabSize()+3) // rows without a token too
	path := filepath.Join(t.TempDir(), "model.gguf")
	text := export.Text{Tokenizer: tok, BOS: &c.bos, EOS: &c.eos, ChatTemplate: c.template}
	w, err := m.Merged()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	files, err := export.To(t.Context(), export.GGUF{}, path,
		export.Model{Config: w.Config, DType: w.DType, Weights: w}, text, export.Options{DType: c.dtype, Name: c.name})
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	var got llamaCpp
	if got.SHA256 = hex.EncodeToString(sum[:]); len(files) != 1 || files[0].SHA256 != got.SHA256 {
		t.Errorf("it says %+v was written, the file has %s", files, got.SHA256)
	}
	scored := c.ids(t, tok)
	golden := filepath.Join("testdata", "gguf-"+c.name+".json")
	if folder := os.Getenv("STEPLM_LLAMACPP"); folder != "" {
		c.ask(t, folder, path, scored, &got)
		if *update {
			writeJSON(t, golden, got)
		}
	}
	var want llamaCpp
	modeltest.ReadJSON(t, golden, &want)
	if got.SHA256 != want.SHA256 {
		t.Errorf("the file is another than the one that llama.cpp was asked about: ask again, see above")
	}
	c.compare(t, tok, m, scored, want)
}

// load is the model: random ones have the vocabulary's rows.
func (c ggufCase) load(t *testing.T, vocab int) *model.Model {
	t.Helper()
	if c.model != "" {
		return modeltest.Load(t, gpu.NewHost(), c.model, modeltest.Inference)
	}
	config := model.Config{Hidden: 32, FFN: 48, Layers: 2, Heads: 4, KVHeads: 2, Vocab: vocab, MaxSeqLen: 64,
		NormEps: 1e-5, RopeTheta: 5000}
	return modeltest.New(t, gpu.NewHost(), modeltest.Inference(config), 3)
}

// ids are what is scored: the texts', at most as many as the random models' context.
func (c ggufCase) ids(t *testing.T, tok *tokenizer.Tokenizer) (list [][]uint32) {
	t.Helper()
	if c.sequences {
		var golden struct {
			Sequences []struct {
				IDs []uint32 `json:"ids"`
			}
		}
		modeltest.ReadJSON(t, filepath.Join(c.model, "golden.json"), &golden)
		for _, s := range golden.Sequences {
			list = append(list, s.IDs)
		}
		return list
	}
	for _, text := range texts[:2] {
		ids, err := tok.EncodeWithSpecial(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, ids[:min(len(ids), 40)])
	}
	return list
}

// ask runs the script.
func (c ggufCase) ask(t *testing.T, folder, path string, scored [][]uint32, got *llamaCpp) {
	t.Helper()
	request := map[string]any{"texts": texts, "scored": scored, "greedy": nil, "tokens": 60}
	if c.greedy {
		request["greedy"] = greedyPrompt(t).PromptIDs
	}
	stdin, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command("node", filepath.Join("testdata", "check_gguf.mjs"), folder, path)
	var stderr bytes.Buffer
	run.Stdin, run.Stderr = bytes.NewReader(stdin), &stderr
	out, err := run.Output()
	if err := errors.Join(err, json.Unmarshal(out, &got.Says)); err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.Bytes())
	}
}

// greedyGolden is one of the golden greedy continuations of stories260K.
type greedyGolden struct {
	PromptIDs []uint32 `json:"prompt_ids"`
	NewIDs    []uint32 `json:"new_ids"`
}

func greedyPrompt(t *testing.T) greedyGolden {
	t.Helper()
	var all struct{ Greedy []greedyGolden }
	modeltest.ReadJSON(t, datatest.Path(t, "generate/greedy.json"), &all)
	return all.Greedy[1]
}

// compare holds what llama.cpp said to what the tokenizer and the model say here.
func (c ggufCase) compare(t *testing.T, tok *tokenizer.Tokenizer, m *model.Model, scored [][]uint32, want llamaCpp) {
	t.Helper()
	s := want.Says
	if s.BOS != c.bos || s.EOS != c.eos || s.PutsBOS != c.puts {
		t.Errorf("llama.cpp has BOS %d, put first %v, and EOS %d; want %d, %v, %d", s.BOS, s.PutsBOS, s.EOS, c.bos,
			c.puts, c.eos)
	}
	if (s.Template != nil) != (c.template != "") || s.Template != nil && *s.Template != c.template {
		t.Errorf("the template is %v, want %q", s.Template, c.template)
	}
	for i, text := range texts {
		ids, err := tok.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.IDs[i], ids) {
			t.Errorf("%q is %v in llama.cpp, %v here", text, s.IDs[i], ids)
		}
	}
	worst := 0.0
	for i, ids := range scored {
		a := modeltest.NewActivations(t, m, model.Size{Batch: 1, SeqLen: len(ids)})
		logits := modeltest.Logits(t, m, a, modeltest.NewBatch(ids, ids))
		for at, id := range ids[1:] {
			row := logits[at*m.Vocab:][:m.Vocab]
			worst = max(worst, math.Abs(logProb(row, id)-s.LogProbs[i][at]))
		}
	}
	if !(worst <= c.tolerance) {
		t.Errorf("a log-probability is %g from ours, allowed %g", worst, c.tolerance)
	}
	t.Logf("log-probabilities are within %.2g of ours, allowed %g", worst, c.tolerance)
	if c.greedy && !slices.Equal(s.Greedy, greedyPrompt(t).NewIDs) {
		t.Errorf("greedy tokens %v, want %v", s.Greedy, greedyPrompt(t).NewIDs)
	}
}

// logProb is the natural logarithm of a token's probability.
func logProb(logits []float32, id uint32) float64 {
	most := float64(slices.Max(logits))
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x) - most)
	}
	return float64(logits[id]) - most - math.Log(sum)
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
