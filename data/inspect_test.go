package data

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/data/parquet"
)

func TestInspect(t *testing.T) {
	dir, rows := mixed(t)
	in, err := Inspect(dir, parquet.InspectOptions{First: 2, Tokenizer: byteTokenizer{}})
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Files) != 2 || in.Rows != 80 || in.RowGroups != 20 || in.RowsRead != 80 || in.Nulls != 0 ||
		len(in.Missing) != 0 || in.Bytes < 1000 {
		t.Errorf("%+v", in)
	}
	if len(in.Columns) != 10 || in.Columns[0].Name != "text" || in.Columns[0].Files != 2 ||
		!slices.Equal(in.Columns[0].Codecs, []string{"SNAPPY"}) || in.Columns[0].Compressed <= 0 ||
		in.Columns[8].Type != "DOUBLE" {
		t.Errorf("columns %+v", in.Columns)
	}
	size, shortest, longest := 0, len(rows[0].Text), 0
	for _, r := range rows {
		size += len(r.Text)
		shortest, longest = min(shortest, len(r.Text)), max(longest, len(r.Text))
	}
	for name, d := range map[string]*parquet.Distribution{"characters": in.Characters, "tokens": in.Tokens} {
		if d == nil || d.Count != 80 || d.Sum != float64(size) || d.Min != float64(shortest) ||
			d.Max != float64(longest) {
			t.Errorf("%s %+v", name, d)
			continue
		}
		n := int64(0)
		for i, b := range d.Bins {
			if n += b.Count; b.From >= b.To || i > 0 && d.Bins[i-1].To > b.From {
				t.Errorf("%s: bins %v", name, d.Bins)
			}
		}
		if n != 80 {
			t.Errorf("%s: bins hold %d values", name, n)
		}
	}
	if in.Scores.Count != 80 || len(in.Scores.Bins) != 10 ||
		in.Scores.Bins[9] != (parquet.Bin{From: 4.5, To: 5, Count: 8}) || in.Scores.Mean() != 2.25 {
		t.Errorf("scores %+v", in.Scores)
	}
	if !slices.Equal(in.Languages, []parquet.Share{{Value: "en", Rows: 28}, {Value: "de", Rows: 26},
		{Value: "fr", Rows: 26}}) {
		t.Errorf("languages %v", in.Languages)
	}
	if !slices.Equal(in.First, []string{rows[0].Text, rows[1].Text}) {
		t.Errorf("first %q", in.First)
	}
	if in, err = Inspect(dir, parquet.InspectOptions{Documents: 5}); err != nil || in.RowsRead != 8 || in.Rows != 80 ||
		in.Characters.Count != 8 || in.Tokens != nil {
		t.Errorf("of 5 rows: %+v, error %v", in, err)
	}
}

// What is damaged or missing is told; the rest is read.
func TestInspectSaysWhatIsMissing(t *testing.T) {
	dir, _ := mixed(t)
	damageGroup(t, filepath.Join(dir, "0.parquet"), 3)
	datatest.WriteColumn(t, filepath.Join(dir, "2.parquet"), []string{"one", datatest.Null})
	if err := os.WriteFile(filepath.Join(dir, "3.parquet"), []byte("nothing of the kind"), 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := Inspect(dir, parquet.InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if in.Rows != 82 || in.Characters.Count != 77 || in.Nulls != 1 || in.Scores.Count != 80 || len(in.Files) != 3 {
		t.Errorf("%+v", in)
	}
	for i, want := range []string{`0.parquet: row group 3, column "text"`, `2.parquet: no column "score"`,
		`2.parquet: no column "language"`, "3.parquet: not a readable"} {
		if i >= len(in.Missing) || !strings.Contains(in.Missing[i], want) {
			t.Fatalf("missing %q, want %q", in.Missing, want)
		}
	}
	if _, err := Inspect(filepath.Join(dir, "3.parquet"), parquet.InspectOptions{}); err == nil ||
		!strings.Contains(err.Error(), "3.parquet") {
		t.Errorf("a file that is none: error %v", err)
	}
}

// Any Parquet file is inspected, whoever wrote it.
func TestInspectForeignFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(datatest.Path(t, "parquet"), "*", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		in, err := Inspect(path, parquet.InspectOptions{})
		if err != nil {
			if datatest.OneLine(t, path, err); filepath.Base(path) != "truncated.parquet" {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if len(in.Columns) == 0 || len(in.Files) != 1 {
			t.Errorf("%s: %+v", path, in)
		}
	}
}

func TestInspectIsForParquet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl")
	datatest.WritePacked(t, path, `{"text":"a"}`)
	if _, err := Inspect(path, parquet.InspectOptions{}); err == nil ||
		!strings.Contains(err.Error(), "a.jsonl: only Parquet") {
		t.Errorf("error %v", err)
	}
}
