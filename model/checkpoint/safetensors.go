package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// The format (huggingface/safetensors): 8 bytes header length, little-endian;
// a JSON object of that length, name -> {dtype, shape, data_offsets}, with an
// optional "__metadata__" of strings; then the data, without holes.

// maxHeader is the limit of the reference implementation.
const maxHeader = 100_000_000

const metadataKey = "__metadata__"

// pieceBytes bounds the memory of one conversion.
const pieceBytes = 1 << 20

// Info describes one tensor. A nil or empty Shape is a scalar.
type Info struct {
	Name  string
	DType DType
	Shape []int
}

// Elements is the product of Shape: 1 for a scalar.
func (i Info) Elements() int {
	n := 1
	for _, d := range i.Shape {
		n *= d
	}
	return n
}

// Bytes is what the tensor takes in the file.
func (i Info) Bytes() int64 { return int64(i.Elements()) * int64(i.DType.Size()) }

// check refuses what has no size: an unknown type, a negative dimension, a
// product beyond int64.
func (i Info) check() error {
	size := i.DType.Size()
	if size == 0 {
		return fmt.Errorf("tensor %q: dtype %q is not known", i.Name, i.DType)
	}
	bytes := int64(size)
	for _, d := range i.Shape {
		if d < 0 {
			return fmt.Errorf("tensor %q: shape %v has a negative dimension", i.Name, i.Shape)
		}
		if d == 0 {
			continue
		}
		if bytes > math.MaxInt64/int64(d) {
			return fmt.Errorf("tensor %q: shape %v has more bytes than a 64-bit number can count", i.Name, i.Shape)
		}
		bytes *= int64(d)
	}
	if bytes/int64(size) > math.MaxInt {
		return fmt.Errorf("tensor %q: shape %v has more elements than this machine can count", i.Name, i.Shape)
	}
	return nil
}

// File reads one safetensors file. Its methods may be called concurrently.
type File struct {
	path    string
	file    *os.File
	names   []string // in the order of the data
	tensors map[string]placed
}

type placed struct {
	Info
	begin int64 // in the file
}

// Open reads and validates the header: every tensor has a known dtype, a shape
// whose bytes are the bytes of its range, and the ranges tile the rest of the
// file without holes. The data are not read.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	file, err := parse(path, f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

func parse(path string, f *os.File) (*File, error) {
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	size := stat.Size()
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, fmt.Errorf("not safetensors: %d bytes, the header's length alone takes 8", size)
	}
	if _, err := f.ReadAt(prefix[:], 0); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > maxHeader {
		return nil, fmt.Errorf("not safetensors: a header of %d bytes is announced, the format allows %d", length,
			maxHeader)
	}
	if int64(length) > size-8 {
		return nil,
			fmt.Errorf("damaged or truncated: a header of %d bytes is announced, the file has %d after its first 8",
				length, size-8)
	}
	text := make([]byte, length)
	if _, err := f.ReadAt(text, 8); err != nil {
		return nil, err
	}
	entries, err := parseHeader(text)
	if err != nil {
		return nil, fmt.Errorf("damaged safetensors header: %w", err)
	}
	file := &File{path: path, file: f, tensors: make(map[string]placed, len(entries))}
	base := 8 + int64(length)
	if err := file.place(entries, base, size-base); err != nil {
		return nil, err
	}
	return file, nil
}

type headerEntry struct {
	Info
	begin, end int64
}

// parseHeader walks the object by hand: a map would keep the last of two equal
// names without a word.
func parseHeader(text []byte) ([]headerEntry, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if t, err := decoder.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, fmt.Errorf("it begins with %v, not with an object", t)
	}
	var entries []headerEntry
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name := token.(string) // the decoder has checked that a key is a string
		if seen[name] {
			return nil, fmt.Errorf("the name %q occurs twice", name)
		}
		seen[name] = true
		if name == metadataKey {
			var metadata map[string]string
			if err := decoder.Decode(&metadata); err != nil {
				return nil, fmt.Errorf("%s: %w", metadataKey, err)
			}
			continue
		}
		var value struct {
			DType   DType   `json:"dtype"`
			Shape   *[]int  `json:"shape"`
			Offsets []int64 `json:"data_offsets"`
		}
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if value.Shape == nil {
			return nil, fmt.Errorf("tensor %q has no shape", name)
		}
		if len(value.Offsets) != 2 {
			return nil, fmt.Errorf("tensor %q: data_offsets has %d numbers, not 2", name, len(value.Offsets))
		}
		info := Info{Name: name, DType: value.DType, Shape: *value.Shape}
		if err := info.check(); err != nil {
			return nil, err
		}
		entries = append(entries, headerEntry{info, value.Offsets[0], value.Offsets[1]})
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	if rest := bytes.TrimRight(text[decoder.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes follow its object", len(rest))
	}
	return entries, nil
}

