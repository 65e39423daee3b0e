package data

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
)

// fixedPages hands out prepared pages.
type fixedPages struct {
	file.PageReader
	pages []file.Page
	at    int
}

func (f *fixedPages) Next() bool      { f.at++; return f.at <= len(f.pages) }
func (f *fixedPages) Page() file.Page { return f.pages[f.at-1] }
func (f *fixedPages) Err() error      { return nil }

func plainPage(values int32) file.Page {
	return file.NewDataPageV1(memory.NewBufferBytes(nil), values, parquet.Encodings.Plain, parquet.Encodings.RLE, parquet.Encodings.RLE, 0)
}

func TestPagesWithoutValuesAreSkipped(t *testing.T) {
	p := &checkedPages{
		PageReader: &fixedPages{pages: []file.Page{plainPage(0), plainPage(2), plainPage(0), plainPage(3)}},
		source:     &section{}, left: 5,
	}
	var got []int32
	for p.Next() {
		got = append(got, p.Page().NumValues())
	}
	if len(got) != 2 || got[0] != 2 || got[1] != 3 || p.Err() != nil {
		t.Errorf("pages of %v values, error %v", got, p.Err())
	}
}

func TestMoreValuesThanDeclared(t *testing.T) {
	p := &checkedPages{PageReader: &fixedPages{pages: []file.Page{plainPage(2), plainPage(4)}}, source: &section{}, left: 5}
	for p.Next() {
	}
	if p.Err() == nil || !strings.Contains(p.Err().Error(), "1 values more") {
		t.Errorf("error %v", p.Err())
	}
}

// Arrow fills the rest of an uncompressed page that is cut off with zeros.
func TestChunkThatEndsInsideAPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.parquet")
	writeColumn(t, path, texts("doc", 20), parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(parquet.DataPageV2))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.MetaData().RowGroup(0).ColumnChunk(0)
	if err != nil {
		t.Fatal(err)
	}
	chunk := b[c.DataPageOffset() : c.DataPageOffset()+c.TotalCompressedSize()]
	for _, cut := range []int{0, 1, 100} {
		source := &section{Reader: bufio.NewReaderSize(bytes.NewReader(chunk[:len(chunk)-cut]), maxPageHeader)}
		raw, err := file.NewPageReader(source, 20, compress.Codecs.Uncompressed, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := &checkedPages{PageReader: raw, source: source, left: 20}
		if ok := p.Next(); ok != (cut == 0) || ok != (p.Err() == nil) {
			t.Errorf("%d bytes cut off: page %v, error %v", cut, ok, p.Err())
		}
	}
}
