package inspect_test

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"steplm/data"
	"steplm/data/datatest"
	"steplm/data/inspect"
)

func TestInspect(t *testing.T) {
	dir, rows := datatest.Mixed(t)
	in, err := data.Inspect(dir, inspect.Options{First: 2, Tokenizer: byBytes{}})
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
	for name, d := range map[string]*inspect.Distribution{"characters": in.Characters, "tokens": in.Tokens} {
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
		in.Scores.Bins[9] != (inspect.Bin{From: 4.5, To: 5, Count: 8}) || in.Scores.Mean() != 2.25 {
		t.Errorf("scores %+v", in.Scores)
	}
	if !slices.Equal(in.Languages, []inspect.Share{{Value: "en", Rows: 28}, {Value: "de", Rows: 26},
		{Value: "fr", Rows: 26}}) {
		t.Errorf("languages %v", in.Languages)
	}
	if !slices.Equal(in.First, []string{rows[0].Text, rows[1].Text}) {
		t.Errorf("first %q", in.First)
	}
	if in, err = data.Inspect(dir, inspect.Options{Documents: 5}); err != nil || in.RowsRead != 8 || in.Rows != 80 ||
		in.Characters.Count != 8 || in.Tokens != nil {
		t.Errorf("of 5 rows: %+v, error %v", in, err)
	}
}

// What is damaged or missing is told; the rest is read.
func TestInspectSaysWhatIsMissing(t *testing.T) {
	dir, _ := datatest.Mixed(t)
	datatest.DamageGroup(t, filepath.Join(dir, "0.parquet"), 3)
	datatest.WriteColumn(t, filepath.Join(dir, "2.parquet"), []string{"one", datatest.Null})
	if err := os.WriteFile(filepath.Join(dir, "3.parquet"), []byte("nothing of the kind"), 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := data.Inspect(dir, inspect.Options{})
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
	if _, err := data.Inspect(filepath.Join(dir, "3.parquet"), inspect.Options{}); err == nil ||
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
		in, err := data.Inspect(path, inspect.Options{})
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

// byBytes has one id per byte.
type byBytes struct{}

func (byBytes) Encode(s string) ([]uint32, error) { return make([]uint32, len(s)), nil }

// The same rows give the same inspection, whatever the kind of their file.
func TestInspectTakesAllKinds(t *testing.T) {
	dir, rows := datatest.Mixed(t)
	want, err := data.Inspect(dir, inspect.Options{First: 2, Tokenizer: byBytes{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.jsonl", "a.json.gz", "a.ndjson.zst"} {
		path := filepath.Join(t.TempDir(), name)
		datatest.WritePacked(t, path, datatest.JSONLines(t, rows))
		got, err := data.Inspect(path, inspect.Options{First: 2, Tokenizer: byBytes{}})
		if err != nil {
			t.Fatal(err)
		}
		if got.Rows != want.Rows || got.RowsRead != want.RowsRead || got.TextBytes != want.TextBytes ||
			len(got.Missing) != 0 || got.Nulls != 0 || !slices.Equal(got.First, want.First) {
			t.Errorf("%s: %+v", name, got)
		}
		for what, d := range map[string][2]any{"characters": {got.Characters, want.Characters},
			"tokens": {got.Tokens, want.Tokens}, "scores": {got.Scores, want.Scores},
			"languages": {got.Languages, want.Languages}} {
			if !reflect.DeepEqual(d[0], d[1]) {
				t.Errorf("%s: %s %+v, want %+v", name, what, d[0], d[1])
			}
		}
		types := map[string]string{}
		for _, k := range got.Columns {
			types[k.Name] = k.Type
		}
		if !maps.Equal(types, map[string]string{"text": "string", "id": "string", "language": "string",
			"score": "number", "meta": "object"}) {
			t.Errorf("%s: columns %v", name, types)
		}
	}
	path := filepath.Join(t.TempDir(), "a.txt")
	datatest.WritePacked(t, path, "one\ntext")
	in, err := data.Inspect(path, inspect.Options{First: 1})
	if err != nil || in.Rows != 1 || in.Characters.Sum != 8 || in.First[0] != "one\ntext" || len(in.Missing) != 0 {
		t.Errorf("%+v, error %v", in, err)
	}
}

// Damaged lines, fields that are not there and files that are none are told.
func TestInspectSaysWhatIsMissingOfLines(t *testing.T) {
	dir := t.TempDir()
	datatest.WritePacked(t, filepath.Join(dir, "a.jsonl"), `{"text":"one","score":1}`+"\n\n"+`{"text":7}`+"\n"+
		`{"text":"two","score":NaN}`+"\n"+`{"text":null}`+strings.Repeat("\n{", 12))
	datatest.WritePacked(t, filepath.Join(dir, "b.jsonl"), "<html>")
	in, err := data.Inspect(dir, inspect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if in.Rows != 17 || in.RowsRead != 17 || in.Nulls != 2 || in.Characters.Count != 2 || in.Scores.Count != 1 {
		t.Errorf("%+v", in)
	}
	for i, want := range []string{`a.jsonl: line 3: field "text"`, "a.jsonl: line 6: not a JSON object", 9: "line 14",
		10: "a.jsonl: 3 more lines", 11: `no field "language"`, 12: "b.jsonl: a web page"} {
		if i >= len(in.Missing) || !strings.Contains(in.Missing[i], want) {
			t.Errorf("missing %q, want %q at %d", in.Missing, want, i)
		}
	}
}
