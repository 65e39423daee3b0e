package text

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Compression is how a whole file is compressed.
type Compression int

const (
	Plain Compression = iota
	Gzipped
	Zstandard
)

func (c Compression) String() string { return []string{"plain", "gzip", "zstd"}[c] }

// NewReader decompresses.
func (c Compression) NewReader(r io.Reader) (io.ReadCloser, error) {
	switch c {
	case Gzipped:
		return newGzipReader(r)
	case Zstandard:
		return newZstdReader(r)
	}
	return io.NopCloser(r), nil
}

// gzipReader reads the members of a gzip file as one, and zero bytes after a member as the
// padding that tapes and block devices leave, as gzip itself does.
type gzipReader struct {
	source *bufio.Reader
	member *gzip.Reader
}

func newGzipReader(r io.Reader) (*gzipReader, error) {
	source := bufio.NewReaderSize(r, 1<<16)
	member, err := gzip.NewReader(source)
	if err != nil {
		return nil, err
	}
	member.Multistream(false)
	return &gzipReader{source, member}, nil
}

func (g *gzipReader) Read(p []byte) (int, error) {
	n, err := g.member.Read(p)
	if err != io.EOF {
		return n, err
	}
	for {
		b, err := g.source.ReadByte()
		if err != nil {
			return n, err // io.EOF: the file ends where a member does
		}
		if b != 0 {
			break
		}
	}
	g.source.UnreadByte()
	if err := g.member.Reset(g.source); err != nil {
		return n, fmt.Errorf("what follows a gzip member: %w", err)
	}
	g.member.Multistream(false)
	return n, nil
}

func (g *gzipReader) Close() error { return g.member.Close() }

// maxZstdWindow is what a zstd frame may make its decoder keep, in bytes: four times the
// limit of the reference program, which takes --long=29 then.
const maxZstdWindow = 512 << 20

// zstdReader says in numbers why a frame is refused.
type zstdReader struct{ *zstd.Decoder }

func newZstdReader(r io.Reader) (io.ReadCloser, error) {
	source := bufio.NewReaderSize(r, 1<<16)
	begin, err := source.Peek(zstd.HeaderMaxSize)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var h zstd.Header
	if h.Decode(begin) == nil { // whatever is wrong with it, the decoder says
		if n := max(h.WindowSize, h.FrameContentSize); h.WindowSize > maxZstdWindow ||
			h.SingleSegment && n > maxZstdWindow {
			return nil, fmt.Errorf("its zstd frame asks for a window of %d bytes; at most %d are allowed: compress it "+
				"again with a shorter one", n, maxZstdWindow)
		}
	}
	d, err := zstd.NewReader(source, zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return zstdReader{d}, nil
}

func (z zstdReader) Read(p []byte) (int, error) {
	n, err := z.Decoder.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = fmt.Errorf("a zstd frame in it asks for a window of more than the %d bytes that are allowed: compress "+
			"it again with a shorter one", maxZstdWindow)
	}
	return n, err
}

func (z zstdReader) Close() error {
	z.Decoder.Close()
	return nil
}
