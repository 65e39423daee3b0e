package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Writer streams one safetensors file: the header at once, then the tensors in
// the order in which they were declared, each in as many pieces as the caller
// likes. The first error sticks.
type Writer struct {
	w       io.Writer
	infos   []Info
	current int
	written int64 // bytes of the current tensor
	buffer  []byte
	err     error
}

// Create writes the header that declares infos; names are unique. Close checks
// that everything declared was written; it does not close w.
// If w has a method Expect(int64), it is told the size of the whole file.
func Create(w io.Writer, infos []Info) (*Writer, error) {
	header, data, err := encodeHeader(infos)
	if err != nil {
		return nil, err
	}
	if e, ok := w.(interface{ Expect(int64) }); ok {
		e.Expect(int64(len(header)) + data)
	}
	if _, err := w.Write(header); err != nil {
		return nil, err
	}
	out := &Writer{w: w, infos: slices.Clone(infos)}
	out.skipFull()
	return out, nil
}

// encodeHeader also returns the bytes of the data that will follow.
func encodeHeader(infos []Info) (header []byte, data int64, err error) {
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	b.WriteString(`{"` + metadataKey + `":{"format":"pt"}`) // what Hugging Face's loader asks for
	seen := map[string]bool{metadataKey: true}
	for _, i := range infos {
		if i.Name == "" || seen[i.Name] {
			return nil, 0, fmt.Errorf("tensor name %q is empty, reserved or declared twice", i.Name)
		}
		seen[i.Name] = true
		if err := i.check(); err != nil {
			return nil, 0, err
		}
		end := data + i.Bytes()
		if end < data {
			return nil, 0, fmt.Errorf("tensor %q: %d and %d bytes are more than a 64-bit number can count", i.Name,
				data, i.Bytes())
		}
		shape := i.Shape
		if shape == nil {
			shape = []int{} // a scalar's shape is [], never null
		}
		name, err := json.Marshal(i.Name)
		if err != nil {
			return nil, 0, err
		}
		value, err := json.Marshal(struct {
			DType   DType    `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{i.DType, shape, [2]int64{data, end}})
		if err != nil {
			return nil, 0, err
		}
		b.WriteByte(',')
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
		data = end
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 { // the data begin aligned
		b.WriteByte(' ')
	}
	length := b.Len() - 8
	if length > maxHeader {
		return nil, 0, fmt.Errorf("a header of %d bytes for %d tensors, the format allows %d: write several files",
			length, len(infos), maxHeader)
	}
	binary.LittleEndian.PutUint64(b.Bytes(), uint64(length))
	return b.Bytes(), data, nil
}

// WriteF32 appends values to the tensor that is due, rounding to nearest even
// where it is F16 or BF16.
func (w *Writer) WriteF32(name string, values []float32) error {
	if len(values) == 0 {
		return w.err
	}
	info, err := w.due(name)
	if err != nil {
		return err
	}
	if !info.DType.Float() {
		return w.fail(fmt.Errorf("tensor %q is %s: numbers can be written as F32, F16 and BF16 only", name, info.DType))
	}
	size := info.DType.Size()
	if err := w.room(info, int64(len(values))*int64(size)); err != nil {
		return err
	}
	if w.buffer == nil {
		w.buffer = make([]byte, pieceBytes)
	}
	for len(values) > 0 {
		n := min(len(values), pieceBytes/size)
		if err := encodeF32(info.DType, w.buffer, values[:n]); err != nil {
			return w.fail(fmt.Errorf("tensor %q: %w", name, err))
		}
		if err := w.write(w.buffer[:n*size]); err != nil {
			return err
		}
		values = values[n:]
	}
	w.skipFull()
	return nil
}

// WriteRaw appends stored bytes, little-endian, to the tensor that is due.
func (w *Writer) WriteRaw(name string, b []byte) error {
	if len(b) == 0 {
		return w.err
	}
	info, err := w.due(name)
	if err != nil {
		return err
	}
	if err := w.room(info, int64(len(b))); err != nil {
		return err
	}
	if err := w.write(b); err != nil {
		return err
	}
	w.skipFull()
	return nil
}

// Close reports what was declared and not written.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.current < len(w.infos) {
		i := w.infos[w.current]
		return w.fail(fmt.Errorf("tensor %q got %d of %d bytes, and %d more tensors got none", i.Name, w.written,
			i.Bytes(), len(w.infos)-w.current-1))
	}
	w.err = errors.New("safetensors writer: closed")
	return nil
}

// due is the tensor whose turn it is; an empty one has no turn.
func (w *Writer) due(name string) (Info, error) {
	if w.err != nil {
		return Info{}, w.err
	}
	if w.current == len(w.infos) {
		return Info{}, w.fail(fmt.Errorf("tensor %q is written after the last of %d", name, len(w.infos)))
	}
	if i := w.infos[w.current]; i.Name != name {
		return Info{}, w.fail(fmt.Errorf("tensor %q is written where %q is due (%d of %d bytes there)", name, i.Name,
			w.written, i.Bytes()))
	}
	return w.infos[w.current], nil
}

func (w *Writer) room(info Info, n int64) error {
	if n > info.Bytes()-w.written {
		return w.fail(fmt.Errorf("tensor %q: %d bytes after %d, it has %d", info.Name, n, w.written, info.Bytes()))
	}
	return nil
}

func (w *Writer) write(b []byte) error {
	n, err := w.w.Write(b)
	w.written += int64(n)
	if err != nil {
		return w.fail(err)
	}
	return nil
}

func (w *Writer) skipFull() {
	for w.current < len(w.infos) && w.written == w.infos[w.current].Bytes() {
		w.current++
		w.written = 0
	}
}

func (w *Writer) fail(err error) error {
	w.err = err
	return err
}
