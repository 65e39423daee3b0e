package clitest

import (
	"os"
	"path/filepath"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
)

// Text is something for a small tokenizer and a small model.
const Text = "The cat sat on the mat. The dog sat on the log. Where did the cat go? The cat ran to the dog; the dog " +
	"ran to the cat.\n"

// RandomModel is a directory with an untrained model of 32 positions and, for
// its ids, a tokenizer of 270 to 280 of them.
func RandomModel(t *testing.T, vocab int) string {
	t.Helper()
	parent := t.TempDir()
	d, err := checkpoint.Begin(parent, "model")
	if err != nil {
		t.Fatal(err)
	}
	c := model.Config{Hidden: 16, FFN: 24, Layers: 2, Heads: 4, KVHeads: 2, Vocab: vocab, MaxSeqLen: 32, NormEps: 1e-5,
		RopeTheta: 10000, Tied: true}
	m, err := model.New(gpu.NewHost(), model.Plain(c, c.Layers).ForInference())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := m.Init(1, nil); err != nil {
		t.Fatal(err)
	}
	if err := export.Trained(export.HuggingFace{}, d, m, export.Text{}); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "model")
	// The tokenizer comes from elsewhere.
	if err := os.Remove(filepath.Join(dir, "checksums.json")); err != nil {
		t.Fatal(err)
	}
	corpus := WriteFile(t, "corpus.txt", Text)
	Succeed(t, "", "tokenizer", "train", "--data", corpus, "--vocab", "280", "--out",
		filepath.Join(dir, "tokenizer.json"))
	return dir
}

func WriteFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
