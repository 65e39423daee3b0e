package datatest

import (
	"cmp"
	"os"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// Strings is a row of columns of text; a column that it lacks is null.
type Strings map[string]string

// WriteStrings writes a Parquet file of columns of text, in one row group.
func WriteStrings(path string, columns []string, rows []Strings) error {
	var fields schema.FieldList
	for _, name := range columns {
		fields = append(fields, schema.Must(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional,
			schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)))
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Repeated, fields, -1)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := file.NewParquetWriter(f, root)
	g := w.AppendRowGroup()
	for _, name := range columns {
		var values []parquet.ByteArray
		defined := make([]int16, len(rows))
		for i, row := range rows {
			if text, ok := row[name]; ok {
				values, defined[i] = append(values, parquet.ByteArray(text)), 1
			}
		}
		c, err := g.NextColumn()
		if err == nil {
			_, err = c.(*file.ByteArrayColumnChunkWriter).WriteBatch(values, defined, nil)
		}
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			return cmp.Or(err, f.Close())
		}
	}
	return cmp.Or(g.Close(), w.Close())
}
