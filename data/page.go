package data

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
)

// section is the bytes of one column chunk. It remembers a read past their
// end, which Arrow ignores in places.
type section struct {
	*bufio.Reader
	short bool
}

func (s *section) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil {
		s.short = true
	}
	return n, err
}

// checkedPages lets through the pages that Arrow's decoders can be trusted
// with. On levels or lengths that end early they would loop for ever, and
// errors that they find while a page is set up are dropped.
type checkedPages struct {
	file.PageReader
	source   *section
	optional bool
	left     int64 // values that the chunk still owes
	err      error
}

// Next moves to the next page that has values.
func (p *checkedPages) Next() bool {
	for p.err == nil {
		more := p.PageReader.Next()
		if p.source.short {
			p.err = errors.New("the column chunk ends inside a page")
			return false
		}
		if !more {
			return false
		}
		page := p.Page()
		if _, dictionary := page.(*file.DictionaryPage); dictionary {
			return true
		}
		if page.NumValues() == 0 {
			continue // Arrow would take it for the chunk's end
		}
		p.left -= int64(page.NumValues())
		if p.left < 0 {
			p.err = fmt.Errorf("pages hold %d values more than the chunk declares", -p.left)
			return false
		}
		if p.err = p.check(page); p.err != nil {
			return false
		}
		return true
	}
	return false
}

func (p *checkedPages) Err() error { return cmp.Or(p.err, p.PageReader.Err()) }

// check walks a data page's definition levels and the lengths of delta
// encodings.
func (p *checkedPages) check(page file.Page) error {
	data, levels := page.Data(), []byte(nil)
	switch d := page.(type) {
	case *file.DataPageV1:
		if !p.optional {
			break
		}
		if d.DefinitionLevelEncoding() != parquet.Encodings.RLE {
			return fmt.Errorf("definition levels in encoding %s; only RLE is read", d.DefinitionLevelEncoding())
		}
		if len(data) < 4 {
			return errors.New("a page ends before its definition levels")
		}
		n := int64(binary.LittleEndian.Uint32(data))
		if n > int64(len(data)-4) {
			return fmt.Errorf("definition levels of %d bytes in a page of %d", n, len(data))
		}
		levels, data = data[4:4+n], data[4+n:]
	case *file.DataPageV2:
		r, n := int64(d.RepetitionLevelByteLen()), int64(d.DefinitionLevelByteLen())
		if r < 0 || n < 0 || r+n > int64(len(data)) {
			return fmt.Errorf("levels of %d and %d bytes in a page of %d", r, n, len(data))
		}
		levels, data = data[r:r+n], data[r+n:]
	}
	if p.optional {
		if err := checkLevels(levels, int64(page.NumValues())); err != nil {
			return err
		}
	}
	switch e := parquet.Encoding(page.Encoding()); e {
	case parquet.Encodings.Plain:
		return nil // Arrow checks these lengths itself
	case parquet.Encodings.PlainDict, parquet.Encodings.RLEDict:
		if len(data) > 0 && data[0] > 32 {
			return fmt.Errorf("dictionary indices of %d bits", data[0])
		}
		return nil
	case parquet.Encodings.DeltaLengthByteArray:
		_, err := skipDelta(data, int64(page.NumValues()))
		return err
	case parquet.Encodings.DeltaByteArray: // prefix lengths, then suffix lengths
		rest, err := skipDelta(data, int64(page.NumValues()))
		if err != nil {
			return err
		}
		_, err = skipDelta(rest, int64(page.NumValues()))
		return err
	default:
		return fmt.Errorf("text in encoding %s, which is not read", e)
	}
}

// checkLevels checks that runs of one-bit levels in Parquet's RLE/bit-packed
// hybrid hold at least n values.
// https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE
func checkLevels(data []byte, n int64) error {
	for n > 0 {
		header, k := binary.Uvarint(data)
		if k <= 0 {
			return fmt.Errorf("definition levels end %d values early", n)
		}
		data = data[k:]
		count := header >> 1
		if count == 0 || count > math.MaxInt32/8 {
			return fmt.Errorf("a run of %d definition levels", count)
		}
		if header&1 == 1 { // groups of 8 values, one byte each
			if int64(len(data)) < min(int64(count), (n+7)/8) {
				return errors.New("definition levels end inside a run")
			}
			data = data[min(int(count), len(data)):]
			n -= int64(count) * 8
			continue
		}
		if len(data) == 0 {
			return errors.New("definition levels end inside a run")
		}
		if data[0] > 1 {
			return fmt.Errorf("definition level %d in a column whose highest is 1", data[0])
		}
		data = data[1:]
		n -= int64(count)
	}
	return nil
}

// skipDelta walks one DELTA_BINARY_PACKED run of at most n values and returns
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
	if total > uint64(n) {
		return nil, fmt.Errorf("%d delta-encoded lengths for %d values", total, n)
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