// place checks that the ranges tile [0, dataBytes) and records where each begins.
func (f *File) place(entries []headerEntry, base, dataBytes int64) error {
	slices.SortStableFunc(entries, func(a, b headerEntry) int {
		switch {
		case a.begin < b.begin || a.begin == b.begin && a.end < b.end:
			return -1
		case a.begin == b.begin && a.end == b.end:
			return 0
		}
		return 1
	})
	var at int64
	for _, e := range entries {
		if e.begin != at {
			return fmt.Errorf("damaged safetensors header: tensor %q begins at byte %d of the data, the one "+
				"before it ends at %d", e.Name, e.begin, at)
		}
		if e.end < e.begin || e.end-e.begin != e.Bytes() {
			return fmt.Errorf("damaged safetensors header: tensor %q spans bytes %d to %d, %s of shape %v takes %d",
				e.Name, e.begin, e.end, e.DType, e.Shape, e.Bytes())
		}
		if e.end > dataBytes {
			return fmt.Errorf("truncated: tensor %q ends at byte %d of the data, the file has %d: copy or "+
				"download it again", e.Name, e.end, dataBytes)
		}
		at = e.end
		f.names = append(f.names, e.Name)
		f.tensors[e.Name] = placed{e.Info, base + e.begin}
	}
	if at != dataBytes {
		return fmt.Errorf("damaged: the tensors end at byte %d of the data, the file has %d", at, dataBytes)
	}
	return nil
}

// Names lists the tensors in the order of their data.
func (f *File) Names() []string { return slices.Clone(f.names) }

// Info describes one tensor; false means that the file has none of that name.
func (f *File) Info(name string) (Info, bool) {
	t, ok := f.tensors[name]
	return t.Info, ok
}

// ReadF32 fills dst with the elements at, at+1, ... of a tensor in row-major
// order, widening F16 and BF16 exactly.
func (f *File) ReadF32(name string, at int, dst []float32) error {
	t, err := f.find(name)
	if err != nil {
		return err
	}
	if !t.DType.Float() {
		return fmt.Errorf("%s: tensor %q is %s: only F32, F16 and BF16 can be read as numbers", f.path, name, t.DType)
	}
	if at < 0 || at > t.Elements() || len(dst) > t.Elements()-at {
		return fmt.Errorf("%s: tensor %q: %d elements from %d asked for, it has %d", f.path, name, len(dst), at,
			t.Elements())
	}
	size := t.DType.Size()
	buffer := make([]byte, min(len(dst)*size, pieceBytes))
	for offset := t.begin + int64(at)*int64(size); len(dst) > 0; {
		n := min(len(dst), pieceBytes/size)
		if err := f.readAt(name, buffer[:n*size], offset); err != nil {
			return err
		}
		decodeF32(t.DType, dst[:n], buffer)
		dst = dst[n:]
		offset += int64(n * size)
	}
	return nil
}

// ReadRaw fills dst with a tensor's stored bytes from byte at on.
func (f *File) ReadRaw(name string, at int64, dst []byte) error {
	t, err := f.find(name)
	if err != nil {
		return err
	}
	if at < 0 || at > t.Bytes() || int64(len(dst)) > t.Bytes()-at {
		return fmt.Errorf("%s: tensor %q: %d bytes from %d asked for, it has %d", f.path, name, len(dst), at, t.Bytes())
	}
	return f.readAt(name, dst, t.begin+at)
}

// Close releases the file; reads after it fail.
func (f *File) Close() error { return f.file.Close() }

func (f *File) find(name string) (placed, error) {
	t, ok := f.tensors[name]
	if !ok {
		return t, fmt.Errorf("%s: no tensor %q among its %d", f.path, name, len(f.names))
	}
	return t, nil
}

func (f *File) readAt(name string, dst []byte, offset int64) error {
	n, err := f.file.ReadAt(dst, offset)
	if n == len(dst) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: tensor %q: %d of %d bytes at offset %d: %w", f.path, name, n, len(dst), offset, err)
}
