package text

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"steplm/data/internal/shard"
)

// lineReader reads a file's lines. It holds one at a time.
type lineReader struct {
	path        string
	compression Compression
	offset      int64     // where a line begins
	most        int64     // bytes of a line, its break included; more are an error
	longest     int64     // what the longest line is known to take, which is what is allocated for it
	hash        hash.Hash // gets the file's bytes from the offset on; nil = nobody wants them
	skip        bool      // long lines are told without their bytes
}

// lineBuffer is what a line may take before memory of its own is taken for it.
const lineBuffer = 1 << 18

// byteOrderMark may stand before the first line.
var byteOrderMark = []byte("\xEF\xBB\xBF")

// each calls do with every line, without its line break and the file's byte order mark, and
// with the bytes that it takes in the file with them. The line is valid, and may be
// overwritten, until do returns; a long one is nil where it is to be skipped.
func (l lineReader) each(do func(line []byte, size int64) error) error {
	f, err := os.Open(l.path)
	if err != nil {
		return shard.ReadError{Err: err}
	}
	defer f.Close()
	if _, err := f.Seek(l.offset, io.SeekStart); err != nil {
		return shard.ReadError{Err: err}
	}
	disk := &diskReader{r: f}
	var source io.Reader = disk
	if l.hash != nil {
		source = io.TeeReader(disk, l.hash)
	}
	decompressed, err := l.compression.NewReader(source)
	if err != nil {
		return firstOf(disk.err, fmt.Errorf("not readable: %w", err))
	}
	defer decompressed.Close()
	r := bufio.NewReaderSize(decompressed, lineBuffer)
	var long []byte
	for n := int64(1); ; n++ {
		line, size, err := l.next(r, &long)
		if err == errLong {
			return fmt.Errorf("line %d is longer than the %d bytes that are allowed; allow longer ones, or split it", n,
				l.most)
		}
		if err != nil && err != io.EOF {
			return firstOf(disk.err, fmt.Errorf("after %d lines: %w", n-1, err))
		}
		if size > 0 {
			if n == 1 && l.offset == 0 {
				line = bytes.TrimPrefix(line, byteOrderMark)
			}
			if e := do(bytes.TrimRight(line, "\r\n"), size); e != nil {
				return e
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

var errLong = errors.New("a line is too long")

// next reads a line. One beyond the buffer goes into long, which grows once.
func (l lineReader) next(r *bufio.Reader, long *[]byte) (line []byte, size int64, err error) {
	line, err = r.ReadSlice('\n')
	size = int64(len(line))
	if size > l.most {
		return nil, size, errLong
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, size, err
	}
	whole := (*long)[:0]
	for {
		if !l.skip {
			if whole == nil {
				whole = make([]byte, 0, max(l.longest, size))
			}
			whole = append(whole, line...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		line, err = r.ReadSlice('\n')
		if size += int64(len(line)); size > l.most {
			return nil, size, errLong
		}
	}
	*long = whole
	return whole, size, err
}

// diskReader remembers what the disk refused, which is not the data's fault.
type diskReader struct {
	r   io.Reader
	err error
}

func (d *diskReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && err != io.EOF {
		d.err = shard.ReadError{Err: err}
	}
	return n, err
}

// firstOf is the disk's error, if it has one.
func firstOf(disk, other error) error {
	if disk != nil {
		return disk
	}
	return other
}
