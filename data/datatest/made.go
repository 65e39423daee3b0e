package datatest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// Texts makes n documents of differing lengths, the first always of 1 byte.
func Texts(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%d %s", prefix, i, strings.Repeat("abcdefghij", i*7%13))
	}
	all[0] = prefix[:1]
	return all
}

// RowsOf makes rows of texts.
func RowsOf(texts []string) []Row {
	rows := make([]Row, len(texts))
	for i, s := range texts {
		rows[i] = Row{Text: s, ID: fmt.Sprintf("<urn:uuid:%d>", i), Dump: "test", URL: "https://example.org",
			FilePath: "f", Language: "en", LanguageScore: 0.5, TokenCount: int64(len(s)), Score: 2.75, IntScore: 3}
	}
	return rows
}

// Packed compresses content as a file's name says.
func Packed(t testing.TB, name, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	switch filepath.Ext(name) {
	case ".gz":
		w := gzip.NewWriter(&b)
		w.Write([]byte(content))
		w.Close()
	case ".zst":
		codec, err := compress.GetCodec(compress.Codecs.Zstd)
		if err != nil {
			t.Fatal(err)
		}
		w := codec.NewWriter(&b)
		w.Write([]byte(content))
		w.Close()
	default:
		b.WriteString(content)
	}
	return b.Bytes()
}

func WritePacked(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, Packed(t, path, content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// JSONLines is rows as JSON Lines, with FineWeb-Edu's names.
func JSONLines(t testing.TB, rows []Row) string {
	t.Helper()
	var b strings.Builder
	for _, r := range rows {
		line, err := json.Marshal(map[string]any{"text": r.Text, "id": r.ID, "language": r.Language, "score": r.Score,
			"meta": map[string]any{"text": "not this"}})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// Null stands for a null row in writeColumn.
const Null = "\x00null"

// WriteColumn writes texts as the only column of a file, in one row group,
// with Arrow's own settings. Any null makes the column optional.
func WriteColumn(t testing.TB, path string, texts []string, props ...parquet.WriterProperty) {
	t.Helper()
	repetition, defined, values := parquet.Repetitions.Required, []int16(nil), []parquet.ByteArray(nil)
	for _, s := range texts {
		if s == Null {
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
