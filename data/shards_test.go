package data

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/google/go-cmp/cmp"

	"steplm/data/datatest"
)

// Brackets in folders that are there need no escape, before a pattern as in a path.
func TestPatternBelowBrackets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[2025] a")
	if err := os.MkdirAll(filepath.Join(dir, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b/x1.txt", "b/x2.txt", "b/y.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("a"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{filepath.Join(dir, "b", "x1.txt"), filepath.Join(dir, "b", "x2.txt")}
	for _, pattern := range []string{"b/x*", "*/x[12].txt", "b/x?.*"} {
		if got, err := Find(filepath.Join(dir, pattern)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", pattern, got, err)
		}
	}
	if _, err := Find(filepath.Join(dir, "z*")); err == nil || !strings.Contains(err.Error(), "no file matches") {
		t.Errorf("nothing matches: %v", err)
	}
	t.Chdir(filepath.Join(dir, "b"))
	if got, err := Find("x*.txt"); err != nil || !slices.Equal(got, []string{"x1.txt", "x2.txt"}) {
		t.Errorf("from within: %q, %v", got, err)
	}
}

func TestRoundTrip(t *testing.T) {
	want := datatest.Texts("doc", 300)
	want[7], want[8] = "", "grüße 漢字 \U0001F600\n\x00tail"
	for _, codec := range []string{"", "snappy", "zstd", "gzip", "none"} {
		for _, group := range []int{0, 64, 299, 300} {
			t.Run(fmt.Sprintf("%s/%d", codec, group), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "s.parquet")
				if err := datatest.WriteShard(path, datatest.RowsOf(want),
					datatest.WriteOptions{Codec: codec, RowGroup: group}); err != nil {
					t.Fatal(err)
				}
				s, err := Open(path)
				if err != nil {
					t.Fatal(err)
				}
				docs := collect(t, s.Documents(Position{}))
				if d := cmp.Diff(want, textsOf(docs)); d != "" {
					t.Fatal(d)
				}
				for i, d := range docs {
					if d.Row != int64(i) || d.Shard != 0 {
						t.Fatalf("document %d is at shard %d, row %d", i, d.Shard, d.Row)
					}
				}
				if s.Rows() != 300 || s.Nulls() != 0 {
					t.Errorf("%d rows, %d nulls", s.Rows(), s.Nulls())
				}
			})
		}
	}
}

// Every layout that writers of Parquet produce for a text column.
func TestLayouts(t *testing.T) {
	full := datatest.Texts("doc", 200)
	holes := slices.Clone(full)
	for i := range holes {
		if i%3 == 1 || i > 100 && i < 180 {
			holes[i] = datatest.Null
		}
	}
	repeated := make([]string, 200)
	for i := range repeated {
		repeated[i] = full[i%5]
	}
	for _, rows := range []struct {
		name  string
		texts []string
	}{{"required", full}, {"nulls", holes}, {"repeated", repeated},
		{"only nulls but one", append(slices.Repeat([]string{datatest.Null}, 99), "x")}} {
		for _, version := range []parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2} {
			for name, encoding := range map[string]parquet.WriterProperty{
				"plain":        parquet.WithDictionaryDefault(false),
				"dictionary":   parquet.WithDictionaryDefault(true),
				"delta length": parquet.WithEncoding(parquet.Encodings.DeltaLengthByteArray),
				"delta":        parquet.WithEncoding(parquet.Encodings.DeltaByteArray),
			} {
				t.Run(fmt.Sprintf("%s/v%d/%s", rows.name, version+1, name), func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "s.parquet")
					datatest.WriteColumn(t, path, rows.texts, encoding,
						parquet.WithDictionaryDefault(name == "dictionary"),
						parquet.WithDataPageVersion(version), parquet.WithDataPageSize(500), parquet.WithBatchSize(10),
						parquet.WithCompression(compress.Codecs.Snappy))
					s, err := Open(path)
					if err != nil {
						t.Fatal(err)
					}
					var want []string
					for _, s := range rows.texts {
						if s != datatest.Null {
							want = append(want, s)
						}
					}
					docs := collect(t, s.Documents(Position{}))
					if d := cmp.Diff(want, textsOf(docs)); d != "" {
						t.Fatal(d)
					}
					for _, d := range docs {
						if rows.texts[d.Row] != d.Text {
							t.Fatalf("row %d is numbered wrongly", d.Row)
						}
					}
					if n := int64(len(rows.texts) - len(want)); s.Nulls() != n {
						t.Errorf("%d nulls counted, want %d", s.Nulls(), n)
					}
				})
			}
		}
	}
}

