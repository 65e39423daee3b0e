package data

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// The same rows give the same documents, counts and, unshuffled, batches as
// Parquet's, with every filter.
func TestLinesAreReadAsParquetIs(t *testing.T) {
	parquet, rows := datatest.Mixed(t)
	two := 2.0
	for _, suffix := range []string{"", ".gz", ".zst"} {
		dir := t.TempDir()
		datatest.WritePacked(t, filepath.Join(dir, "0.jsonl"+suffix), datatest.JSONLines(t, rows[:40]))
		datatest.WritePacked(t, filepath.Join(dir, "1.JSONL"+suffix),
			strings.TrimSuffix(datatest.JSONLines(t, rows[40:]), "\n"))
		for _, f := range []Filter{{}, {MinScore: &two}, {Languages: []string{"fr"}, MaxChars: 60},
			{Dedupe: true, Holdout: 0.2, MinScore: &two, Languages: []string{"en", "de"}}} {
			a, err := OpenWith(parquet, OpenOptions{Filter: f})
			if err != nil {
				t.Fatal(err)
			}
			b, err := OpenWith(dir, OpenOptions{Filter: f})
			if err != nil {
				t.Fatal(err)
			}
			want, got := collect(t, a.Documents(Position{})), collect(t, b.Documents(Position{}))
			if !slices.Equal(got, want) || a.Dropped() != b.Dropped() || a.Rows() != b.Rows() {
				t.Errorf("%s, %s: %d documents of %d rows, %+v; Parquet has %d of %d, %+v", suffix, f, len(got),
					b.Rows(), b.Dropped(), len(want), a.Rows(), a.Dropped())
			}
			o := Options{BatchSize: 2, SeqLen: 8}
			la, lb := newLoader(t, a, o), newLoader(t, b, o)
			for range 20 {
				if !slices.Equal(next(t, la).Inputs, next(t, lb).Inputs) {
					t.Fatalf("%s, %s: batches differ", suffix, f)
				}
			}
		}
	}
}

// Long files have many row groups, read in any order; a cursor goes on anywhere.
func TestLinesHaveRowGroups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl")
	var rows []datatest.Row
	for i := range 3500 {
		rows = append(rows, datatest.Row{Text: fmt.Sprintf("line %d", i)})
	}
	datatest.WritePacked(t, path, datatest.JSONLines(t, rows))
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.units()); n != 4 || s.Rows() != 3500 {
		t.Fatalf("%d row groups, %d rows", n, s.Rows())
	}
	for _, at := range []int64{0, 999, 1000, 2500, 3499} {
		if docs := collect(t, s.Documents(Position{Row: at})); len(docs) != int(3500-at) ||
			docs[0].Text != fmt.Sprintf("line %d", at) {
			t.Errorf("from row %d: %d documents", at, len(docs))
		}
	}
	o := Options{BatchSize: 4, SeqLen: 32, BlockWindows: 50, Shuffle: true, Seed: 2}
	l := newLoader(t, s, o)
	for range 100 {
		next(t, l)
	}
	c := l.Cursor()
	want := next(t, l)
	again := newLoader(t, s, o)
	if err := again.Seek(c); err != nil {
		t.Fatal(err)
	}
	if got := next(t, again); !slices.Equal(got.Inputs, want.Inputs) {
		t.Error("the batch after Seek differs")
	}
}

func TestLinesRefuse(t *testing.T) {
	dir := t.TempDir()
	score := 1.0
	good := `{"text":"a"}` + "\n"
	for i, tt := range []struct {
		content string
		o       OpenOptions
		want    string
	}{
		{good + "{\"text\":\"b\"\n" + good, OpenOptions{}, "line 2: not a JSON object"},
		{good + good + `["text"]`, OpenOptions{}, "line 3: not a JSON object"},
		{good + "null\n", OpenOptions{}, "line 2: not a JSON object: null"},
		{good + `{"text":7}`, OpenOptions{}, `line 2: field "text": cannot unmarshal number`},
		{good + "{\"text\":\"\xff\"}", OpenOptions{}, "line 2: not UTF-8"},
		{good, OpenOptions{Column: "content"}, `line 1: no field "content"; the line has text`},
		{good, OpenOptions{Filter: Filter{MinScore: &score}}, `the filter (min-score 1) cannot work: no field "score"`},
		{`{"text":"a","score":"high"}`, OpenOptions{Filter: Filter{MinScore: &score}}, `line 1: field "score"`},
		{"", OpenOptions{}, "no rows"},
	} {
		path := filepath.Join(dir, fmt.Sprintf("%d.jsonl", i))
		datatest.WritePacked(t, path, tt.content)
		s, err := OpenWith(path, tt.o)
		if err == nil {
			for _, e := range s.Documents(Position{}) {
				err = e
			}
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v does not say %q", tt.content, err, tt.want)
			continue
		}
		datatest.OneLine(t, path, err)
	}
}

