package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// raw builds a file from a header text and data, as another program would.
func raw(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func writeFile(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func openBytes(t *testing.T, content []byte) (*File, error) {
	t.Helper()
	f, err := Open(writeFile(t, filepath.Join(t.TempDir(), "x.safetensors"), content))
	if err == nil {
		t.Cleanup(func() { f.Close() })
	}
	return f, err
}

func TestOpenRefusesDamage(t *testing.T) {
	good := `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	for _, c := range []struct {
		name    string
		content []byte
		want    string // part of the error
	}{
		{"empty file", nil, "0 bytes"},
		{"five bytes", []byte("hello"), "5 bytes"},
		{"html", []byte("<!DOCTYPE html><html></html>"), "not safetensors"},
		{"header beyond file", raw(good, nil)[:30], "truncated"},
		{"header not JSON", raw(`{"a":`, nil), "header"},
		{"header is a list", raw(`[1]`, nil), "object"},
		{"empty header", raw("", nil), "header"},
		{"text after header", raw(good+"x", make([]byte, 8)), "follow"},
		{"truncated data", raw(good, make([]byte, 7)), `"a" ends at byte 8 of the data, the file has 7`},
		{"trailing data", raw(good, make([]byte, 9)), "end at byte 8 of the data, the file has 9"},
		{"name twice",
			raw(
				`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}`, make([]byte, 8)), "twice"},
		{"hole",
			raw(
				`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, make([]byte, 3)), `"b" begins at byte 2 of the data, the one before it ends at 1`},
		{"overlap",
			raw(
				`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, make([]byte, 3)), "begins at byte 1"},
		{"range backwards", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,-2]}}`, nil), "spans"},
		{"negative begin", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[-2,0]}}`, nil), "begins at byte -2"},
		{"range not shape", raw(`{"a":{"dtype":"F16","shape":[3],"data_offsets":[0,8]}}`, make([]byte, 8)), "takes 6"},
		{"three offsets", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}`, make([]byte, 1)), "3 numbers"},
		{"no offsets", raw(`{"a":{"dtype":"U8","shape":[1]}}`, make([]byte, 1)), "0 numbers"},
		{"no shape", raw(`{"a":{"dtype":"U8","data_offsets":[0,1]}}`, make([]byte, 1)), "no shape"},
		{"unknown dtype", raw(`{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,1]}}`, make([]byte, 1)), `"F99"`},
		{"negative dimension", raw(`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, make([]byte, 1)),
			"negative"},
		{"fractional dimension", raw(`{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}`, make([]byte, 1)),
			`"a"`},
		{"product wraps to 4", raw(`{"a":{"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,16]}}`,
			make([]byte, 16)), "64-bit"},
		{"product wraps to 0", raw(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, nil),
			"64-bit"},
		{"metadata no strings", raw(`{"__metadata__":{"a":{}}}`, nil), "__metadata__"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := openBytes(t, c.content)
			if err == nil {
				t.Fatalf("opened, with %v", f.Names())
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "x.safetensors") {
				t.Errorf("%q does not contain %q and the file's name", err, c.want)
			}
		})
	}
	huge := binary.LittleEndian.AppendUint64(nil, 1<<63+5)
	if _, err := openBytes(t, append(huge, good...)); err == nil || !strings.Contains(err.Error(), "announced") {
		t.Errorf("a header of 2^63+5 bytes: %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a directory was opened as a file")
	}
}

