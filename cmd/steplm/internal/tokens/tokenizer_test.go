package tokens

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
)

// jsonLines writes one JSON value per line.
func jsonLines[T any](t *testing.T, values ...T) string {
	t.Helper()
	var b strings.Builder
	for _, v := range values {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.String()
}

func TestTokenizerTrainEncodeDecode(t *testing.T) {
	out := filepath.Join(t.TempDir(), "tokenizer.json")
	report := clitest.Succeed(t, "", "tokenizer", "train", "--data", clitest.WriteFile(t, "a.txt", clitest.Text),
		"--vocab", "270", "--out",
		out)
	if !strings.Contains(report, "270 tokens, learnt from 1 document,") {
		t.Errorf("train said %q", report)
	}
	texts := []string{clitest.Text, "", "caf\u00e9 <&> \u2028 \x00\n\t\"quoted\"", "<|endoftext|>",
		strings.Repeat("the cat and ", 200_000)}
	ids := clitest.Succeed(t, jsonLines(t, texts...), "tokenizer", "encode", "--tokenizer", out)
	if n := strings.Count(ids, "\n"); n != len(texts) {
		t.Fatalf("%d lines for %d texts", n, len(texts))
	}
	if lines := strings.Split(ids, "\n"); lines[1] != "[]" || lines[3] != "[0]" {
		t.Errorf("the empty text is %s, the end of text %s", lines[1], lines[3])
	}
	// The last line needs no line break, and Windows' is one.
	back := clitest.Succeed(t, strings.ReplaceAll(strings.TrimSuffix(ids, "\n"), "\n", "\r\n"), "tokenizer", "decode",
		"--tokenizer", out)
	for i, line := range strings.Split(strings.TrimSuffix(back, "\n"), "\n") {
		var got string
		if err := json.Unmarshal([]byte(line), &got); err != nil || got != texts[i] {
			t.Errorf("text %d came back as %.100q (%v)", i, got, err)
		}
	}
}

// Shards and a limit on what is read of them.
func TestTokenizerTrainReadsShards(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "tokenizer.json")
	var rows []datatest.Row
	for range 50 {
		rows = append(rows, datatest.Row{Text: clitest.Text})
	}
	if err := datatest.WriteShard(filepath.Join(dir, "a.parquet"), rows, datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[string]string{"0": "from 50 documents", "300": "from 3 documents"} {
		report := clitest.Succeed(t, "", "tokenizer", "train", "--data", dir, "--vocab", "5000", "--out", out,
			"--max-bytes",
			limit)
		if !strings.Contains(report, want) || !strings.Contains(report, "no more pairs") {
			t.Errorf("--max-bytes %s: %q, want %q and a smaller vocabulary explained", limit, report, want)
		}
	}
}

func TestTokenizerAddsSpecialTokens(t *testing.T) {
	path := filepath.Join("..", "..", "..", "..", "data", "tokenizer", "testdata", "trained", "tokenizer.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	file["post_processor"] = map[string]any{
		"type": "TemplateProcessing",
		"single": []any{map[string]any{"SpecialToken": map[string]any{"id": "<|endoftext|>", "type_id": 0}},
			map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}}},
		"pair": []any{map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}},
			map[string]any{"Sequence": map[string]any{"id": "B", "type_id": 1}}},
		"special_tokens": map[string]any{"<|endoftext|>": map[string]any{
			"id": "<|endoftext|>", "ids": []any{0}, "tokens": []any{"<|endoftext|>"}}},
	}
	with, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	path = clitest.WriteFile(t, "tokenizer.json", string(with))
	plain := clitest.Succeed(t, `"!"`, "tokenizer", "encode", "--tokenizer", path)
	special := clitest.Succeed(t, `"!"`, "tokenizer", "encode", "--tokenizer", path, "--add-special")
	if want := "[0," + strings.TrimPrefix(plain, "["); special != want {
		t.Errorf("without %s, with %s, want %s", plain, special, want)
	}
}