func TestDocumentsFromPosition(t *testing.T) {
	a, b := datatest.Texts("a", 11), datatest.Texts("b", 6)
	s := shardsOf(t, a, b)
	all := collect(t, s.Documents(Position{}))
	if len(all) != 17 || s.Rows() != 17 {
		t.Fatalf("%d documents, %d rows, want 17", len(all), s.Rows())
	}
	for i, d := range all {
		got := collect(t, s.Documents(Position{Shard: d.Shard, Row: d.Row}))
		if diff := cmp.Diff(all[i:], got); diff != "" {
			t.Fatalf("from %d/%d: %s", d.Shard, d.Row, diff)
		}
	}
	if got := collect(t, s.Documents(Position{Shard: 0, Row: 11})); len(got) != 6 {
		t.Errorf("from the first shard's end: %d documents, want 6", len(got))
	}
	if got := collect(t, s.Documents(Position{Shard: 2})); len(got) != 0 {
		t.Errorf("from the last shard's end: %d documents, want none", len(got))
	}
	for _, p := range []Position{{Shard: -1, Row: 0}, {Shard: 3, Row: 0}, {Shard: 0, Row: -1}, {Shard: 0, Row: 12}} {
		for _, err := range s.Documents(p) {
			if err == nil {
				t.Errorf("position %v was accepted", p)
			}
			break
		}
	}
}

