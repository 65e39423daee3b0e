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
	// maxDelta bounds the values of a delta-encoded page: 2^31 equal ones take
	// a few kilobytes, but 8 GiB once decoded.
	maxDelta = 1 << 24
)

// pages reads the pages of one column chunk for Arrow's decoders and lets
// through those that they can be trusted with. (Arrow's own page reader
// allocates what a header claims, passes over errors while it sets a page up,
// and takes a chunk's end for zeros. On levels or lengths that end early its
// decoders loop for ever.)
type pages struct {
	source   *bufio.Reader
	bytes    int64 // of the chunk, still to be read
	values   int64 // that the chunk still owes
	optional bool
	width    int64 // bytes of a value; 0: byte arrays
	kind     compress.Compression
	codec    compress.Codec

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
	case h.encoding < 0 || h.encoding > math.MaxInt8 || h.levelEncoding < 0 || h.levelEncoding > math.MaxInt8:
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
		if size := max(p.width, 4); h.values > int64(len(data))/size {
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
			parquet.Encoding(h.encoding),
			parquet.Encoding(h.levelEncoding), parquet.Encodings.RLE, int32(h.uncompressed)))
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

// check walks a data page's definition levels and, where they are readable
// without decoding, the lengths of its values.
func (p *pages) check(h pageHeader, data []byte) error {
	var levels []byte
	if h.kind == dataPageV2 {
		levels, data = data[h.repetition:h.repetition+h.definition], data[h.repetition+h.definition:]
	} else if p.optional {
		if e := parquet.Encoding(h.levelEncoding); e != parquet.Encodings.RLE {
			return fmt.Errorf("definition levels in encoding %s; only RLE is read", e)
		}
		if len(data) < 4 {
			return errors.New("a page ends before its definition levels")
		}
		n := int64(binary.LittleEndian.Uint32(data))
		if n > int64(len(data)-4) {
			return fmt.Errorf("definition levels of %d bytes in a page of %d", n, len(data))
		}
		levels, data = data[4:4+n], data[4+n:]
	}
	present := h.values
	if p.optional {
		var err error
		if present, err = checkLevels(levels, h.values); err != nil {
			return err
		}
	}
	switch e := parquet.Encoding(h.encoding); {
	case e == parquet.Encodings.Plain:
		return p.checkPlain(data, present)
	case e == parquet.Encodings.PlainDict || e == parquet.Encodings.RLEDict:
		if len(data) > 0 && data[0] > 32 {
			return fmt.Errorf("dictionary indices of %d bits", data[0])
		}
		return nil
	case e == parquet.Encodings.DeltaLengthByteArray && p.width == 0:
		_, err := skipDelta(data, present)
		return err
	case e == parquet.Encodings.DeltaByteArray && p.width == 0: // prefix lengths, then suffix lengths
		rest, err := skipDelta(data, present)
		if err != nil {
			return err
		}
		_, err = skipDelta(rest, present)
		return err
	default:
		return fmt.Errorf("values in encoding %s, which is not read", e)
	}
}

// checkPlain checks that data is n values and nothing else.
func (p *pages) checkPlain(data []byte, n int64) error {
	if p.width > 0 {
		if int64(len(data)) != n*p.width {
			return fmt.Errorf("%d values of %d bytes in %d bytes", n, p.width, len(data))
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

// checkLevels checks that runs of one-bit levels in Parquet's RLE/bit-packed
// hybrid hold at least n values, and counts the ones among those.
// https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE
func checkLevels(data []byte, n int64) (ones int64, err error) {
	for n > 0 {
		header, k := binary.Uvarint(data)
		if k <= 0 {
			return 0, fmt.Errorf("definition levels end %d values early", n)
		}
		data = data[k:]
		count := header >> 1
		if count == 0 || count > math.MaxInt32/8 {
			return 0, fmt.Errorf("a run of %d definition levels", count)
		}
		if header&1 == 1 { // groups of 8 values, one byte each
			if int64(len(data)) < min(int64(count), (n+7)/8) {
				return 0, errors.New("definition levels end inside a run")
			}
			for _, b := range data[:min(int64(count), (n+7)/8)] {
				if n < 8 {
					b &= 1<<n - 1
				}
				ones += int64(bits.OnesCount8(b))
				n -= 8
			}
			data = data[min(int(count), len(data)):]
			continue
		}
		if len(data) == 0 {
			return 0, errors.New("definition levels end inside a run")
		}
		if data[0] > 1 {
			return 0, fmt.Errorf("definition level %d in a column whose highest is 1", data[0])
		}
		ones += int64(data[0]) * min(int64(count), n)
		data = data[1:]
		n -= int64(count)
	}
	return ones, nil
}

// skipDelta walks one DELTA_BINARY_PACKED run of n values and returns
// what follows it.
// https://parquet.apache.org/docs/file-format/data-pages/encodings/#DELTAENC
func skipDelta(data []byte, n int64) ([]byte, error) {
	var header [4]uint64 // block size, mini-blocks per block, values, first value
	for i := range header {
		v, k := binary.Uvarint(data)
		if k <= 0 {
			return nil, errors.New("delta-encoded lengths end in their header")
		}
		header[i], data = v, data[k:]
	}
	block, minis, total := header[0], header[1], header[2]
	if minis == 0 || block > 1<<20 || block%minis != 0 || block/minis == 0 || block/minis%8 != 0 {
		return nil, fmt.Errorf("delta-encoded lengths in blocks of %d values and %d mini-blocks", block, minis)
	}
	if total != uint64(n) || total > maxDelta {
		return nil, fmt.Errorf("%d delta-encoded lengths for %d values; at most %d are read", total, n, maxDelta)
	}
	perMini := int64(block / minis)
	for left := int64(total) - 1; left > 0; {
		_, k := binary.Uvarint(data) // smallest delta
		if k <= 0 || uint64(len(data)-k) < minis {
			return nil, fmt.Errorf("delta-encoded lengths end %d values early", left)
		}
		widths := data[k : k+int(minis)]
		data = data[k+int(minis):]
		for _, w := range widths {
			if left <= 0 {
				break // mini-blocks without values have no bytes
			}
			bytes := perMini / 8 * int64(w)
			if w > 32 || bytes > int64(len(data)) {
				return nil, fmt.Errorf("delta-encoded lengths end %d values early", left)
			}
			data = data[bytes:]
			left -= perMini
		}
	}
	return data, nil
}
