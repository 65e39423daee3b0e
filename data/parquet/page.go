package parquet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"

	"steplm/data/internal/shard"
)

const (
	// maxPage bounds a page, in bytes after decompression. Writers aim at 1 MiB
	// and overshoot by a document at most.
	maxPage = 256 << 20
)

// pages reads the pages of one column chunk for Arrow's decoders and lets
// through those that they can be trusted with. (Arrow's own page reader
// allocates what a header claims, passes over errors while it sets a page up,
// and takes a chunk's end for zeros. On levels or lengths that end early its
// decoders loop for ever.)
type pages struct {
	source *bufio.Reader
	bytes  int64 // of the chunk, still to be read
	values int64 // that the chunk still owes, with those that are null
	// The highest levels of the column: 0 where it is no list, and where it has no nulls.
	repetition, definition int16
	typ                    parquet.Type
	bits                   int64 // of a plain value; 0: byte arrays
	kind                   compress.Compression
	codec                  compress.Codec

	page file.Page
	err  error // the first; sticks
}

func (p *pages) Page() file.Page          { return p.page }
func (p *pages) Err() error               { return p.err }
func (p *pages) SetMaxPageHeaderSize(int) {}

// Reset is not called: a chunk has pages of its own.
func (p *pages) Reset(parquet.BufferedReader, int64, compress.Compression, *file.CryptoContext) {
	p.err = errors.New("pages cannot be reset")
}

// Next moves to the next page that has values.
func (p *pages) Next() bool {
	p.page = nil
	for p.err == nil && p.page == nil && p.values > 0 && p.bytes > 0 {
		// The codecs panic on some damage.
		p.err = guard(p.next)
	}
	return p.err == nil && p.page != nil
}

// next reads one page, and sets page if it is one for the decoders.
func (p *pages) next() error {
	h, err := p.header()
	if err != nil {
		return err
	}
	switch {
	case h.compressed < 0 || h.compressed > p.bytes:
		return fmt.Errorf("a page of %d compressed bytes, but the column chunk has %d left", h.compressed, p.bytes)
	case h.uncompressed < 0 || h.uncompressed > maxPage:
		return fmt.Errorf("a page of %d bytes; at most %d are read", h.uncompressed, maxPage)
	case h.values < 0 || h.values > math.MaxInt32:
		return fmt.Errorf("a page of %d values", h.values)
	case h.encoding < 0 || h.encoding > math.MaxInt8:
		return fmt.Errorf("a page in encoding %d", h.encoding)
	}
	body := make([]byte, h.compressed)
	n, err := io.ReadFull(p.source, body)
	p.bytes -= int64(n)
	if err != nil {
		return p.readError(err)
	}
	if got := crc32.ChecksumIEEE(body); h.hasCRC && got != uint32(h.crc) {
		return fmt.Errorf("a page's checksum is %08x, its bytes give %08x", uint32(h.crc), got)
	}
	switch h.kind {
	case dictionaryPage:
		data, err := decompress(p.codec, p.kind, body, h.uncompressed)
		if err != nil {
			return err
		}
		if size := max(p.bits/8, 4); h.values > int64(len(data))/size {
			return fmt.Errorf("a dictionary of %d values in %d bytes", h.values, len(data))
		}
		p.page = file.NewDictionaryPage(memory.NewBufferBytes(data), int32(h.values), parquet.Encoding(h.encoding))
		return nil
	case dataPage:
		data, err := decompress(p.codec, p.kind, body, h.uncompressed)
		if err != nil {
			return err
		}
		return p.take(h, data, file.NewDataPageV1(memory.NewBufferBytes(data), int32(h.values),
			parquet.Encoding(h.encoding), parquet.Encodings.RLE, parquet.Encodings.RLE, int32(h.uncompressed)))
	case dataPageV2:
		levels := h.definition + h.repetition
		if h.definition < 0 || h.repetition < 0 || levels > h.compressed || levels > h.uncompressed {
			return fmt.Errorf("levels of %d and %d bytes in a page of %d", h.repetition, h.definition, h.compressed)
		}
		data := body
		if !h.plain && p.kind != compress.Codecs.Uncompressed && (h.compressed > levels || h.uncompressed > levels) {
			rest, err := decompress(p.codec, p.kind, body[levels:], h.uncompressed-levels)
			if err != nil {
				return err
			}
			data = append(body[:levels:levels], rest...)
		}
		if int64(len(data)) != h.uncompressed {
			return fmt.Errorf("%d bytes in a page that declares %d", len(data), h.uncompressed)
		}
		return p.take(h, data, file.NewDataPageV2(memory.NewBufferBytes(data), int32(h.values), int32(h.nulls),
			int32(h.rows),
			parquet.Encoding(h.encoding), int32(h.definition), int32(h.repetition), int32(h.uncompressed), !h.plain))
	case indexPage:
		return nil
	}
	return fmt.Errorf("a page of unknown kind %d", h.kind)
}

