package datatest

import (
	"cmp"
	"os"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// WriteTalks writes a Parquet file with a column of ids and one of conversations, each a list of groups of two texts,
// as pyarrow and the hub have them. A talk that is nil is null, and so is a text that is not there.
func WriteTalks(path, column string, keys [2]string, talks [][]Strings) error {
	text := func(name string) schema.Node {
		return schema.Must(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional,
			schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1))
	}
	group := func(name string, r parquet.Repetition, fields ...schema.Node) schema.Node {
		return schema.Must(schema.NewGroupNode(name, r, fields, -1))
	}
	list := schema.Must(schema.NewGroupNodeLogical(column, parquet.Repetitions.Optional, schema.FieldList{
		group("list", parquet.Repetitions.Repeated,
			group("element", parquet.Repetitions.Optional, text(keys[0]), text(keys[1])))},
		schema.NewListLogicalType(), -1))
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Repeated, schema.FieldList{text("id"), list}, -1)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := file.NewParquetWriter(f, root)
	g := w.AppendRowGroup()
	write := func(values []parquet.ByteArray, defined, repeated []int16) error {
		c, err := g.NextColumn()
		if err == nil {
			_, err = c.(*file.ByteArrayColumnChunkWriter).WriteBatch(values, defined, repeated)
		}
		if err == nil {
			err = c.Close()
		}
		return err
	}
	err = write(nil, make([]int16, len(talks)), nil)
	for _, key := range keys {
		if err == nil {
			err = write(talkLevels(talks, key))
		}
	}
	if err != nil {
		return cmp.Or(err, f.Close())
	}
	return cmp.Or(g.Close(), w.Close())
}

// talkLevels are the values of one text of all messages, with their levels.
func talkLevels(talks [][]Strings, key string) (values []parquet.ByteArray, defined, repeated []int16) {
	for _, talk := range talks {
		if len(talk) == 0 {
			level := int16(1)
			if talk == nil {
				level = 0
			}
			defined, repeated = append(defined, level), append(repeated, 0)
		}
		for i, m := range talk {
			level := int16(3)
			if value, there := m[key]; there {
				level, values = 4, append(values, parquet.ByteArray(value))
			}
			defined, repeated = append(defined, level), append(repeated, int16(min(i, 1)))
		}
	}
	return values, defined, repeated
}
