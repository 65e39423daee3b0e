package parquet

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
)

// header is a page header as Thrift's compact protocol has it.
type header struct {
	kind, uncompressed, compressed int
	crc                            *uint32
	values                         int
	encoding                       parquet.Encoding
}

func (h header) bytes() []byte {
	var b []byte
	i32 := func(delta byte, v int) { b = binary.AppendVarint(append(b, delta<<4|thriftI32), int64(v)) }
	i32(1, h.kind)
	i32(1, h.uncompressed)
	i32(1, h.compressed)
	field := byte(5 - 3)
	if h.kind == dictionaryPage {
		field = 7 - 3
	}
	if h.crc != nil {
		i32(1, int(int32(*h.crc)))
		field--
	}
	b = append(b, field<<4|thriftStruct)
	i32(1, h.values)
	i32(1, int(h.encoding))
	return append(b, 0, 0)
}

// plainPage is an uncompressed page with some one-byte texts.
func plainPage(values int) []byte {
	body := bytes.Repeat([]byte{1, 0, 0, 0, 'x'}, values)
	return append(header{kind: dataPage, uncompressed: len(body), compressed: len(body), values: values}.bytes(),
		body...)
}

// prefixedPage is an uncompressed page with a text of so many bytes in DELTA_BYTE_ARRAY, and so many others that have
// it as their prefix and one byte more; -1: one, whose prefix has -1 bytes.
func prefixedPage(t *testing.T, size int32, others int) []byte {
	prefixes, suffixes := []int32{0}, []int32{size}
	for range max(others, -others) {
		prefixes, suffixes = append(prefixes, size), append(suffixes, 1)
	}
	if others < 0 {
		prefixes[1] = -1
	}
	body := slices.Concat(deltas(t, prefixes...), deltas(t, suffixes...),
		bytes.Repeat([]byte("x"), int(size)+len(prefixes)-1))
	return append(header{kind: dataPage, uncompressed: len(body), compressed: len(body), values: len(prefixes),
		encoding: parquet.Encodings.DeltaByteArray}.bytes(), body...)
}

func pagesOf(kind compress.Compression, values int64, chunk []byte) *pages {
	codec, err := compress.GetCodec(kind)
	if err != nil {
		panic(err)
	}
	return &pages{
		source: bufio.NewReaderSize(bytes.NewReader(chunk), maxPageHeader), bytes: int64(len(chunk)),
		values: values, kind: kind, codec: codec,
	}
}

func TestPagesWithoutValuesAreSkipped(t *testing.T) {
	p := pagesOf(compress.Codecs.Uncompressed, 5, slices.Concat(plainPage(0), plainPage(2), plainPage(0), plainPage(3)))
	var got []int32
	for p.Next() {
		got = append(got, p.Page().NumValues())
	}
	if !slices.Equal(got, []int32{2, 3}) || p.Err() != nil {
		t.Errorf("pages of %v values, error %v", got, p.Err())
	}
}

