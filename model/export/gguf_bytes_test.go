package export_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/data/tokenizer"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/model/hf"
	"steplm/model/modeltest"
)

// ggufParsed is a file as this test reads it, by what the format's description says.
type ggufParsed struct {
	keys    map[string]any
	tensors map[string]ggufTensor
}

type ggufTensor struct {
	kind uint32
	dims []uint64
	data []byte
}

// parseGGUF reads a whole file and refuses anything between or behind what it declares but zeros.
func parseGGUF(t *testing.T, path string) ggufParsed {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := ggufReader{t, bytes.NewReader(content)}
	if magic := r.take(4); string(magic) != "GGUF" || r.word() != 3 {
		t.Fatalf("it begins with %q", content[:8])
	}
	tensors, keys := r.long(), r.long()
	p := ggufParsed{map[string]any{}, map[string]ggufTensor{}}
	for range keys {
		key := r.text()
		p.keys[key] = r.value(r.word())
	}
	type placed struct {
		name   string
		offset uint64
	}
	var order []placed
	for range tensors {
		name := r.text()
		var x ggufTensor
		for range r.word() {
			x.dims = append(x.dims, r.long())
		}
		x.kind = r.word()
		order = append(order, placed{name, r.long()})
		p.tensors[name] = x
	}
	base := (uint64(len(content)) - uint64(r.in.Len()) + 31) / 32 * 32
	end := base
	for _, o := range order {
		x := p.tensors[o.name]
		n := uint64(1)
		for _, d := range x.dims {
			n *= d
		}
		size := map[uint32]uint64{0: 4 * n, 1: 2 * n, 30: 2 * n, 8: n / 32 * 34}[x.kind]
		if at := base + o.offset; at%32 != 0 || at < end || at-end > 31 {
			t.Fatalf("%s begins at %d, the one before ends at %d", o.name, at, end)
		}
		x.data = content[base+o.offset:][:size]
		p.tensors[o.name], end = x, base+o.offset+size
	}
	if len(content)-int(end) > 31 || len(content)%32 != 0 {
		t.Errorf("%d bytes follow the last tensor", len(content)-int(end))
	}
	return p
}

type ggufReader struct {
	t  *testing.T
	in *bytes.Reader
}

func (r ggufReader) take(n int) []byte {
	b := make([]byte, n)
	if _, err := r.in.Read(b); err != nil && n > 0 {
		r.t.Fatal(err)
	}
	return b
}

func (r ggufReader) word() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r ggufReader) long() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }
func (r ggufReader) text() string { return string(r.take(int(r.long()))) }

// value is printable: numbers, truths, texts or lists of them.
func (r ggufReader) value(kind uint32) any {
	switch kind {
	case 4, 5:
		return float64(int32(r.word()))
	case 6:
		var f float32
		binary.Read(bytes.NewReader(r.take(4)), binary.LittleEndian, &f)
		return float64(f)
	case 7:
		return r.take(1)[0] != 0
	case 8:
		return r.text()
	case 9:
		of := r.word()
		var list []any
		for range r.long() {
			list = append(list, r.value(of))
		}
		return list
	}
	r.t.Fatalf("a value of type %d", kind)
	return nil
}

// Of stories260K the file has the tensors of llama.cpp's converter byte for byte, and its keys with their values.
func TestGGUFAsConverted(t *testing.T) {
	var golden struct {
		Metadata map[string]struct {
			Type  []string
			Value any
		}
		Tensors []struct {
			Name, Type, SHA256 string
			Dims               []uint64
		}
	}
	modeltest.ReadJSON(t, datatest.Path(t, "gguf/stories260K.json"), &golden)
	p := parseGGUF(t, storiesAs(t, export.F32))
	if len(p.tensors) != len(golden.Tensors) || len(p.tensors) == 0 {
		t.Errorf("%d tensors, the converter writes %d", len(p.tensors), len(golden.Tensors))
	}
	for _, want := range golden.Tensors {
		got := p.tensors[want.Name]
		sum := sha256.Sum256(got.data)
		if hex.EncodeToString(sum[:]) != want.SHA256 || !slices.Equal(got.dims, want.Dims) {
			t.Errorf("%s, %v, differs from the converter's, %v", want.Name, got.dims, want.Dims)
		}
	}
	for key, want := range golden.Metadata {
		got := p.keys[key]
		if list, ok := want.Value.(map[string]any); ok {
			whole, _ := got.([]any)
			first, last := list["first"].([]any), list["last"].([]any)
			if len(whole) != int(list["count"].(float64)) || !slices.Equal(whole[:len(first)], first) ||
				!slices.Equal(whole[len(whole)-len(last):], last) {
				t.Errorf("%s has %d values, the converter's are %v", key, len(whole), list)
			}
		} else if got != want.Value && key != "general.name" && key[:4] != "GGUF" {
			t.Errorf("%s is %v, the converter's is %v", key, got, want.Value)
		}
	}
}

// storiesAs is stories260K as a GGUF file.
func storiesAs(t *testing.T, dtype export.DType) string {
	t.Helper()
	c, tensors, err := hf.OpenTensors(datatest.Path(t, "models/stories260K"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tensors.Close() })
	tok, err := tokenizer.Load(datatest.Path(t, "generate/tokenizer/tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	one, two := 1, 2
	path := filepath.Join(t.TempDir(), "m.gguf")
	_, err = export.To(t.Context(), export.GGUF{}, path,
		export.Model{Config: c, DType: checkpoint.F32, Weights: tensors},
		export.Text{Tokenizer: tok, BOS: &one, EOS: &two}, export.Options{DType: dtype})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Rows of every type are the gguf package's, and llama.cpp's, byte for byte, but for numbers that would become infinite
// there, which are refused.
func TestGGUFRows(t *testing.T) {
	var golden struct{ Rows []map[string]string }
	modeltest.ReadJSON(t, datatest.Path(t, "gguf/blocks.json"), &golden)
	for _, dtype := range export.DTypes {
		for i, row := range golden.Rows {
			raw, err := hex.DecodeString(row["f32"])
			if err != nil {
				t.Fatal(err)
			}
			values := make([]float32, len(raw)/4)
			if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, values); err != nil {
				t.Fatal(err)
			}
			got, err := export.EncodeRow(dtype, values)
			infinite := strings.Contains(row["f16"], "007c")
			if infinite && (dtype == export.F16 || dtype == export.Q8) {
				if err == nil || !strings.Contains(err.Error(), "does not fit into F16") {
					t.Errorf("row %d as %s, where it becomes infinite: %v", i, dtype, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprintf("%x", got) != row[string(dtype)] {
				t.Errorf("row %d as %s is\n%x, want\n%s", i, dtype, got, row[string(dtype)])
			}
		}
	}
}

// A type is chosen a tensor: vectors are F32, and what does not fit blocks of Q8_0 is F16.
func TestGGUFTypes(t *testing.T) {
	for dtype, want := range map[export.DType][4]uint32{ // embedding, norm, down of 172 columns, the file's type
		export.F32: {0, 0, 0, 0}, export.F16: {1, 0, 1, 1}, export.BF16: {30, 0, 30, 32}, export.Q8: {8, 0, 1, 7},
	} {
		p := parseGGUF(t, storiesAs(t, dtype))
		got := [4]uint32{p.tensors["token_embd.weight"].kind, p.tensors["output_norm.weight"].kind,
			p.tensors["blk.4.ffn_down.weight"].kind, uint32(p.keys["general.file_type"].(float64))}
		if got != want {
			t.Errorf("%s: types %v, want %v", dtype, got, want)
		}
	}
}
