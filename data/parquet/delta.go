package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// maxDelta bounds the values of a delta-encoded page: 2^31 equal ones take
	// a few kilobytes, but 8 GiB once decoded.
	maxDelta = 1 << 24
	// lengthBits is how many bits a delta-encoded length has at most.
	lengthBits = 32
)

// checkPrefixed checks the lengths of n DELTA_BYTE_ARRAY values, of each of which the decoder makes a copy that begins
// as the one before: a long one and its repetitions take a few kilobytes.
// https://parquet.apache.org/docs/file-format/data-pages/encodings/#DELTASTRING
func checkPrefixed(data []byte, n int64) (err error) {
	total := int64(0)
	for _, what := range []string{"prefix", "suffix"} {
		shortest := int64(0)
		data, err = walkDelta(data, n, lengthBits, func(v int64) {
			total += v
			shortest = min(shortest, v)
		})
		switch {
		case err != nil:
			return err
		case shortest < 0:
			return fmt.Errorf("a %s of %d bytes", what, shortest)
		case total > maxPage:
			return fmt.Errorf("a page of %d values that are %d bytes when their prefixes are there; at most %d are "+
				"read", n, total, maxPage)
		}
	}
	return nil
}

// walkDelta walks one DELTA_BINARY_PACKED run of n values of so many bits and returns what follows it. see, unless it
// is nil, is told the values, which then have 32 bits at most.
// https://parquet.apache.org/docs/file-format/data-pages/encodings/#DELTAENC
func walkDelta(data []byte, n, most int64, see func(v int64)) ([]byte, error) {
	var header [4]uint64 // block size, mini-blocks per block, values, first value
	for i := range header {
		v, k := binary.Uvarint(data)
		if k <= 0 {
			return nil, errors.New("delta-encoded numbers end in their header")
		}
		header[i], data = v, data[k:]
	}
	block, minis, total := header[0], header[1], header[2]
	if minis == 0 || block > 1<<20 || block%minis != 0 || block/minis == 0 || block/minis%8 != 0 {
		return nil, fmt.Errorf("delta-encoded numbers in blocks of %d values and %d mini-blocks", block, minis)
	}
	if total != uint64(n) || total > maxDelta {
		return nil, fmt.Errorf("%d delta-encoded numbers for %d values; at most %d are read", total, n, maxDelta)
	}
	value := zigzag(header[3])
	if see != nil && n > 0 {
		see(int64(int32(value)))
	}
	perMini := int64(block / minis)
	for left := n - 1; left > 0; {
		least, k := binary.Uvarint(data) // smallest delta
		if k <= 0 || uint64(len(data)-k) < minis {
			return nil, fmt.Errorf("delta-encoded numbers end %d values early", left)
		}
		widths := data[k : k+int(minis)]
		data = data[k+int(minis):]
		for _, w := range widths {
			if left <= 0 {
				break // mini-blocks without values have no bytes
			}
			bytes := perMini / 8 * int64(w)
			if int64(w) > most || bytes > int64(len(data)) {
				return nil, fmt.Errorf("delta-encoded numbers end %d values early", left)
			}
			for i := int64(0); see != nil && i < min(perMini, left); i++ {
				value += zigzag(least) + int64(unpack(data, int(i)*int(w), int(w)))
				see(int64(int32(value)))
			}
			data = data[bytes:]
			left -= perMini
		}
	}
	return data, nil
}

// zigzag is the number that is written as v: 0, -1, 1, -2, ...
func zigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