func TestTokenizerErrors(t *testing.T) {
	tok := filepath.Join("..", "..", "..", "..", "data", "tokenizer", "testdata", "trained", "tokenizer.json")
	for _, c := range []struct {
		command, stdin string
		answers        int
		parts          []string
	}{
		{"encode", "\"a\"\n\"b\"\nc\n\"d\"\n", 2, []string{"line 3", "not a JSON string"}},
		{"encode", "\"a\"\n\n", 1, []string{"line 2", "not a JSON string"}},
		{"encode", "null\n", 0, []string{"line 1", "not a JSON string"}},
		{"encode", "\"a\" \"b\"\n", 0, []string{"line 1", "not a JSON string"}},
		{"decode", "[1]\n[-1]\n", 1, []string{"line 2", "not a JSON array of ids"}},
		{"decode", "[1,null]\n", 0, []string{"line 1", "null"}},
		{"decode", "null\n", 0, []string{"line 1", "not a JSON array"}},
		{"decode", "[1]\n[2]\n[4000000000]\n", 2, []string{"line 3", "4000000000", "vocabulary size"}},
	} {
		stdout, stderr, code := clitest.Call(t, c.stdin, "tokenizer", c.command, "--tokenizer", tok)
		clitest.CheckFailure(t, c.command+" "+c.stdin, stderr, code, 1, c.parts...)
		if n := strings.Count(stdout, "\n"); n != c.answers {
			t.Errorf("%s %q: %d answers before the error, want %d", c.command, c.stdin, n, c.answers)
		}
	}
	out := filepath.Join(t.TempDir(), "tokenizer.json")
	missing := filepath.Join(t.TempDir(), "missing")
	corpus := clitest.WriteFile(t, "a.txt", clitest.Text)
	clitest.Fail(t, 1, []string{missing}, "tokenizer", "train", "--data", missing, "--vocab", "300", "--out", out)
	clitest.Fail(t, 1, []string{"no *.parquet"}, "tokenizer", "train", "--data", t.TempDir(), "--vocab", "300", "--out",
		out)
	clitest.Fail(t, 1, []string{"200", "257"}, "tokenizer", "train", "--data", corpus, "--vocab", "200", "--out", out)
	clitest.Fail(t, 1, []string{missing}, "tokenizer", "train", "--data", corpus, "--vocab", "300", "--out",
		filepath.Join(missing, "t.json"))
	clitest.Fail(t, 2, []string{"--max-bytes"}, "tokenizer", "train", "--data", corpus, "--vocab", "300", "--out", out,
		"--max-bytes", "-1")
	clitest.Fail(t, 1, []string{missing}, "tokenizer", "encode", "--tokenizer", missing)
	if _, err := os.Stat(out); err == nil {
		t.Error("a training that failed left a tokenizer")
	}
}

// Another program asks and waits for the answer before it goes on; then it
// interrupts.
func TestTokenizerAnswersAtOnceAndStops(t *testing.T) {
	tok := filepath.Join("..", "..", "..", "..", "data", "tokenizer", "testdata", "trained", "tokenizer.json")
	c := clitest.StartChild(t, clitest.CallOf(t.Context(), "tokenizer", "encode", "--tokenizer", tok))
	answers := bufio.NewReader(c.Out)
	for range 2 {
		c.Say("\"!\"\n")
		if line, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(line, "[") {
			t.Fatalf("answered %q (%v)", line, err)
		}
	}
	c.Interrupt(os.Interrupt)
	c.Fails(1, "interrupted")
}

// The conformance pairs of GPT-2, through the command.
func TestTokenizerEncodeConformance(t *testing.T) {
	gpt2 := datatest.Path(t, "tokenizers/gpt2")
	read := func(name string) string {
		b, err := os.ReadFile(datatest.Path(t, "tokenizers/cases/"+name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	texts := strings.Split(read("ggml-vocab-gpt-2.gguf.inp"), "\n__ggml_vocab_test__\n")
	want := strings.Split(strings.TrimSuffix(read("ggml-vocab-gpt-2.gguf.out"), "\n"), "\n")
	if len(texts) != len(want) {
		texts = texts[:len(want)]
	}
	got := strings.Split(clitest.Succeed(t, jsonLines(t, texts...), "tokenizer", "encode", "--tokenizer", gpt2), "\n")
	for i, line := range want {
		if ids := "[" + strings.Join(strings.Fields(line), ",") + "]"; got[i] != ids {
			t.Errorf("%q: %s, want %s", texts[i], got[i], ids)
		}
	}
}

// Where the tokenizer cannot be written is said before the text is read.
func TestTokenizerTrainChecksOut(t *testing.T) {
	text := clitest.WriteFile(t, "text.txt", clitest.Text)
	dir := t.TempDir()
	for _, out := range []string{filepath.Join(dir, "none", "tokenizer.json"), dir} {
		// The data are missing too: what is said shows what was looked at first.
		clitest.Fail(t, 1, []string{"--out", out}, "tokenizer", "train", "--data", filepath.Join(dir, "missing"),
			"--vocab", "300", "--out", out)
	}
	clitest.Fail(t, 2, []string{"--vocab"}, "tokenizer", "train", "--data", text, "--vocab", "1e30", "--out", dir)
	if left := clitest.Entries(t, dir); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}
