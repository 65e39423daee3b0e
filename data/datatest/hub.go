package datatest

import (
	"cmp"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// HubRow is a row of a data set, with its columns in order.
type HubRow []HubField

// HubRowOf is a row of names and values, which take turns.
func HubRowOf(namesAndValues ...any) (row HubRow) {
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		row = append(row, HubField{fmt.Sprint(namesAndValues[i]), namesAndValues[i+1]})
	}
	return row
}

// HubField is a column's value: a text, an int, a list of texts, or TextLists.
type HubField struct {
	Name  string
	Value any
}

// TextLists is a group of two lists of texts, as questions have their choices.
type TextLists struct{ Text, Label []string }

// WriteHubRows writes rows of the same columns as a Parquet file with the types that the hub's converter gives: texts,
// numbers of 64 bits, lists, and groups of lists, each of which may be null. No list is empty.
func WriteHubRows(to io.Writer, rows ...HubRow) error {
	var fields schema.FieldList
	for _, f := range rows[0] {
		switch f.Value.(type) {
		case int:
			fields = append(fields, schema.Must(schema.NewPrimitiveNode(f.Name, parquet.Repetitions.Optional,
				parquet.Types.Int64, -1, -1)))
		case string:
			fields = append(fields, textColumn(f.Name))
		case []string:
			fields = append(fields, listColumn(f.Name))
		case TextLists:
			fields = append(fields, schema.Must(schema.NewGroupNode(f.Name, parquet.Repetitions.Optional,
				schema.FieldList{listColumn("text"), listColumn("label")}, -1)))
		default:
			return fmt.Errorf("column %s: %T has no type in Parquet here", f.Name, f.Value)
		}
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Repeated, fields, -1)
	if err != nil {
		return err
	}
	w := file.NewParquetWriter(to, root)
	g := w.AppendRowGroup()
	for i := range rows[0] {
		for _, c := range columnsOf(rows, i) {
			if err := c.write(g); err != nil {
				return cmp.Or(err, w.Close())
			}
		}
	}
	return cmp.Or(g.Close(), w.Close())
}

// columnValues are those of one leaf, with their levels.
type columnValues struct {
	texts             []parquet.ByteArray
	numbers           []int64
	defined, repeated []int16
}

// columnsOf are the leaves of a column.
func columnsOf(rows []HubRow, column int) []*columnValues {
	one, other := &columnValues{}, &columnValues{}
	for _, row := range rows {
		switch v := row[column].Value.(type) {
		case int:
			one.numbers, one.defined = append(one.numbers, int64(v)), append(one.defined, 1)
		case string:
			one.add([]string{v}, 1)
		case []string:
			one.add(v, 3)
		case TextLists:
			one.add(v.Text, 4)
			other.add(v.Label, 4)
		}
	}
	if other.texts == nil {
		return []*columnValues{one}
	}
	return []*columnValues{one, other}
}

// add adds a row's texts, which are defined at a level.
func (c *columnValues) add(texts []string, level int16) {
	for i, s := range texts {
		c.texts, c.defined = append(c.texts, parquet.ByteArray(s)), append(c.defined, level)
		c.repeated = append(c.repeated, int16(min(i, 1)))
	}
}

// write writes the group's next leaf.
func (c *columnValues) write(g file.SerialRowGroupWriter) error {
	to, err := g.NextColumn()
	if err != nil {
		return err
	}
	switch to := to.(type) {
	case *file.ByteArrayColumnChunkWriter:
		_, err = to.WriteBatch(c.texts, c.defined, c.repeated)
	case *file.Int64ColumnChunkWriter:
		_, err = to.WriteBatch(c.numbers, c.defined, nil)
	}
	return cmp.Or(err, to.Close())
}

// textColumn is a column of texts.
func textColumn(name string) schema.Node {
	return schema.Must(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, schema.StringLogicalType{},
		parquet.Types.ByteArray, 0, -1))
}

// listColumn is a column of lists of texts.
func listColumn(name string) schema.Node {
	items := schema.Must(schema.NewGroupNode("list", parquet.Repetitions.Repeated,
		schema.FieldList{textColumn("element")}, -1))
	return schema.Must(schema.NewGroupNodeLogical(name, parquet.Repetitions.Optional, schema.FieldList{items},
		schema.NewListLogicalType(), -1))
}
