package tokens

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
	"steplm/data/inspect"
)

func TestDataInspect(t *testing.T) {
	dir := t.TempDir()
	clitest.ScoredShard(t, filepath.Join(dir, "0.parquet"))
	if err := os.WriteFile(filepath.Join(dir, "1.parquet"), []byte("\x1b[31mnone"), 0o644); err != nil {
		t.Fatal(err)
	}
	m := clitest.NewMaterial(t)
	out := clitest.Succeed(t, "", "data", "inspect", dir, "--tokenizer", m.Tokenizer)
	for _, part := range []string{
		"1 files, 40 rows in 10 row groups", "0.parquet", "UNCOMPRESSED", "DOUBLE", "40 of 40 rows read",
		"characters per document: mean",
		"128 up to 256", "tokens per document", "bytes of text each", "score: mean 2, from 0 to 4", "fr", "50.0 %",
		"text 1: document 0. The cat", "text 3:", "missing", "1.parquet: not a readable Parquet file",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in\n%s", part, out)
		}
	}
	if strings.Contains(out, "text 4:") || strings.Contains(out, "\x1b") {
		t.Errorf("printed\n%s", out)
	}

	var in inspect.Inspection
	if err := json.Unmarshal([]byte(clitest.Succeed(t, "", "data", "inspect", dir, "--json", "--first", "1",
		"--documents",
		"5")), &in); err != nil {
		t.Fatal(err)
	}
	if in.Rows != 40 || in.RowsRead != 8 || len(in.First) != 1 || in.Tokens != nil || len(in.Missing) != 1 {
		t.Errorf("%+v", in)
	}

	clitest.Fail(t, 1, []string{"1.parquet"}, "data", "inspect", filepath.Join(dir, "1.parquet"))
	clitest.Fail(t, 1, []string{"no such file"}, "data", "inspect", filepath.Join(dir, "2.parquet"))
	clitest.Fail(t, 2, []string{"--documents -1", "0 or more"}, "data", "inspect", dir, "--documents=-1")
}

// A file without a text says so and is described all the same.
func TestDataInspectWithoutText(t *testing.T) {
	path := datatest.Path(t, "parquet/good/alltypes_plain.snappy.parquet")
	out := clitest.Succeed(t, "", "data", "inspect", path)
	for _, part := range []string{"bigint_col", "SNAPPY", `no column "text"`, `no column "score"`,
		`no column "language"`} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in\n%s", part, out)
		}
	}
}

// JSON Lines are inspected as Parquet is.
func TestDataInspectLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json.gz")
	datatest.WritePacked(t, path, `{"text":"one","score":1.5,"language":"en"}`+"\n"+
		`{"text":"two","score":NaN}`+"\n")
	out := clitest.Succeed(t, "", "data", "inspect", path)
	for _, part := range []string{"1 files, 2 rows", "gzip", "string", "number",
		"2 of 2 rows read: 6 B of text, 0 null",
		"score: mean 1.5", "en", "text 2: two"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in\n%s", part, out)
		}
	}
}

// The longest line that is read is bounded by a flag.
func TestDataTokenizeMaxLine(t *testing.T) {
	m := clitest.NewMaterial(t)
	path := filepath.Join(t.TempDir(), "a.jsonl")
	datatest.WritePacked(t, path, `{"text":"`+strings.Repeat("x", 3000)+`"}`+"\n")
	args := []string{"data", "tokenize", path, "--tokenizer", m.Tokenizer, "--cache", t.TempDir()}
	clitest.Fail(t, 1, []string{"line 1 is longer than the 2048 bytes"}, append(args, "--max-line", "2KiB")...)
	clitest.Succeed(t, "", append(args, "--max-line", "4KiB")...)
}