func TestLinesSkipBad(t *testing.T) {
	dir := t.TempDir()
	datatest.WritePacked(t, filepath.Join(dir, "a.jsonl"), `{"text":"one"}`+"\n"+`{"text":`+"\n\n"+`{"text":null}`+"\n"+
		`{"other":1}`+"\r\n"+`{"text":"two"}`)
	datatest.WritePacked(t, filepath.Join(dir, "b.jsonl.gz"), strings.Repeat(`{"text":"three"}`+"\n", 100))
	b, err := os.ReadFile(filepath.Join(dir, "b.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.jsonl.gz"), b[:len(b)-9], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "b.jsonl.gz: after ") {
		t.Errorf("a file that is cut: error %v", err)
	}
	var log []string
	s, err := OpenWith(dir, OpenOptions{SkipBad: true, Log: func(m string) { log = append(log, m) }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := textsOf(collect(t, s.Documents(Position{}))); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("documents %q", got)
		}
	}
	if d := s.Dropped(); d != (Dropped{Nulls: 6, Skipped: 2}) || s.BadFiles() != 1 || s.Rows() != 6 {
		t.Errorf("%+v of %d rows, %d bad files", d, s.Rows(), s.BadFiles())
	}
	if len(log) != 2 || !strings.Contains(log[0], "skipped a file") || !strings.Contains(log[1], "skipped 1 row") ||
		!strings.Contains(log[1], "line 2") {
		t.Errorf("log %q", log)
	}
}

func TestTextFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"1.txt", "2.txt.gz", "3.txt.zst"} {
		datatest.WritePacked(t, filepath.Join(dir, name), " first line of "+name+"\r\nsecond ")
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	docs := collect(t, s.Documents(Position{}))
	if len(docs) != 3 || s.Rows() != 3 || docs[2].Text != " first line of 3.txt.zst\r\nsecond " || docs[2].Shard != 2 ||
		docs[2].Row != 0 {
		t.Errorf("%+v", docs)
	}
	next(t, newLoader(t, s, Options{BatchSize: 1, SeqLen: 4, Shuffle: true}))
	datatest.WritePacked(t, filepath.Join(dir, "1.txt"), "  another line of 1.txt\nsecond ")
	for _, err := range s.Documents(Position{}) {
		if err == nil || !strings.Contains(err.Error(), "changed") {
			t.Errorf("a changed file: error %v", err)
		}
		break
	}
	score := 1.0
	for _, tt := range []struct {
		content string
		o       OpenOptions
		want    string
	}{
		{"", OpenOptions{}, "no rows"},
		{"\xff", OpenOptions{}, "not a UTF-8"},
		{"a", OpenOptions{Column: "content"}, `no column "content"`},
		{"a", OpenOptions{Filter: Filter{MinScore: &score}}, "min-score 1) cannot work"},
	} {
		path := filepath.Join(dir, "1.txt")
		datatest.WritePacked(t, path, tt.content)
		if _, err := OpenWith(path, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v", tt.content, err)
		}
	}
}

// A directory is of one kind; text files only count where nothing else is.
func TestKindsOfFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	datatest.WritePacked(t, at("README.txt"), "about the data")
	count := func(pattern string, want int) {
		t.Helper()
		if s, err := Open(pattern); err != nil || len(s.Files) != want {
			t.Errorf("%s: %v, error %v", pattern, s, err)
		}
	}
	count(dir, 1)
	datatest.WritePacked(t, at("a.jsonl.gz"), `{"text":"lines"}`)
	count(dir, 1)
	if s, err := Open(dir); err != nil {
		t.Error(err)
	} else if docs := collect(t, s.Documents(Position{})); docs[0].Text != "lines" {
		t.Errorf("%v", docs)
	}
	if err := datatest.WriteShard(at("b.parquet"), datatest.RowsOf([]string{"x"}),
		datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "1 Parquet and 1 JSON Lines files") {
		t.Errorf("two kinds: error %v", err)
	}
	count(at("*.parquet"), 1)
	count(at("[ab]*"), 2)
}

// Files about the data, which are often JSON, do not stand beside rows; where nothing else is but
// text, which may be about the data too, they are the rows.
func TestFoldersWithJSON(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	datatest.WritePacked(t, at("dataset_info.json"), "{\n \"rows\": 1\n}\n")
	datatest.WritePacked(t, at("b.ndjson.gz"), `{"text":"two"}`)
	datatest.WritePacked(t, at("a.json.zst"), `{"text":"one"}`)
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := textsOf(collect(t, s.Documents(Position{}))); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%q", got)
	}
	dir = t.TempDir()
	datatest.WritePacked(t, at("a.json"), `{"text":"three"}`+"\n")
	datatest.WritePacked(t, at("LICENSE.txt"), "Anybody may read it.")
	if s, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	if got := textsOf(collect(t, s.Documents(Position{}))); !slices.Equal(got, []string{"three"}) {
		t.Errorf("%q", got)
	}
}
