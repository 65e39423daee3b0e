package data

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"

	"steplm/data/datatest"
)

// byteTokenizer has one id per byte, and 256 for the end of a text.
type byteTokenizer struct{}

const byteEOT = 256

func (byteTokenizer) Encode(s string) []uint32 {
	ids := make([]uint32, len(s))
	for i := range len(s) {
		ids[i] = uint32(s[i])
	}
	return ids
}
func (byteTokenizer) VocabSize() int            { return 257 }
func (byteTokenizer) EndOfText() (uint32, bool) { return byteEOT, true }

// stream is the packed stream of texts.
func stream(texts ...string) []uint32 {
	var ids []uint32
	for _, s := range texts {
		ids = append(append(ids, byteTokenizer{}.Encode(s)...), byteEOT)
	}
	return ids
}

// texts makes n documents of differing lengths, the first always of 1 byte.
func texts(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%d %s", prefix, i, strings.Repeat("abcdefghij", i*7%13))
	}
	all[0] = prefix[:1]
	return all
}

// rowsOf makes rows of texts.
func rowsOf(texts []string) []datatest.Row {
	rows := make([]datatest.Row, len(texts))
	for i, s := range texts {
		rows[i] = datatest.Row{Text: s, ID: fmt.Sprintf("<urn:uuid:%d>", i), Dump: "test", URL: "https://example.org",
			FilePath: "f", Language: "en", LanguageScore: 0.5, TokenCount: int64(len(s)), Score: 2.75, IntScore: 3}
	}
	return rows
}

// shardsOf writes each slice of texts as a shard and opens them.
func shardsOf(t testing.TB, perShard ...[]string) *Shards {
	t.Helper()
	dir := t.TempDir()
	for i, s := range perShard {
		if err := datatest.WriteShard(filepath.Join(dir, fmt.Sprintf("%03d.parquet", i)), rowsOf(s), datatest.WriteOptions{RowGroup: 4}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func collect(t testing.TB, docs iter.Seq2[Document, error]) []Document {
	t.Helper()
	var all []Document
	for d, err := range docs {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func textsOf(docs []Document) []string {
	var all []string
	for _, d := range docs {
		all = append(all, d.Text)
	}
	return all
}

// null stands for a null row in writeColumn.
const null = "\x00null"

// writeColumn writes texts as the only column of a file, in one row group,
// with Arrow's own settings. Any null makes the column optional.
func writeColumn(t testing.TB, path string, texts []string, props ...parquet.WriterProperty) {
	t.Helper()
	repetition, defined, values := parquet.Repetitions.Required, []int16(nil), []parquet.ByteArray(nil)
	for _, s := range texts {
		if s == null {
			repetition = parquet.Repetitions.Optional
			defined = append(defined, 0)
			continue
		}
		defined = append(defined, 1)
		values = append(values, parquet.ByteArray(s))
	}
	root := schema.MustGroup(schema.NewGroupNode("schema", parquet.Repetitions.Required,
		schema.FieldList{schema.NewByteArrayNode("text", repetition, -1)}, -1))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := file.NewParquetWriter(f, root, file.WithWriterProps(parquet.NewWriterProperties(props...)))
	if len(texts) > 0 {
		g := w.AppendRowGroup()
		c, err := g.NextColumn()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.(*file.ByteArrayColumnChunkWriter).WriteBatch(values, defined, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// loaderOf makes a Loader of one source.
func loaderOf(s *Shards, t Tokenizer, o Options) (*Loader, error) {
	return NewMixture([]Source{{Shards: s, Weight: 1}}, t, o)
}