// What a page claims is checked before it is allocated.
func TestPagesRefuse(t *testing.T) {
	const gib = 1 << 30
	small := []byte("abcdefgh")
	sum := crc32.ChecksumIEEE(small) + 1
	bomb := compress.Codecs.Zstd
	codec, _ := compress.GetCodec(bomb)
	zeros := codec.Encode(nil, make([]byte, 64<<20))
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write(make([]byte, 64<<20))
	w.Close()
	flipped := bytes.Clone(zipped.Bytes())
	flipped[len(flipped)-5] ^= 1 // the checksum
	for _, tt := range []struct {
		name  string
		codec compress.Compression
		chunk []byte
		error string
	}{
		{"more values than declared", compress.Codecs.Uncompressed, plainPage(513), "1 values more"},
		{"2 GiB compressed", compress.Codecs.Snappy, header{uncompressed: 8, compressed: 2*gib - 1, values: 1}.bytes(),
			"2147483647 compressed bytes"},
		{"2 GiB uncompressed", compress.Codecs.Snappy,
			append(header{uncompressed: 2*gib - 1, compressed: 8, values: 1}.bytes(), small...),
			"2147483647 bytes; at most"},
		{"negative size", compress.Codecs.Snappy, header{uncompressed: -1, values: 1}.bytes(), "-1 bytes"},
		{"cut off", compress.Codecs.Uncompressed, plainPage(2)[:len(plainPage(2))-1], "column chunk has"},
		{"header cut off", compress.Codecs.Uncompressed, plainPage(2)[:4], "it ends early"},
		{"unknown kind", compress.Codecs.Uncompressed, header{kind: 9}.bytes(), "unknown kind 9"},
		{"checksum", compress.Codecs.Uncompressed,
			append(header{uncompressed: 8, compressed: 8, crc: &sum, values: 1}.bytes(), small...), "checksum"},
		{"2 GiB text", compress.Codecs.Uncompressed,
			append(header{uncompressed: 8, compressed: 8, values: 1}.bytes(), 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3, 4),
			"a value of 2147483647 bytes"},
		{"leftover", compress.Codecs.Uncompressed,
			append(header{uncompressed: 8, compressed: 8, values: 1}.bytes(), 1, 0, 0, 0, 'x', 2, 3, 4),
			"3 bytes after"},
		{"dictionary of 2 billion", compress.Codecs.Uncompressed,
			append(header{kind: dictionaryPage, uncompressed: 8, compressed: 8, values: 2*gib - 1}.bytes(), small...),
			"dictionary of 2147483647 values"},
		{"snappy bomb", compress.Codecs.Snappy, append(header{uncompressed: 8, compressed: 8, values: 1}.bytes(), 0xFF,
			0xFF, 0xFF, 0xFF, 0x0F, 0, 0, 0), "snappy data of 4294967295 bytes"},
		{"zstd bomb", bomb, append(header{uncompressed: 8, compressed: len(zeros), values: 1}.bytes(), zeros...),
			"67108864 bytes in a page that declares 8"},
		{"zstd bomb in a second frame", bomb, func() []byte {
			two := append(codec.Encode(nil, small), zeros...)
			return append(header{uncompressed: 8, compressed: len(two), values: 1}.bytes(), two...)
		}(), "9 bytes or more"},
		{"gzip bomb", compress.Codecs.Gzip, append(header{uncompressed: 8, compressed: zipped.Len(), values: 1}.bytes(),
			zipped.Bytes()...), "9 bytes or more"},
		{"a text and its repetitions", compress.Codecs.Uncompressed, prefixedPage(t, 1<<20, 511),
			"535822336 bytes when"},
		{"a negative prefix", compress.Codecs.Uncompressed, prefixedPage(t, 1, -1), "a prefix of -1 bytes"},
		{"gzip checksum", compress.Codecs.Gzip, append(header{uncompressed: 64 << 20, compressed: len(flipped),
			values: 1}.bytes(), flipped...), "checksum"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p := pagesOf(tt.codec, 512, tt.chunk)
		for p.Next() {
		}
		runtime.ReadMemStats(&after)
		if p.Err() == nil || !strings.Contains(p.Err().Error(), tt.error) {
			t.Errorf("%s: error %v, want %q", tt.name, p.Err(), tt.error)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 && tt.name != "gzip checksum" {
			t.Errorf("%s: %d bytes were allocated", tt.name, n)
		}
	}
}

func TestThriftIsBounded(t *testing.T) {
	for name, b := range map[string][]byte{
		"a list of 2 billion":   {0x19, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0},
		"a string of 2 billion": {0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 'x', 0},
		"a map of 2 billion":    {0x1B, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0x88, 0},
		"nested without end":    bytes.Repeat([]byte{0x1C}, 1000),
		"an unknown type":       {0x1D, 0},
		"no end":                {0x15, 2},
	} {
		th := &thrift{data: b}
		if th.fields(0, nil); th.err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	th := &thrift{data: []byte{0x15, 2, 0x11, 0x19, 0x25, 2, 4, 0x18, 1, 'x', 0x1B, 1, 0x85, 1, 'k', 2, 0x17, 1, 2, 3,
		4, 5, 6, 7, 8, 0x1C, 0, 0}}
	if th.fields(0, nil); th.err != nil || th.at != len(th.data) {
		t.Errorf("read %d of %d bytes, error %v", th.at, len(th.data), th.err)
	}
}

// Every codec gives the page back, also an empty one that some writers leave
// uncompressed.
func TestDecompress(t *testing.T) {
	for _, kind := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy,
		compress.Codecs.Zstd, compress.Codecs.Gzip, compress.Codecs.Brotli} {
		codec, err := compress.GetCodec(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, 1000, 3 << 20} {
			want := bytes.Repeat([]byte{7}, size)
			src := want
			if kind != compress.Codecs.Uncompressed { // whose encoder wants room
				src = codec.Encode(nil, want)
			}
			got, err := decompress(codec, kind, src, int64(size))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v, %d bytes: %d bytes, error %v", kind, size, len(got), err)
			}
		}
		if got, err := decompress(codec, kind, nil, 0); err != nil || len(got) != 0 {
			t.Errorf("%v of nothing: %d bytes, error %v", kind, len(got), err)
		}
	}
}

func TestFooterWithAHugeGroup(t *testing.T) {
	// Version 1; a schema of one element with 2^31-1 children, then with 0.
	for children, ok := range map[string]bool{"\xFE\xFF\xFF\xFF\x0F": false, "\x00": true} {
		err := walkFooter([]byte("\x15\x02\x19\x1C\x55" + children + "\x00\x00"))
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "a group of 2147483647 columns") {
			t.Errorf("%q children: error %v", children, err)
		}
	}
}

func TestZstdSize(t *testing.T) {
	codec, _ := compress.GetCodec(compress.Codecs.Zstd)
	for _, size := range []int{0, 1, 255, 256, 300, 65791, 65792, 1 << 20} {
		frame := codec.Encode(nil, make([]byte, size))
		n, known, err := zstdSize(frame)
		if err != nil || known && n != uint64(size) {
			t.Errorf("%d bytes: %d, known %v, error %v", size, n, known, err)
		}
		for i := range len(frame) - 1 {
			if _, _, err := zstdSize(frame[:i+1]); err == nil {
				t.Errorf("%d bytes: the first %d of %d bytes are taken", size, i+1, len(frame))
			}
		}
	}
	if _, _, err := zstdSize([]byte{0x28, 0xB5, 0x2F, 0xFD, 0, 0xF8, 1, 0, 0}); err == nil ||
		!strings.Contains(err.Error(), "window") {
		t.Errorf("a window of 2 TiB: error %v", err)
	}
}
