package datatest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v17/parquet/file"
)

// DamageGroup overwrites the start of the text's first page in a row group.
func DamageGroup(t testing.TB, path string, group int) {
	t.Helper()
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.MetaData().RowGroup(group).ColumnChunk(0)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0xFF, 0xFF, 0xFF}, c.DataPageOffset()); err != nil {
		t.Fatal(err)
	}
}

// Mixed writes two shards of 40 rows in row groups of 4 with scores 0 to 4.5,
// two languages and repeated texts, and returns their directory and rows.
func Mixed(t testing.TB) (string, []Row) {
	t.Helper()
	dir := t.TempDir()
	var all []Row
	for shard := range 2 {
		rows := RowsOf(Texts(fmt.Sprintf("s%d-", shard), 40))
		for i := range rows {
			rows[i].Score = float64(i%10) / 2
			rows[i].Language = []string{"en", "fr", "de"}[i%3]
			if i%8 == 7 {
				rows[i].Text = "again and again"
			}
		}
		if err := WriteShard(filepath.Join(dir, fmt.Sprintf("%d.parquet", shard)), rows,
			WriteOptions{RowGroup: 4}); err != nil {
			t.Fatal(err)
		}
		all = append(all, rows...)
	}
	return dir, all
}
