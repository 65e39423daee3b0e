package parquet

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// Levels and lengths on which Arrow's own decoders never return.
func TestLevelsThatEndEarly(t *testing.T) {
	for _, tt := range []struct {
		name string
		data []byte
		n    int64
		most int16
		full int64 // -1 = error
	}{
		{"one run", []byte{20, 1}, 10, 1, 10},
		{"a run of nulls", []byte{20, 0}, 10, 1, 0},
		{"longer run than needed", []byte{20, 1}, 9, 1, 9},
		{"a run and a group", []byte{20, 1, 3, 0xFF}, 18, 1, 18},
		{"a group longer than needed", []byte{3, 0xFE}, 3, 1, 2},
		{"groups", []byte{5, 0x0F, 0xF1}, 13, 1, 6},
		{"empty", nil, 1, 1, -1},
		{"run too short", []byte{20, 1}, 11, 1, -1},
		{"run without a value", []byte{20}, 10, 1, -1},
		{"run of none", []byte{0, 1, 20, 1}, 10, 1, -1},
		{"level 2", []byte{20, 2}, 10, 1, -1},
		{"group cut off", []byte{5, 0xFF}, 16, 1, -1},
		{"count too large", []byte{0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 1}, 10, 1, -1},
		{"levels to 5: a run", []byte{20, 5}, 10, 5, 10},
		{"levels to 5: a run of lower ones", []byte{20, 4}, 10, 5, 0},
		{"levels to 5: 0 to 5", []byte{3, 0x88, 0xC6, 0xFA}, 6, 5, 1},
		{"levels to 5: level 7 of eight", []byte{3, 0x88, 0xC6, 0xFA}, 8, 5, -1},
		{"levels to 5: a run of level 6", []byte{20, 6}, 10, 5, -1},
		{"levels to 5: a group cut off", []byte{3, 0x88, 0xC6}, 6, 5, -1},
	} {
		full, err := checkRuns(tt.data, tt.n, tt.most, "definition level")
		if (err != nil) != (tt.full < 0) || err == nil && full != tt.full {
			t.Errorf("%s: %d of the highest, error %v", tt.name, full, err)
		}
	}
	for _, tt := range []struct {
		name string
		data []byte
		n    int64
		rest int // -1 = error
	}{
		{"one value", []byte{128, 1, 4, 1, 10, 'x'}, 1, 1},
		{"no values", []byte{128, 1, 4, 0, 0, 'x'}, 0, 1},
		{"fewer lengths than values", []byte{128, 1, 4, 1, 10}, 2, -1},
		{"equal deltas", []byte{128, 1, 4, 3, 10, 2, 0, 0, 0, 0, 'x'}, 3, 1},
		{"more lengths than values", []byte{128, 1, 4, 3, 10, 2, 0, 0, 0, 0}, 2, -1},
		{"no mini-blocks", []byte{128, 1, 0, 3, 10, 2}, 3, -1},
		{"empty mini-blocks", []byte{0, 4, 3, 10, 2, 0, 0, 0, 0}, 3, -1},
		{"width 33", []byte{128, 1, 4, 3, 10, 2, 33, 0, 0, 0}, 3, -1},
		{"deltas cut off", []byte{128, 1, 4, 3, 10, 2, 8, 0, 0, 0, 1, 2}, 3, -1},
		{"header cut off", []byte{128, 1, 4}, 3, -1},
	} {
		rest, err := walkDelta(tt.data, tt.n, lengthBits, func(int64) {})
		if (err != nil) != (tt.rest < 0) || err == nil && len(rest) != tt.rest {
			t.Errorf("%s: %d bytes left, error %v", tt.name, len(rest), err)
		}
	}
}

// Numbers are what Arrow's encoder was given, over blocks and mini-blocks, of any width and sign.
func TestWalkDelta(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 31, 32, 33, 128, 129, 130, 1000} {
		for _, bits := range []int{1, 5, 17, 31} {
			want := make([]int32, n)
			for i := range want {
				want[i] = int32(rng.Uint32()>>(32-bits)) - 1<<(bits-1)
			}
			var got []int32
			rest, err := walkDelta(append(deltas(t, want...), 'x'), int64(n), lengthBits,
				func(v int64) { got = append(got, int32(v)) })
			if err != nil || string(rest) != "x" || !slices.Equal(got, want) {
				t.Errorf("%d numbers of %d bits: %d were read, %q is left, error %v", n, bits, len(got), rest, err)
			}
		}
	}
}

// deltas are numbers as Arrow's encoder writes them.
func deltas(t *testing.T, numbers ...int32) []byte {
	t.Helper()
	var content bytes.Buffer
	root := schema.MustGroup(schema.NewGroupNode("schema", parquet.Repetitions.Required,
		schema.FieldList{schema.NewInt32Node("n", parquet.Repetitions.Required, -1)}, -1))
	w := file.NewParquetWriter(&content, root, file.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithDictionaryDefault(false), parquet.WithStats(false),
		parquet.WithEncoding(parquet.Encodings.DeltaBinaryPacked))))
	column, err := w.AppendRowGroup().NextColumn()
	if err == nil {
		_, err = column.(*file.Int32ColumnChunkWriter).WriteBatch(numbers, nil, nil)
	}
	if err = cmp.Or(err, column.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	h, k, err := parsePageHeader(content.Bytes()[4:]) // behind the first mark
	if err != nil || h.encoding != int64(parquet.Encodings.DeltaBinaryPacked) {
		t.Fatal(h, err)
	}
	return bytes.Clone(content.Bytes()[4+k : 4+k+int(h.compressed)])
}
