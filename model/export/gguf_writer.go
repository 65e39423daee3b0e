package export

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// The GGUF container, version 3: a head with keys and values and the tensors' infos, then the data, each tensor's at a
// multiple of the alignment.
const (
	ggufVersion   = 3
	ggufAlignment = 32
)

// The types of values that are written.
const (
	ggufU32    = 4
	ggufI32    = 5
	ggufF32    = 6
	ggufBool   = 7
	ggufString = 8
	ggufArray  = 9
)

// ggufHead collects a file's keys and values, in the order in which they are added.
type ggufHead struct {
	keys  bytes.Buffer
	count uint64
}

// add writes a key with a value: a uint32, float32, bool, string or a slice of strings, float32 or int32.
func (h *ggufHead) add(key string, value any) {
	h.count++
	h.text(key)
	switch v := value.(type) {
	case uint32:
		h.words(ggufU32, v)
	case float32:
		h.words(ggufF32, math.Float32bits(v))
	case bool:
		h.words(ggufBool)
		h.keys.WriteByte(map[bool]byte{true: 1}[v])
	case string:
		h.words(ggufString)
		h.text(v)
	case []string:
		h.array(ggufString, len(v))
		for _, s := range v {
			h.text(s)
		}
	case []float32:
		h.array(ggufF32, len(v))
		for _, f := range v {
			h.words(math.Float32bits(f))
		}
	case []int32:
		h.array(ggufI32, len(v))
		for _, n := range v {
			h.words(uint32(n))
		}
	default:
		panic(fmt.Sprintf("a value of type %T has no place in a GGUF file", value))
	}
}

func (h *ggufHead) words(list ...uint32) {
	for _, w := range list {
		h.keys.Write(binary.LittleEndian.AppendUint32(nil, w))
	}
}

func (h *ggufHead) long(n uint64) { h.keys.Write(binary.LittleEndian.AppendUint64(nil, n)) }

func (h *ggufHead) text(s string) {
	h.long(uint64(len(s)))
	h.keys.WriteString(s)
}

func (h *ggufHead) array(of uint32, n int) {
	h.words(ggufArray, of)
	h.long(uint64(n))
}

// ggufInfo is a tensor of the file. Dims count from the fastest on.
type ggufInfo struct {
	name string
	dims []int
	kind ggufKind
}

// bytes is what the tensor's data take, padding aside.
func (i ggufInfo) bytes() int64 {
	rows := int64(1)
	for _, d := range i.dims[1:] {
		rows *= int64(d)
	}
	return rows * i.kind.rowBytes(i.dims[0])
}

// ggufFile streams a file: the head, then the tensors in their order.
type ggufFile struct {
	out     io.Writer
	written int64 // of the data
}

// writeHead writes all that stands before the data.
func writeHead(out io.Writer, h *ggufHead, tensors []ggufInfo) (*ggufFile, error) {
	head := ggufHead{}
	head.keys.WriteString("GGUF")
	head.words(ggufVersion)
	head.long(uint64(len(tensors)))
	head.long(h.count)
	head.keys.Write(h.keys.Bytes())
	offset := int64(0)
	for _, t := range tensors {
		head.text(t.name)
		head.words(uint32(len(t.dims)))
		for _, d := range t.dims {
			head.long(uint64(d))
		}
		head.words(t.kind.number)
		head.long(uint64(offset))
		offset += aligned(t.bytes())
	}
	size := int64(head.keys.Len())
	head.keys.Write(make([]byte, aligned(size)-size))
	if e, ok := out.(interface{ Expect(int64) }); ok {
		e.Expect(int64(head.keys.Len()) + offset)
	}
	_, err := out.Write(head.keys.Bytes())
	return &ggufFile{out: out}, err
}

// write appends a piece of a tensor's data.
func (f *ggufFile) write(b []byte) error {
	n, err := f.out.Write(b)
	f.written += int64(n)
	return err
}

// end fills a tensor's data up.
func (f *ggufFile) end() error { return f.write(make([]byte, aligned(f.written)-f.written)) }

func aligned(n int64) int64 { return (n + ggufAlignment - 1) / ggufAlignment * ggufAlignment }
