package corpus_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"steplm/data"
	"steplm/data/corpus"
)

// texts extracts the corpus and reads it as training does.
func texts(t *testing.T, pattern string) []string {
	t.Helper()
	dir := t.TempDir()
	if err := corpus.Extract(dir); err != nil {
		t.Fatal(err)
	}
	shards, err := data.Open(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for d, err := range shards.Documents(data.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d.Text)
	}
	return out
}

// The files are those that README describes.
func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	if err := corpus.Extract(dir); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\S+\.parquet) \| (\d+) \| ([0-9a-f]{64}) \|$`).FindAllStringSubmatch(
		string(readme), -1)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(entries) {
		t.Errorf("README lists %d files, there are %d", len(rows), len(entries))
	}
	for _, row := range rows {
		content, err := os.ReadFile(filepath.Join(dir, row[1]))
		if err != nil {
			t.Fatal(err)
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(content)); sum != row[3] {
			t.Errorf("%s has SHA-256 %s, README says %s", row[1], sum, row[3])
		}
		if n := strconv.Itoa(len(texts(t, row[1]))); n != row[2] {
			t.Errorf("%s holds %s documents, README says %s", row[1], n, row[2])
		}
	}
}

func TestSizes(t *testing.T) {
	for pattern, want := range map[string]int{corpus.Train: 600_000, corpus.Validation: 40_000} {
		size := 0
		for i, text := range texts(t, pattern) {
			if len(text) < 400 || len(text) > 2500 {
				t.Errorf("%s, document %d has %d bytes, want 400 to 2500", pattern, i, len(text))
			}
			size += len(text)
		}
		if size < want || size > want+2500 {
			t.Errorf("%s holds %d bytes of text, want %d and at most one document more", pattern, size, want)
		}
	}
}

// No held-out document may be known from training: not the document, and for
// the most part not its paragraphs either.
func TestHeldOutIsDisjoint(t *testing.T) {
	documents, paragraphs := map[string]bool{}, map[string]bool{}
	for _, text := range texts(t, corpus.Train) {
		if documents[text] {
			t.Errorf("twice in the training text: %q", text)
		}
		documents[text] = true
		for p := range strings.SplitSeq(text, "\n\n") {
			paragraphs[p] = true
		}
	}
	known, total := 0, 0
	for _, text := range texts(t, corpus.Validation) {
		if documents[text] {
			t.Errorf("held out and in the training text: %q", text)
		}
		for p := range strings.SplitSeq(text, "\n\n") {
			total += len(p)
			if paragraphs[p] {
				known += len(p)
			}
		}
	}
	share := float64(known) / float64(total)
	t.Logf("%.1f %% of the held-out text stands in paragraphs that the training text has too", 100*share)
	if share > 0.25 {
		t.Errorf("%.1f %% of the held-out text stands in known paragraphs, want at most 25 %%", 100*share)
	}
}

// What a slip in a template would leave behind.
func TestTextIsClean(t *testing.T) {
	slips := regexp.MustCompile(`[{}\[\]|#%]|  | [.,;:?!]|[.,][.,]|\.,|\b[Aa] [aeiou]|\.\w`)
	fine := regexp.MustCompile(`\b[Aa] (one|once|use|uni)`)
	words := map[string]bool{}
	for _, pattern := range []string{corpus.Train, corpus.Validation} {
		for _, text := range texts(t, pattern) {
			if at := slips.FindString(fine.ReplaceAllString(text, "")); at != "" {
				t.Errorf("%q in %q", at, text)
			}
			for _, r := range text {
				if r > 126 || r < 32 && r != '\n' {
					t.Errorf("character %q in %q", r, text)
				}
			}
			for _, word := range regexp.MustCompile(`[a-z]+`).FindAllString(strings.ToLower(text), -1) {
				words[word] = true
			}
		}
	}
	if len(words) < 1500 {
		t.Errorf("%d different words, want at least 1500", len(words))
	}
}

func TestExtractLeavesGoodFilesAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "corpus")
	if err := corpus.Extract(dir); err != nil {
		t.Fatal(err)
	}
	good, bad := filepath.Join(dir, "train-00000.parquet"), filepath.Join(dir, corpus.Validation)
	content, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, path := range []string{good, bad} {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(bad, content[:len(content)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := corpus.Extract(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(good); err != nil || !info.ModTime().Equal(long) {
		t.Errorf("a file with the right content was written again (%v, %v)", info.ModTime(), err)
	}
	if again, err := os.ReadFile(bad); err != nil || string(again) != string(content) {
		t.Errorf("a damaged file was not repaired: %d bytes, want %d (%v)", len(again), len(content), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 {
		t.Errorf("%d files in the directory, want 3: %v", len(entries), entries)
	}
}

func TestExtractSaysWhereItFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "occupied")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := corpus.Extract(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("extracting into a file gave %v, want an error that names %s", err, file)
	}
}