// take counts a data page's values and checks its bytes.
func (p *pages) take(h pageHeader, data []byte, page file.Page) error {
	if h.values == 0 {
		return nil // Arrow would take it for the chunk's end
	}
	if h.values > p.values {
		return fmt.Errorf("pages hold %d values more than the chunk declares", h.values-p.values)
	}
	p.values -= h.values
	if err := p.check(h, data); err != nil {
		return err
	}
	p.page = page
	return nil
}

// header reads the next page's header.
func (p *pages) header() (pageHeader, error) {
	for size := int64(4096); ; size *= 2 {
		size = min(size, p.bytes, maxPageHeader)
		view, err := p.source.Peek(int(size))
		if err != nil {
			return pageHeader{}, p.readError(err)
		}
		h, n, err := parsePageHeader(view)
		if err == nil {
			p.source.Discard(n)
			p.bytes -= int64(n)
			return h, nil
		}
		if err != errThriftEnds || size == p.bytes || size == maxPageHeader {
			return h, fmt.Errorf("a page's header cannot be read: %w", err)
		}
	}
}

func (p *pages) readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the column chunk ends inside a page")
	}
	return shard.ReadError{Err: err}
}

// check walks a data page's levels and, where they are readable without decoding, the lengths of its values.
func (p *pages) check(h pageHeader, data []byte) error {
	present, data, err := p.checkLevels(h, data)
	if err != nil {
		return err
	}
	integer := p.typ == parquet.Types.Int32 || p.typ == parquet.Types.Int64
	switch e := parquet.Encoding(h.encoding); {
	case e == parquet.Encodings.Plain:
		return p.checkPlain(data, present)
	case e == parquet.Encodings.PlainDict || e == parquet.Encodings.RLEDict:
		if len(data) > 0 && data[0] > 32 {
			return fmt.Errorf("dictionary indices of %d bits", data[0])
		}
		return nil
	case e == parquet.Encodings.RLE && p.typ == parquet.Types.Boolean:
		runs, _, err := prefixed(data, "boolean values")
		if err == nil {
			_, err = checkRuns(runs, present, 1, "boolean value")
		}
		return err
	case e == parquet.Encodings.DeltaBinaryPacked && integer:
		_, err := walkDelta(data, present, p.bits, nil)
		return err
	case e == parquet.Encodings.DeltaLengthByteArray && p.bits == 0:
		_, err := walkDelta(data, present, lengthBits, nil)
		return err
	case e == parquet.Encodings.DeltaByteArray && p.bits == 0:
		return checkPrefixed(data, present)
	default:
		return fmt.Errorf("values in encoding %s, which is not read", e)
	}
}

