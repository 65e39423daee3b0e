package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"

	"steplm/data/datatest"
)

// Rows with lists and groups in them are the JSON that pyarrow's rows have.
func TestObjects(t *testing.T) {
	var got []string
	for text, err := range Objects(filepath.Join("testdata", "nested.parquet")) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	want := []string{
		`{"id":"a","question":"Why?","choices":{"text":["x","y z"],"label":["A","B"]},"answerKey":"B","label":1,` +
			`"nested":[["p"],[],["q","r"]],"steps":[{"n":1,"s":"u"},{"n":2,"s":null}],"yes":true,"x":0.5}`,
		`{"id":"b","question":null,"choices":{"text":[],"label":null},"answerKey":"","label":-2,"nested":[],` +
			`"steps":null,"yes":null,"x":null}`,
		`{"id":"c","question":"é\"\n","choices":null,"answerKey":"C","label":3,"nested":[[null,"s"]],"steps":[],` +
			`"yes":false,"x":-1e+30}`,
	}
	want = append(want, want...) // in a second row group
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What cannot be read of a row group is told with its number of rows, and the rows of the next follow.
func TestObjectsAfterDamage(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("testdata", "nested.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	copy(content[4:], "\xff\xff\xff\xff") // where the first page begins
	path := filepath.Join(t.TempDir(), "damaged.parquet")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	rows, unread := 0, int64(0)
	for _, err := range Objects(path) {
		bad := (*Unread)(nil)
		switch {
		case err == nil:
			rows++
		case rows > 0 || !errors.As(err, &bad):
			t.Errorf("after %d rows: %v", rows, err)
		default:
			unread += bad.Rows
		}
	}
	if rows != 3 || unread != 3 {
		t.Errorf("%d rows are read and %d are not, of 3 and 3", rows, unread)
	}
}

// A row group whose values are few bytes of the file and many in memory, as a text of a dictionary that comes again and
// again is, or a run of one that is empty, is an error before they are all there.
func TestObjectsThatAreHeld(t *testing.T) {
	const rows, most = 1000, 4 << 20
	for size, want := range map[int]string{32 << 10: "more than the 4194304 bytes", 0: ""} {
		path := filepath.Join(t.TempDir(), "a.parquet")
		same := slices.Repeat([]datatest.Strings{{"text": strings.Repeat("x", size)}}, rows)
		if err := datatest.WriteStrings(path, []string{"text"}, same); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
			t.Fatalf("%d bytes, %v", info.Size(), err)
		}
		f, err := openFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		read := func(held int64) (n int, err error) {
			f.held = held
			f.objects(0, nil, func(_ []byte, e error) bool {
				n, err = n+1, e
				return err == nil
			})
			return n, err
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n, err := read(most)
		runtime.ReadMemStats(&after)
		if want == "" && (err != nil || n != rows) || want != "" && (err == nil ||
			!strings.Contains(err.Error(), want)) {
			t.Errorf("texts of %d bytes: %d rows, error %v, want %q", size, n, err, want)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; want != "" && taken > 4*most {
			t.Errorf("texts of %d bytes: %d bytes were allocated", size, taken)
		}
		if _, err := read(rows * valueBytes); err == nil {
			t.Errorf("texts of %d bytes: %d rows are held in %d bytes", size, rows, rows*valueBytes)
		}
	}
}

// A file by other writers is read or refused, never with a panic.
func TestObjectsOfOthers(t *testing.T) {
	for _, folder := range []string{"parquet/good", "parquet/bad"} {
		files, err := filepath.Glob(filepath.Join(datatest.Path(t, folder), "*.parquet"))
		if err != nil || len(files) == 0 {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, err := range Objects(file) {
				if err != nil && !strings.Contains(err.Error(), filepath.Base(file)) {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
}

// listRows is how many rows writeLists writes.
const listRows = 90

// writeLists writes rows with a list of texts, an integer that may be null, a truth and a double. Of three rows the
// list has two texts, of which one is null, then none, then it is null itself.
func writeLists(t *testing.T, path string, props ...parquet.WriterProperty) (rows []string) {
	t.Helper()
	optional, required := parquet.Repetitions.Optional, parquet.Repetitions.Required
	element := schema.NewByteArrayNode("element", optional, -1)
	list := schema.MustGroup(schema.NewGroupNode("list", parquet.Repetitions.Repeated, schema.FieldList{element}, -1))
	words := schema.MustGroup(schema.NewGroupNodeConverted("words", optional, schema.FieldList{list},
		schema.ConvertedTypes.List, -1))
	root := schema.MustGroup(schema.NewGroupNode("schema", required, schema.FieldList{words,
		schema.NewInt64Node("n", optional, -1), schema.NewBooleanNode("yes", required, -1),
		schema.NewFloat64Node("x", required, -1)}, -1))
	var texts []parquet.ByteArray
	var defined, repeated, some []int16
	var numbers []int64
	var truths []bool
	var doubles []float64
	for i := range listRows {
		words, n := "null", "null"
		switch i % 3 {
		case 0:
			text := fmt.Sprint("word ", i%7)
			words = fmt.Sprintf(`["%s",null]`, text)
			texts = append(texts, parquet.ByteArray(text))
			defined, repeated = append(defined, 3, 2), append(repeated, 0, 1)
		case 1:
			words = "[]"
			defined, repeated = append(defined, 1), append(repeated, 0)
		default:
			defined, repeated = append(defined, 0), append(repeated, 0)
		}
		if i%4 > 0 {
			n = fmt.Sprint(i * i)
			numbers = append(numbers, int64(i*i))
		}
		some = append(some, int16(min(i%4, 1)))
		truths, doubles = append(truths, i%5 == 0), append(doubles, float64(i)/2)
		rows = append(rows, fmt.Sprintf(`{"words":%s,"n":%s,"yes":%t,"x":%v}`, words, n, i%5 == 0, float64(i)/2))
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := file.NewParquetWriter(f, root, file.WithWriterProps(parquet.NewWriterProperties(append(props,
		parquet.WithDataPageSize(64), parquet.WithBatchSize(8))...)))
	group := w.AppendRowGroup()
	for _, write := range []func(c file.ColumnChunkWriter) (int64, error){
		func(c file.ColumnChunkWriter) (int64, error) {
			return c.(*file.ByteArrayColumnChunkWriter).WriteBatch(texts, defined, repeated)
		},
		func(c file.ColumnChunkWriter) (int64, error) {
			return c.(*file.Int64ColumnChunkWriter).WriteBatch(numbers, some, nil)
		},
		func(c file.ColumnChunkWriter) (int64, error) {
			return c.(*file.BooleanColumnChunkWriter).WriteBatch(truths, nil, nil)
		},
		func(c file.ColumnChunkWriter) (int64, error) {
			return c.(*file.Float64ColumnChunkWriter).WriteBatch(doubles, nil, nil)
		},
	} {
		c, err := group.NextColumn()
		if err == nil {
			_, err = write(c)
		}
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// listFiles are files with lists in all layouts that are read, and the rows that all but nested.parquet have. Two are
// pyarrow's; packed.parquet has runs of truths, which Arrow's writer here gets wrong over several pages.
func listFiles(t *testing.T) (files map[string][]byte, rows []string) {
	t.Helper()
	files = map[string][]byte{}
	path := filepath.Join(t.TempDir(), "lists.parquet")
	plain := parquet.WithDictionaryDefault(false)
	second := parquet.WithDataPageVersion(parquet.DataPageV2)
	packed := []parquet.WriterProperty{plain, parquet.WithEncodingFor("n", parquet.Encodings.DeltaBinaryPacked),
		parquet.WithEncodingFor("words.list.element", parquet.Encodings.DeltaByteArray)}
	for name, props := range map[string][]parquet.WriterProperty{
		"dictionary":      nil,
		"plain":           {plain},
		"plain zstd":      {plain, parquet.WithCompression(compress.Codecs.Zstd)},
		"packed":          packed,
		"packed pages v2": append(packed, second),
		"pages v2 snappy": {second, parquet.WithCompression(compress.Codecs.Snappy)},
	} {
		rows = writeLists(t, path, props...)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = content
	}
	for _, name := range []string{"nested", "packed"} {
		content, err := os.ReadFile(filepath.Join("testdata", name+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		files["pyarrow's "+name] = content
	}
	return files, rows
}

// Lists, integers, truths and doubles are read in every layout.
func TestLists(t *testing.T) {
	files, want := listFiles(t)
	path := filepath.Join(t.TempDir(), "lists.parquet")
	for name, content := range files {
		if name == "pyarrow's nested" {
			continue // TestObjects has its rows
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		i := 0
		for text, err := range Objects(path) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if i >= len(want) || string(text) != want[i] {
				t.Fatalf("%s: row %d is %s", name, i, text)
			}
			i++
		}
		if i != len(want) {
			t.Errorf("%s: %d rows, want %d", name, i, len(want))
		}
	}
}

// Files with lists that are damaged in a thousand ways give rows or an error that names the file, and never hang or
// panic.
func TestDamagedLists(t *testing.T) {
	files, _ := listFiles(t)
	path := filepath.Join(t.TempDir(), "lists.parquet")
	const perFile = 150
	tries, refused := 0, 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		rng := rand.New(rand.NewPCG(1, uint64(len(files[name]))))
		for range perFile {
			what, damaged := datatest.Mutate(rng, files[name])
			if bytes.Equal(damaged, files[name]) {
				continue
			}
			tries++
			if err := os.WriteFile(path, damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			datatest.InTime(t, name+": "+what, func() {
				for _, err := range Objects(path) {
					if err != nil {
						datatest.OneLine(t, path, err)
						refused++
					}
				}
			})
		}
	}
	t.Logf("%d mutations of %d files: %d gave an error", tries, len(files), refused)
	if refused < tries/4 {
		t.Error("the damage does not reach the reader")
	}
}