// A file cut anywhere is refused, and no flip of a header byte can make the
// reader fall over.
func TestOpenEveryCutAndFlip(t *testing.T) {
	var b bytes.Buffer
	w, err := Create(&b, []Info{{"a", F32, []int{2, 3}}, {"b", BF16, nil}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.WriteF32("a", make([]float32, 6)), w.WriteF32("b", []float32{1}), w.Close()); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	path := filepath.Join(t.TempDir(), "x.safetensors")
	for n := range whole {
		if f, err := Open(writeFile(t, path, whole[:n])); err == nil {
			f.Close()
			t.Fatalf("opened when cut to %d of %d bytes", n, len(whole))
		}
	}
	for n := range len(whole) - 26 {
		flipped := bytes.Clone(whole)
		flipped[n] ^= 4
		if f, err := Open(writeFile(t, path, flipped)); err == nil {
			for _, name := range f.Names() {
				i, _ := f.Info(name)
				if err := f.ReadRaw(name, 0, make([]byte, i.Bytes())); err != nil {
					t.Errorf("byte %d flipped: opened, but %v", n, err)
				}
			}
			f.Close()
		}
	}
}

func TestReadForeignFile(t *testing.T) {
	// Declared out of order, unaligned, with a scalar, an empty tensor and padding.
	data := []byte{7, 0, 0, 0x80, 0x3f, 0, 0x3c, 0, 0xc0, 0x40, 0xc0}
	f, err := openBytes(t,
		raw(`{"half":{"dtype":"F16","shape":[2,1],"data_offsets":[5,9]},"__metadata__":{"format":"pt"},`+
			`"one":{"dtype":"F32","shape":[],"data_offsets":[1,5]},"none":{"dtype":"F32","shape":[0,3],"data_offsets":[5,5]},`+
			`"byte":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"brain":{"dtype":"BF16","shape":[1],"data_offsets":[9,11]}}   `, data))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Names(), []string{"byte", "one", "none", "half", "brain"}; !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	for name, want := range map[string][]float32{"one": {1}, "half": {1, -2}, "none": {}, "brain": {-3}} {
		got := make([]float32, len(want))
		if err := f.ReadF32(name, 0, got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s = %v (%v), want %v", name, got, err, want)
		}
	}
	var last [1]float32
	if err := f.ReadF32("half", 1, last[:]); err != nil || last[0] != -2 {
		t.Errorf("half[1] = %v (%v), want -2", last, err)
	}
	b := make([]byte, 1)
	if err := f.ReadRaw("byte", 0, b); err != nil || b[0] != 7 {
		t.Errorf("byte = %v (%v)", b, err)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{f.ReadF32("half", 1, make([]float32, 2)), "2 elements from 1 asked for, it has 2"},
		{f.ReadF32("half", -1, make([]float32, 1)), "from -1"},
		{f.ReadF32("half", 3, nil), "from 3"},
		{f.ReadF32("byte", 0, make([]float32, 1)), "U8"},
		{f.ReadF32("nought", 0, nil), `"nought"`},
		{f.ReadRaw("half", 3, make([]byte, 2)), "2 bytes from 3 asked for, it has 4"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("error %v, want %q", c.err, c.want)
		}
	}
}

func TestWriteThenRead(t *testing.T) {
	const rows = 300_001 // more than one piece of conversion, and odd
	infos := []Info{{"big", F32, []int{rows}}, {"b16", BF16, []int{rows}}, {"f16", F16, []int{3, 1}},
		{"scalar", F32, nil},
		{"empty", F32, []int{2, 0}}, {"words", U32, []int{2}}, {`name "quoted" <é>`, U8, []int{1}}}
	values := make([]float32, rows)
	for i := range values {
		values[i] = float32(i%509-254) / 64 // exact in bf16: at most 8 bits
	}
	path := filepath.Join(t.TempDir(), "w.safetensors")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Create(out, infos)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(w.WriteF32("big", values[:7]), w.WriteF32("big", values[7:]), w.WriteF32("b16", values),
		w.WriteF32("f16", []float32{1, 2, 3}),
		w.WriteF32("scalar", []float32{5}), w.WriteF32("empty", nil), w.WriteRaw("words", []byte{1, 0, 0, 0, 2}),
		w.WriteRaw("words", []byte{0, 0, 0}),
		w.WriteRaw(infos[6].Name, []byte{9}), w.Close(), out.Close())
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, want := range infos {
		got, ok := f.Info(want.Name)
		if !ok || got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) {
			t.Errorf("%s: %+v (%t), want %+v", want.Name, got, ok, want)
		}
	}
	for _, name := range []string{"big", "b16"} {
		got := make([]float32, rows-1)
		if err := f.ReadF32(name, 1, got); err != nil || !slices.Equal(got, values[1:]) {
			t.Errorf("%s did not come back (%v)", name, err)
		}
	}
	words := make([]byte, 8)
	if err := f.ReadRaw("words", 0, words); err != nil || !bytes.Equal(words, []byte{1, 0, 0, 0, 2, 0, 0, 0}) {
		t.Errorf("words = %v (%v)", words, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	length := binary.LittleEndian.Uint64(content)
	var header map[string]json.RawMessage
	if err := json.Unmarshal(content[8:8+length], &header); err != nil {
		t.Fatal(err)
	}
	if length%8 != 0 || string(header["__metadata__"]) != `{"format":"pt"}` {
		t.Errorf("header of %d bytes, metadata %s", length, header["__metadata__"])
	}
	if !strings.Contains(string(header["scalar"]), `"shape":[]`) {
		t.Errorf("the scalar is declared as %s", header["scalar"])
	}
}

func TestWriterRefuses(t *testing.T) {
	two := []Info{{"a", F32, []int{2}}, {"b", U8, []int{1}}}
	for _, c := range []struct {
		name  string
		write func(w *Writer) error
		want  string
	}{
		{"wrong order", func(w *Writer) error { return w.WriteRaw("b", []byte{1}) }, `"b" is written where "a" is due`},
		{"too much", func(w *Writer) error { return w.WriteF32("a", make([]float32, 3)) },
			"12 bytes after 0, it has 8"},
		{"numbers as bytes", func(w *Writer) error {
			return errors.Join(w.WriteF32("a", make([]float32, 2)), w.WriteF32("b", make([]float32, 1)))
		}, `"b" is U8`},
		{"too little", func(w *Writer) error { return errors.Join(w.WriteF32("a", make([]float32, 1)), w.Close()) },
			`"a" got 4 of 8 bytes, and 1 more`},
		{"one missing", func(w *Writer) error { return errors.Join(w.WriteF32("a", make([]float32, 2)), w.Close()) },
			`"b" got 0 of 1`},
		{"one too many", func(w *Writer) error {
			return errors.Join(w.WriteF32("a", make([]float32, 2)), w.WriteRaw("b", []byte{1}),
				w.WriteRaw("c", []byte{1}))
		}, `"c" is written after the last`},
		{"after close", func(w *Writer) error {
			w.WriteF32("a", make([]float32, 2))
			w.WriteRaw("b", []byte{1})
			if err := w.Close(); err != nil {
				return fmt.Errorf("first close: %w", err)
			}
			return w.WriteRaw("b", []byte{1})
		}, "closed"},
	} {
		w, err := Create(io.Discard, two)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.write(w); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if w.WriteF32("a", []float32{1}) == nil {
			t.Errorf("%s: the error did not stick", c.name)
		}
	}
	for name, infos := range map[string][]Info{
		"twice":     {{"a", F32, nil}, {"a", F32, nil}},
		"reserved":  {{"__metadata__", F32, nil}},
		"unnamed":   {{"", F32, nil}},
		"no dtype":  {{"a", "", nil}},
		"overflow":  {{"a", F32, []int{1 << 40, 1 << 40}}},
		"negative":  {{"a", F32, []int{-1}}},
		"their sum": {{"a", U8, []int{1 << 62}}, {"b", U8, []int{1 << 62}}},
	} {
		if _, err := Create(io.Discard, infos); err == nil {
			t.Errorf("%s: %v was accepted", name, infos)
		}
	}
}
