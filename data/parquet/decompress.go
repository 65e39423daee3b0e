package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/pierrec/lz4/v4"
)

// lz4Raw is the codec LZ4_RAW of Parquet's specification: blocks of LZ4 without a frame.
// https://parquet.apache.org/docs/file-format/data-pages/compression/
const lz4Raw compress.Compression = 7

// maxLZ4Ratio is how many bytes one of an LZ4 block stands for at most: a byte of a match's
// length says 255.
const maxLZ4Ratio = 255

// codecOf is Arrow's codec of a kind; nil for LZ4_RAW, which Arrow does not know.
func codecOf(kind compress.Compression) (compress.Codec, error) {
	switch kind {
	case lz4Raw:
		return nil, nil
	case compress.Codecs.Lz4:
		return nil, errors.New("the codec LZ4, which writers framed in different ways, is not read; LZ4_RAW, zstd " +
			"and snappy are")
	}
	return compress.GetCodec(kind)
}

// decompress decodes a page to the size that its header declares. Codecs
// that would allocate by what the compressed bytes claim, or go on beyond that
// size, are asked first or are stopped there.
func decompress(codec compress.Codec, kind compress.Compression, src []byte, size int64) ([]byte, error) {
	if len(src) == 0 && size == 0 { // as some writers store a dictionary of nothing
		return nil, nil
	}
	stream := false
	switch kind {
	case compress.Codecs.Uncompressed:
		if int64(len(src)) != size {
			return nil, fmt.Errorf("an uncompressed page of %d bytes that declares %d", len(src), size)
		}
		return src, nil
	case compress.Codecs.Snappy:
		if n, k := binary.Uvarint(src); k <= 0 || n != uint64(size) {
			return nil, fmt.Errorf("snappy data of %d bytes in a page that declares %d", n, size)
		}
	case compress.Codecs.Zstd:
		n, known, err := zstdSize(src)
		if err != nil {
			return nil, err
		}
		if known && n != uint64(size) {
			return nil, fmt.Errorf("zstd data of %d bytes in a page that declares %d", n, size)
		}
		stream = !known
	case lz4Raw:
		if size > maxLZ4Ratio*int64(len(src)) {
			return nil, fmt.Errorf("LZ4 data of %d bytes in a page that declares %d", len(src), size)
		}
		out := make([]byte, size)
		n, err := lz4.UncompressBlock(src, out)
		if err != nil {
			return nil, err
		}
		if int64(n) != size {
			return nil, fmt.Errorf("%d bytes in a page that declares %d", n, size)
		}
		return out, nil
	default:
		stream = true
	}
	if !stream {
		out := codec.Decode(make([]byte, size), src)
		if int64(len(out)) != size {
			return nil, fmt.Errorf("%d bytes in a page that declares %d", len(out), size)
		}
		return out, nil
	}
	r := codec.NewReader(bytes.NewReader(src))
	defer r.Close()
	var out bytes.Buffer
	out.Grow(int(min(size, 1<<20)) + bytes.MinRead)    // beyond that it grows with what is really there
	n, err := io.Copy(&out, io.LimitReader(r, size+1)) // one more: the end, and with it the checksum, is read too
	if err != nil {
		return nil, err
	}
	if n != size {
		return nil, fmt.Errorf("%d bytes or more in a page that declares %d", n, size)
	}
	return out.Bytes(), nil
}

// maxZstdWindow is what a zstd frame may make its decoder keep, in bytes: the
// limit of the reference decoder.
const maxZstdWindow = 128 << 20

// zstdSize is the size of what src holds, if it is one frame that declares it.
// https://www.rfc-editor.org/rfc/rfc8878#section-3
func zstdSize(src []byte) (size uint64, known bool, err error) {
	ends := errors.New("zstd data end early")
	frames := 0
	for len(src) > 0 {
		if len(src) < 6 {
			return 0, false, ends
		}
		magic := binary.LittleEndian.Uint32(src)
		if magic&^0xF == 0x184D2A50 { // skippable
			return 0, false, errors.New("zstd data with a skippable frame, which is not read")
		}
		if magic != 0xFD2FB528 {
			return 0, false, errors.New("no zstd data")
		}
		descriptor := src[4]
		at := 5
		single := descriptor&0x20 != 0
		if !single {
			window := src[at]
			at++
			base := uint64(1) << (10 + window>>3)
			if base+base/8*uint64(window&7) > maxZstdWindow {
				return 0, false, fmt.Errorf("a zstd window of %d bytes; at most %d are read", base, maxZstdWindow)
			}
		}
		at += []int{0, 1, 2, 4}[descriptor&3]
		wide := []int{0, 2, 4, 8}[descriptor>>6]
		if wide == 0 && single {
			wide = 1
		}
		if len(src) < at+wide {
			return 0, false, ends
		}
		var content [8]byte
		copy(content[:], src[at:at+wide])
		n := binary.LittleEndian.Uint64(content[:])
		if wide == 2 {
			n += 256
		}
		size, known = size+n, wide > 0
		src = src[at+wide:]
		for last := false; !last; {
			if len(src) < 3 {
				return 0, false, ends
			}
			block := uint32(src[0]) | uint32(src[1])<<8 | uint32(src[2])<<16
			last = block&1 != 0
			length := int(block >> 3)
			if block>>1&3 == 1 { // one byte, repeated
				length = 1
			}
			if len(src) < 3+length {
				return 0, false, ends
			}
			src = src[3+length:]
		}
		if descriptor&4 != 0 {
			if len(src) < 4 {
				return 0, false, ends
			}
			src = src[4:]
		}
		frames++
	}
	return size, known && frames == 1, nil
}
