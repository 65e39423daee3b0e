package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
	"steplm/data/tokenizer"
)

// withTokens is material whose tokenizer has more added tokens: <eos> (300), a special one, and </s> (301), which is an
// ordinary one as in Gemma's.
func withTokens(t *testing.T) clitest.Material {
	m := clitest.NewMaterial(t)
	file := map[string]any{}
	if err := json.Unmarshal([]byte(clitest.Contents(t, m.Tokenizer)), &file); err != nil {
		t.Fatal(err)
	}
	added := func(id int, text string, special bool) map[string]any {
		return map[string]any{"id": id, "content": text, "special": special, "normalized": false, "lstrip": false,
			"rstrip": false, "single_word": false}
	}
	file["added_tokens"] = []any{added(300, "<eos>", true), added(301, "</s>", false)}
	content, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	m.Tokenizer = clitest.WriteFile(t, "tokenizer.json", string(content))
	return m
}

// spaced is an ordinary token that begins with a space, which the vocabulary has by another text.
func spaced(t *testing.T, path string) (id int, text string) {
	tok, err := tokenizer.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint32(tok.VocabSize()) {
		if text := tok.Token(id); len(text) > 3 && strings.HasPrefix(text, "Ġ") {
			return int(id), text
		}
	}
	t.Fatal("there is none")
	return 0, ""
}

// exported are the ids that config.json of a run's final model names.
func exported(t *testing.T, run string) (ids struct {
	BOS int `json:"bos_token_id"`
	EOS int `json:"eos_token_id"`
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(clitest.Contents(t, run, "final", "config.json")), &ids); err != nil {
		t.Fatal(err)
	}
	return ids
}

// saved are the tokens that a run's folder says it was begun with.
func saved(t *testing.T, run string) (spec struct{ Data struct{ EOS, BOS string } }) {
	t.Helper()
	if err := json.Unmarshal([]byte(clitest.Contents(t, run, "spec.json")), &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// A run takes the end of its documents from the tokenizer's special tokens, or as it is told; it says so, keeps it, and
// exports it. One that was begun before there was a choice goes on with the token that it took by its name.
func TestPretrainTakesSpecialTokens(t *testing.T) {
	m := withTokens(t)
	own, named, plain := clitest.NewRun(t), clitest.NewRun(t), clitest.NewRun(t)
	flags := []string{"--device", "host", "--save-every", "3", "--keep", "0"}
	out := clitest.Succeed(t, "", m.Pretrain(own, flags...)...)
	if want := "after each document <eos> (300), its special token"; !strings.Contains(out, want) {
		t.Errorf("no %q in %q", want, out)
	}
	if ids := exported(t, own); ids.EOS != 300 || ids.BOS != 300 || saved(t, own).Data.EOS != "<eos>" {
		t.Errorf("exported %+v, saved %+v", ids, saved(t, own))
	}
	bos, token := spaced(t, m.Tokenizer)
	for run, more := range map[string][]string{named: {"--eos", "</s>", "--bos", strconv.Itoa(bos)},
		plain: {"--eos", "301"}} {
		out = clitest.Succeed(t, "", m.Pretrain(run, append(more, flags...)...)...)
		if want := "after each document </s> (301), as named"; !strings.Contains(out, want) {
			t.Errorf("no %q in %q", want, out)
		}
	}
	if ids, s := exported(t, named), saved(t, named); ids.EOS != 301 || ids.BOS != bos ||
		s.Data.BOS != strconv.Itoa(bos) {
		t.Errorf("exported %+v, saved %+v", ids, s)
	}
	if scores := clitest.Score(t, "--model", named, "--text", "a", "--device", "host"); scores.IDs[0] != uint32(bos) {
		t.Errorf("score begins with %d", scores.IDs[0])
	}

	special := map[string]string{}
	file := clitest.Contents(t, named, "final", "special_tokens_map.json")
	if err := json.Unmarshal([]byte(file), &special); err != nil || special["bos_token"] != token ||
		special["eos_token"] != "</s>" {
		t.Errorf("exported %q, want %q: %v", special, token, err)
	}
	of := func(model string, more ...string) float64 {
		return clitest.Perplexity(t, append([]string{"--model", model, "--data", m.Validation, "--device", "host"},
			more...)...).Results[0].Perplexity
	}
	trained, copied := of(named), of(filepath.Join(named, "final"), "--context", "16")
	if other := of(named, "--eos", "<eos>"); trained != copied || trained == other {
		t.Errorf("perplexity %g of the run, %g of its model alone, %g with another end", trained, copied, other)
	}

	// As an earlier version left it: without the field, stopped after step 3.
	want := clitest.LossLines(t, plain)
	spec := strings.Replace(clitest.Contents(t, plain, "spec.json"), `"eos": "301"`, `"text_column": "text"`, 1)
	if saved(t, plain).Data.EOS != "301" || strings.Contains(spec, `"eos"`) {
		t.Fatalf("spec.json: %s", spec)
	}
	for name, content := range map[string]string{"spec.json": spec,
		filepath.Join("checkpoints", "LATEST"): "step-3\n"} {
		if err := os.WriteFile(filepath.Join(plain, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out = clitest.Succeed(t, "", "pretrain", "--resume", plain, "--device", "host")
	if got := clitest.LossLines(t, plain); got != want || !strings.Contains(out, "</s> (301)") {
		t.Errorf("losses\n%s\nwant\n%s\n%s", got, want, out)
	}
	clitest.Fail(t, 1, []string{"eos", "<eos>", "was begun with"}, "pretrain", "--resume", own, "--eos", "</s>")

	clitest.Refused(t, m, 2, []string{"--eos <none>", "none of this text"}, "--device", "host", "--eos", "<none>")
	clitest.Refused(t, m, 2, []string{"--bos 302", "vocabulary size 302"}, "--device", "host", "--bos", "302")
	clitest.Fail(t, 2, []string{"--eos <none>"}, "data", "tokenize", m.Train, "--tokenizer", m.Tokenizer, "--eos",
		"<none>", "--cache", t.TempDir())
	tokenized := clitest.Succeed(t, "", "data", "tokenize", m.Train, "--tokenizer", m.Tokenizer, "--eos", "</s>",
		"--cache", t.TempDir())
	if !strings.Contains(tokenized, "</s> (301), as named") {
		t.Errorf("data tokenize does not say which: %s", tokenized)
	}
}

// The reported tokenizer begins texts with 0, and so does the exported model; its end is 1.
func TestPretrainExportsTheTokenizersBeginning(t *testing.T) {
	m := clitest.Material{Train: datatest.Path(t, "reports/two_docs.jsonl"),
		Tokenizer: datatest.Path(t, "reports/c03_llama3_like_tokenizer.json")}
	run := clitest.NewRun(t)
	out := clitest.Succeed(t, "", m.Pretrain(run, "--device", "host", "--seq-len", "4")...)
	if want := "before each document <|begin_of_text|> (0), its post-processor puts it first; after each document " +
		"<|end_of_text|> (1)"; !strings.Contains(out, want) {
		t.Errorf("no %q in %q", want, out)
	}
	if ids, s := exported(t, run), saved(t, run); ids.BOS != 0 || ids.EOS != 1 || s.Data.BOS != "<|begin_of_text|>" ||
		s.Data.EOS != "<|end_of_text|>" {
		t.Errorf("exported %+v, saved %+v", ids, s)
	}
}