func TestOpenFindsFilesInOrder(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"b/2.parquet", "b/1.parquet", "a.parquet", "c[1].PARQUET", ".cache/x.parquet",
		"notes.txt"} {
		path := filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := datatest.WriteShard(path, datatest.RowsOf([]string{p}), datatest.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	linked := os.Symlink(filepath.Join(dir, "b"), filepath.Join(dir, "link")) == nil // Windows may refuse
	for _, tt := range []struct {
		pattern string
		want    []string
	}{
		{"", []string{"a.parquet", "b/1.parquet", "b/2.parquet", "c[1].PARQUET"}},
		{"b", []string{"b/1.parquet", "b/2.parquet"}},
		{"b/*.parquet", []string{"b/1.parquet", "b/2.parquet"}},
		{"[ab]*", []string{"a.parquet", "b/1.parquet", "b/2.parquet"}},
		{"c[1].PARQUET", []string{"c[1].PARQUET"}},
		{"notes.txt", []string{"notes.txt"}},
		{"link", []string{"b/1.parquet", "b/2.parquet"}},
	} {
		if tt.pattern == "link" && !linked {
			continue
		}
		s, err := Open(filepath.Join(dir, filepath.FromSlash(tt.pattern)))
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		if d := cmp.Diff(tt.want, textsOf(collect(t, s.Documents(Position{})))); d != "" {
			t.Errorf("%s: %s", tt.pattern, d)
		}
	}
}

// A pattern need not be a name that the system takes: Windows refuses every *, and Linux what is too long.
func TestOpenTakesPatternsThatAreNoNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with spaces", strings.Repeat("long ", 30), strings.Repeat("longer ", 20))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, strings.Repeat("x", 60)+".txt")
	if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("[a-z]", 60)
	for _, pattern := range []string{path, filepath.Join(dir, "*.txt"), filepath.Join(dir, "?*.txt"), dir,
		filepath.Join(dir, long+".txt"), filepath.Join(filepath.Dir(dir), "l*", "x*")} {
		if s, err := Open(pattern); err != nil || len(s.Files) != 1 || s.Files[0] != path {
			t.Errorf("%s: %v", filepath.Base(pattern), err)
		}
	}
	for _, pattern := range []string{"*.parquet", long, strings.Repeat("x", 300), "y?.txt"} {
		if _, err := Open(filepath.Join(dir, pattern)); err == nil ||
			!strings.Contains(err.Error(), "no such file or directory, and no file matches it as a pattern") {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, data string) {
		if err := os.WriteFile(at(name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(at("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("zero.bin", "")
	write("words.bin", strings.Repeat("these are only words ", 50))
	datatest.WriteColumn(t, at("norows.bin"), nil)
	if err := datatest.WriteShard(at("ok.bin"), datatest.RowsOf([]string{"x"}), datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, column string
		want         []string
	}{
		{"missing", TextColumn, []string{"missing", "no such file"}},
		{"*.nothing", TextColumn, []string{"*.nothing", "no such file"}},
		{"[", TextColumn, []string{"pattern"}},
		{"empty", TextColumn, []string{"empty", "no *.parquet, *.jsonl"}},
		{"zero.bin", TextColumn, []string{"zero.bin", "not a readable Parquet file (0 bytes)"}},
		{"words.bin", TextColumn, []string{"words.bin", "not a readable Parquet file"}},
		{"norows.bin", TextColumn, []string{"norows.bin", "no rows"}},
		{"ok.bin", "content", []string{"ok.bin", `no column "content"`,
			"text, id, dump, url, file_path, language, language_score, token_count, score, int_score"}},
		{"ok.bin", "score", []string{"ok.bin", `column "score"`, "DOUBLE", "BYTE_ARRAY"}},
	} {
		_, err := OpenColumn(at(tt.name), tt.column)
		if err == nil {
			t.Errorf("%s (%s): no error", tt.name, tt.column)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s (%s): %q does not say %q", tt.name, tt.column, err, want)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", tt.name, err)
		}
	}
}

func TestChangedFileIsNoticed(t *testing.T) {
	s := shardsOf(t, datatest.Texts("a", 5))
	if err := datatest.WriteShard(s.Files[0], datatest.RowsOf(datatest.Texts("a", 6)),
		datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Documents(Position{}) {
		if err == nil || !strings.Contains(err.Error(), "changed") {
			t.Fatalf("error %v", err)
		}
	}
}

func TestTextMustBeUTF8(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.parquet")
	datatest.WriteColumn(t, path, []string{"fine", "bro\xffken"})
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var last error
	n := 0
	for _, err := range s.Documents(Position{}) {
		if last = err; err == nil {
			n++
		}
	}
	if n != 1 || last == nil || !strings.Contains(last.Error(), "row 1 is not UTF-8") {
		t.Errorf("%d documents, then %v", n, last)
	}
}

// A row group of 96 MB of text must not be in memory at once.
func TestMemoryDoesNotGrowWithRowGroups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.parquet")
	rows := make([]datatest.Row, 24000)
	text := strings.Repeat("all work and no play ", 200)
	for i := range rows {
		rows[i] = datatest.Row{Text: text}
	}
	if err := datatest.WriteShard(path, rows, datatest.WriteOptions{Codec: "zstd", RowGroup: len(rows)}); err != nil {
		t.Fatal(err)
	}
	rows = nil
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, peak, total := live(), int64(0), int64(0)
	for d, err := range s.Documents(Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		total += int64(len(d.Text))
		if d.Row%4000 == 3999 {
			peak = max(peak, live()-before)
		}
	}
	if total < 96<<20 {
		t.Fatalf("the file has only %d bytes of text", total)
	}
	if peak > 16<<20 {
		t.Errorf("%d bytes live while reading, want at most 16 MiB", peak)
	}
}

func TestWriteShardMatchesFineWebEdu(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.parquet")
	if err := datatest.WriteShard(path, datatest.RowsOf(datatest.Texts("x", 3)), datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	want := fileSchema(t, datatest.Path(t, "fineweb_edu/train/000_00000.parquet"))
	if d := cmp.Diff(want, fileSchema(t, path)); d != "" {
		t.Error(d)
	}
}

func fileSchema(t *testing.T, path string) string {
	t.Helper()
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return r.MetaData().Schema.String()
}

func TestWriteShardRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		path string
		o    datatest.WriteOptions
		want string
	}{
		{"a.parquet", datatest.WriteOptions{Codec: "lzma"}, "lzma"},
		{"a.parquet", datatest.WriteOptions{RowGroup: -1}, "-1 rows"},
		{"no/such/dir/a.parquet", datatest.WriteOptions{}, "no/such/dir"},
	} {
		err := datatest.WriteShard(filepath.Join(dir, tt.path), datatest.RowsOf([]string{"x"}), tt.o)
		if err == nil || !strings.Contains(filepath.ToSlash(err.Error()), tt.want) {
			t.Errorf("%v: error %v does not name %q", tt.o, err, tt.want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v was left behind", left)
	}
}

// Wherever the disk fills up, the writer says so.
func TestWriteShardOnAFullDisk(t *testing.T) {
	rows := datatest.RowsOf(datatest.Texts("x", 50))
	var whole bytes.Buffer
	if err := datatest.WriteRows(&whole, rows, compress.Codecs.Snappy, 20); err != nil {
		t.Fatal(err)
	}
	for room := 0; room < whole.Len(); room += 37 {
		if err := datatest.WriteRows(&fullDisk{room}, rows, compress.Codecs.Snappy, 20); !errors.Is(err, errFull) {
			t.Fatalf("with room for %d of %d bytes: error %v", room, whole.Len(), err)
		}
	}
}

var errFull = errors.New("no space left on device")

type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		return 0, errFull
	}
	d.room -= len(p)
	return len(p), nil
}

func TestRawText(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.txt")
	const text = " = Title = \r\n\n text with trailing space \n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if docs := collect(t, RawText(path)); len(docs) != 1 || docs[0].Text != text {
		t.Errorf("read %q", textsOf(docs))
	}
	for name, content := range map[string]string{"empty.txt": "", "binary.txt": "\xff\xfe"} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, err := range RawText(p) {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
	for _, err := range RawText(filepath.Join(dir, "none.txt")) {
		if err == nil {
			t.Error("a missing file gave a document")
		}
	}
}

// BenchmarkDocuments reads the real shards' text without tokenizing it.
func BenchmarkDocuments(b *testing.B) {
	s, err := Open(datatest.Path(b, "fineweb_edu/train"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		size := int64(0)
		for d, err := range s.Documents(Position{}) {
			if err != nil {
				b.Fatal(err)
			}
			size += int64(len(d.Text))
		}
		b.SetBytes(size)
	}
}