// checkLevels walks a data page's levels, and says how many of its values are there and what follows the levels. What
// is repeated has definition levels too.
func (p *pages) checkLevels(h pageHeader, data []byte) (present int64, values []byte, err error) {
	present = h.values
	for _, l := range []struct {
		name            string
		most            int16
		encoding, bytes int64 // in pages of version 1; of version 2
	}{
		{"repetition level", p.repetition, h.repetitionEncoding, h.repetition},
		{"definition level", p.definition, h.definitionEncoding, h.definition},
	} {
		var runs []byte
		switch {
		case h.kind == dataPageV2: // it may have some where the column has none
			runs, data = data[:l.bytes], data[l.bytes:]
		case l.most == 0:
		case parquet.Encoding(l.encoding) != parquet.Encodings.RLE:
			return 0, nil, fmt.Errorf("%ss in encoding %d; only RLE is read", l.name, l.encoding)
		default:
			if runs, data, err = prefixed(data, l.name+"s"); err != nil {
				return 0, nil, err
			}
		}
		if l.most > 0 {
			if present, err = checkRuns(runs, h.values, l.most, l.name); err != nil {
				return 0, nil, err
			}
		}
	}
	return present, data, nil
}

// prefixed splits off bytes whose number is before them.
func prefixed(data []byte, what string) (part, rest []byte, err error) {
	if len(data) < 4 {
		return nil, nil, fmt.Errorf("a page ends before its %s", what)
	}
	n := int64(binary.LittleEndian.Uint32(data))
	if n > int64(len(data)-4) {
		return nil, nil, fmt.Errorf("%s of %d bytes in a page of %d", what, n, len(data))
	}
	return data[4 : 4+n], data[4+n:], nil
}

// checkPlain checks that data is n values and nothing else.
func (p *pages) checkPlain(data []byte, n int64) error {
	if p.bits > 0 {
		if int64(len(data)) != (n*p.bits+7)/8 {
			return fmt.Errorf("%d values of %d bits in %d bytes", n, p.bits, len(data))
		}
		return nil
	}
	for left := n; left > 0; left-- {
		if len(data) < 4 {
			return fmt.Errorf("a page ends %d values early", left)
		}
		size := int64(binary.LittleEndian.Uint32(data))
		if size > int64(len(data)-4) {
			return fmt.Errorf("a value of %d bytes in a page with %d left", size, len(data)-4)
		}
		data = data[4+size:]
	}
	if len(data) > 0 {
		return fmt.Errorf("%d bytes after a page's last value", len(data))
	}
	return nil
}

// checkRuns checks that Parquet's hybrid of runs and of packed bits holds at least n numbers, none above most, and
// counts those that are most. What says what one of them is.
// https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE
func checkRuns(data []byte, n int64, most int16, what string) (full int64, err error) {
	width := bits.Len16(uint16(most))
	count := func(number int, times int64) error {
		if number > int(most) {
			return fmt.Errorf("%s %d in a column whose highest is %d", what, number, most)
		}
		if number == int(most) {
			full += times
		}
		return nil
	}
	for n > 0 {
		header, k := binary.Uvarint(data)
		if k <= 0 {
			return 0, fmt.Errorf("%ss end %d values early", what, n)
		}
		data = data[k:]
		length := header >> 1
		if length == 0 || length > math.MaxInt32/8 {
			return 0, fmt.Errorf("a run of %d %ss", length, what)
		}
		size := (width + 7) / 8 // of a run's number
		groups := min(int64(length), (n+7)/8)
		packed := header&1 == 1 // groups of 8 numbers, width bytes each
		if packed {
			size = int(groups) * width
		}
		if len(data) < size {
			return 0, fmt.Errorf("%ss end inside a run", what)
		}
		if !packed {
			if err := count(unpack(data, 0, 8*size), min(int64(length), n)); err != nil {
				return 0, err
			}
			data, n = data[size:], n-int64(length)
			continue
		}
		for i := range min(8*groups, n) {
			if err := count(unpack(data, int(i)*width, width), 1); err != nil {
				return 0, err
			}
		}
		data, n = data[min(int(length)*width, len(data)):], n-8*groups
	}
	return full, nil
}

// unpack is the number of so many bits that begins at a bit of data, the lowest first; it has 32 at most.
func unpack(data []byte, at, width int) int {
	number := uint64(0)
	for i := at / 8; 8*i < at+width; i++ {
		number |= uint64(data[i]) << (8 * (i - at/8))
	}
	return int(number >> (at % 8) & (1<<width - 1))
}
