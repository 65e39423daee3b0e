package kind_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data"
	"steplm/data/datatest"
)

func collect(t *testing.T, s *data.Shards) []data.Document {
	t.Helper()
	docs, err := datatest.All(s.Documents(data.Position{}))
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func textsOf(docs []data.Document) []string {
	var all []string
	for _, d := range docs {
		all = append(all, d.Text)
	}
	return all
}

// What public bug reports were about, with the values that pyarrow and others give.
func TestReportedFiles(t *testing.T) {
	for _, tt := range []struct {
		name  string
		texts []string // nil: an error that says want
		want  []string
	}{
		{"bom.jsonl", []string{"a", "b"}, nil},
		{"nan.jsonl", []string{"a", "b"}, nil},
		{"surrogate_lone.jsonl", nil, []string{"line 1", `field "text"`, `\ud83d`}},
		{"c4-train.00000-of-01024.json.gz", []string{"hello one", "two"}, nil},
		{"lfs_pointer.parquet", nil, []string{"Git LFS pointer", "2147483648 bytes", "git lfs pull"}},
		{"gated_html.parquet", nil, []string{"a web page", "download it again"}},
		{"duplicate_column.parquet", nil, []string{"columns 1 and 2 of 2", `"text"`}},
		{"zero_rows.parquet", nil, []string{"no rows"}},
		{"zlong31.jsonl.zst", nil, []string{"window of 2147483648 bytes", "at most 536870912"}},
	} {
		path := datatest.Path(t, "reports/"+tt.name)
		s, err := data.Open(path)
		var texts []string
		if err == nil {
			var docs []data.Document
			docs, err = datatest.All(s.Documents(data.Position{}))
			texts = textsOf(docs)
		}
		if tt.texts != nil {
			if err != nil || !slices.Equal(texts, tt.texts) {
				t.Errorf("%s: %q, error %v", tt.name, texts, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: no error, texts %q", tt.name, texts)
			continue
		}
		datatest.OneLine(t, path, err)
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not say %q", tt.name, err, want)
			}
		}
	}
}

// Zero bytes after a member of gzip are padding.
func TestReportedGzipPadding(t *testing.T) {
	s, err := data.Open(datatest.Path(t, "reports/gz_trailing_zeros.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if docs := collect(t, s); len(docs) != 2 {
		t.Errorf("%q", textsOf(docs))
	}
}

// 250 rows of Parquet's LZ4_RAW, 50 of them null, as pyarrow counts.
func TestReportedLZ4(t *testing.T) {
	s, err := data.Open(datatest.Path(t, "reports/lz4_raw.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	docs := collect(t, s)
	for _, d := range docs {
		size += len(d.Text)
	}
	if s.Rows() != 250 || s.Nulls() != 50 || len(docs) != 200 || size != 2850 {
		t.Errorf("%d rows, %d null, %d texts of %d bytes", s.Rows(), s.Nulls(), len(docs), size)
	}
}

// A lone surrogate is one bad line where bad lines are left out and counted.
func TestReportedSurrogateIsCounted(t *testing.T) {
	var log []string
	s, err := data.OpenWith(datatest.Path(t, "reports/surrogate_lone.jsonl"),
		data.OpenOptions{SkipBad: true, Log: func(m string) { log = append(log, m) }})
	if err != nil {
		t.Fatal(err)
	}
	if docs := collect(t, s); len(docs) != 0 || s.Dropped().Skipped != 1 || len(log) != 1 {
		t.Errorf("%q, %+v, log %q", textsOf(docs), s.Dropped(), log)
	}
}

// A shard without rows beside others is said and left out, of any kind.
func TestEmptyShards(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	datatest.WriteColumn(t, at("a.parquet"), nil)
	datatest.WriteColumn(t, at("b.parquet"), []string{"one", "two"})
	datatest.WritePacked(t, at("c.jsonl"), "")
	datatest.WritePacked(t, at("d.jsonl.gz"), "")
	datatest.WritePacked(t, at("e.txt"), "")
	datatest.WritePacked(t, at("f.jsonl"), `{"text":"three"}`)
	var log []string
	o := data.OpenOptions{Log: func(m string) { log = append(log, m) }}
	s, err := data.OpenWith(at("*.*"), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := textsOf(collect(t, s)); !slices.Equal(got, []string{"one", "two", "three"}) ||
		len(log) != 4 || !strings.Contains(log[0], "a.parquet: a file of 0 rows") || s.BadFiles() != 0 {
		t.Errorf("%q, log %q", got, log)
	}
	if _, err := data.OpenFiles("x", []string{at("a.parquet"), at("e.txt"), at("c.jsonl")}, o); err == nil ||
		!strings.Contains(err.Error(), "a.parquet: no rows, as in 2 others") {
		t.Errorf("nothing but empty files: error %v", err)
	}
}
