package kind

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"steplm/data/internal/shard"
	"steplm/data/parquet"
	"steplm/data/text"
)

// begin is how many bytes of a file are looked at, also of what is compressed in it.
const begin = 4 << 10

// Of is how a file is read. What is nothing that is read is an error that says what it is
// and what to do: a shard.Damage.
func Of(path string) (shard.Format, error) {
	head, isParquet, err := look(path)
	if err != nil {
		return nil, err
	}
	if isParquet {
		return parquet.Format{}, nil
	}
	class, named := ByName(path)
	compression := compressionOf(head)
	inner := head
	if compression != text.Plain {
		if inner = decompress(compression, head); len(inner) == 0 {
			return byClass(class, compression), nil // whose reader says what is wrong
		}
	} else if named != text.Plain && !isText(head) {
		return byClass(class, named), nil // damaged where it begins
	}
	f, err := ofText(inner, class, compression)
	if err != nil {
		if compression != text.Plain {
			err = fmt.Errorf("inside %s data: %w", compression, err)
		}
		return nil, shard.Damage{Err: fmt.Errorf("%s: %w", path, err)}
	}
	return f, nil
}

// Compressed says whether a file is Parquet, and if not, how its text is compressed as a whole. What is nothing that is
// read is an error, as Of has it.
func Compressed(path string) (isParquet bool, c text.Compression, err error) {
	head, isParquet, err := look(path)
	if err != nil || isParquet {
		return isParquet, text.Plain, err
	}
	if c = compressionOf(head); c != text.Plain {
		head = decompress(c, head)
	}
	class, _ := ByName(path)
	if err := unreadable(head, class); err != nil {
		return false, c, shard.Damage{Err: fmt.Errorf("%s: %w", path, err)}
	}
	return false, c, nil
}

// ofText is how a file is read that is not Parquet: by how its content begins, and by
// its name's class.
func ofText(head []byte, class Class, c text.Compression) (shard.Format, error) {
	if what := unreadable(head, class); what != nil {
		return nil, what
	}
	body := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF")), " \t\r\n")
	switch {
	case class == Text:
		return text.Whole{Compression: c}, nil
	case class == Lines || class == JSON:
		if bytes.HasPrefix(body, []byte("[")) {
			return nil, errors.New("a JSON array; JSON Lines have an object a line, as `jq -c '.[]'` makes them")
		}
		if line, _, more := bytes.Cut(body, []byte("\n")); more && string(bytes.TrimSpace(line)) == "{" {
			return nil, errors.New("a JSON object over several lines; JSON Lines have an object a line, as " +
				"`jq -c .` makes them")
		}
		return text.Lines{Compression: c}, nil
	case beginsAsObject(body):
		return text.Lines{Compression: c}, nil
	case class == table && isText(head):
		return nil, errors.New("a table of separated values, which is not read; make JSON Lines or Parquet of it")
	case class == Columns || !isText(head) || c != text.Plain:
		if c != text.Plain {
			return nil, errors.New("neither JSON Lines nor, by its name, a text file; .txt before the ending says " +
				"that it is one document")
		}
		return parquet.Format{}, nil // whose reader says that it is none
	}
	return text.Whole{Compression: c}, nil
}

// byClass is a compressed file's format by its name alone.
func byClass(class Class, c text.Compression) shard.Format {
	if class == Text {
		return text.Whole{Compression: c}
	}
	return text.Lines{Compression: c}
}

// beginsAsObject tells the beginning of a JSON object with a field, or of an empty one.
func beginsAsObject(body []byte) bool {
	rest, ok := bytes.CutPrefix(body, []byte("{"))
	rest = bytes.TrimLeft(rest, " \t\r")
	return ok && len(rest) > 0 && (rest[0] == '"' || rest[0] == '}')
}

// look reads a file's first bytes, and says whether those or its last are Parquet's.
func look(path string) (head []byte, isParquet bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if info.IsDir() {
		return nil, false, fmt.Errorf("%s: is a directory, not a file", path)
	}
	head = make([]byte, begin)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, false, fmt.Errorf("%s: %w", path, shard.ReadError{Err: err})
	}
	head = head[:n]
	const mark = "PAR1"
	if bytes.HasPrefix(head, []byte(mark)) {
		return head, true, nil
	}
	end := make([]byte, len(mark))
	if _, err := f.ReadAt(end, max(0, info.Size()-int64(len(mark)))); err == nil {
		isParquet = string(end) == mark && !isText(head)
	}
	return head, isParquet, nil
}

// compressionOf tells how what begins with head is compressed as a whole.
func compressionOf(head []byte) text.Compression {
	switch {
	case bytes.HasPrefix(head, []byte("\x1F\x8B")):
		return text.Gzipped
	case bytes.HasPrefix(head, []byte("\x28\xB5\x2F\xFD")):
		return text.Zstandard
	case len(head) >= 4 && head[0]&0xF0 == 0x50 && string(head[1:4]) == "\x2A\x4D\x18": // a skippable frame
		return text.Zstandard
	}
	return text.Plain
}

// decompress is what of the beginning of compressed data can be read.
func decompress(c text.Compression, head []byte) []byte {
	r, err := c.NewReader(bytes.NewReader(head))
	if err != nil {
		return nil
	}
	defer r.Close()
	inner := make([]byte, begin)
	n, _ := io.ReadFull(r, inner)
	return inner[:n]
}

// isText tells whether bytes may be the beginning of a text.
func isText(head []byte) bool {
	if len(head) == begin { // a character may be cut
		for i := 1; i < utf8.UTFMax; i++ {
			if last := head[len(head)-i:]; utf8.RuneStart(last[0]) {
				if !utf8.FullRune(last) {
					head = head[:len(head)-i]
				}
				break
			}
		}
	}
	return len(head) > 0 && utf8.Valid(head) && bytes.IndexByte(head, 0) < 0
}

// foreign are the first bytes of files that are no text and are not read.
var foreign = []struct{ magic, what string }{
	{"PARE", "a Parquet file with an encrypted footer; decrypt it"},
	{"PAR1", "a Parquet file that is compressed once more as a whole; unpack it"},
	{"PK\x03\x04", "a zip archive; unpack it"},
	{"BZh", "bzip2 data; unpack them, or compress by gzip or zstd"},
	{"\xFD7zXZ\x00", "xz data; unpack them, or compress by gzip or zstd"},
	{"7z\xBC\xAF\x27\x1C", "a 7z archive; unpack it"},
	{"\x04\x22\x4D\x18", "LZ4 data; unpack them, or compress by gzip or zstd"},
	{"\x1F\x8B", "gzip data once more; unpack them"},
	{"\x28\xB5\x2F\xFD", "zstd data once more; unpack them"},
	{"ARROW1", "an Arrow file; make Parquet of it"},
	{"\xFF\xFF\xFF\xFF", "an Arrow stream; make Parquet of it"},
	{"ORC", "an ORC file; make Parquet of it"},
	{"Obj\x01", "an Avro file; make Parquet of it"},
	{"SQLite format 3\x00", "an SQLite database; make JSON Lines or Parquet of it"},
	{"\x89HDF\r\n\x1A\n", "an HDF5 file; make JSON Lines or Parquet of it"},
	{"\x93NUMPY", "a NumPy array; its text, not its ids, is read"},
	{"%PDF-", "a PDF document; its text is needed"},
	{"\xFF\xFE", "UTF-16 text; make UTF-8 of it"},
	{"\xFE\xFF", "UTF-16 text; make UTF-8 of it"},
}

// pointer is how a Git LFS pointer begins, before the address of its specification.
const pointer = "version https://git-lfs."

// unreadable says what a file is that is not read, whatever its name; nil: none of these.
func unreadable(head []byte, class Class) error {
	if bytes.HasPrefix(head, []byte(pointer)) {
		size := ""
		if _, after, ok := strings.Cut(string(head), "\nsize "); ok {
			line, _, _ := strings.Cut(after, "\n")
			if n, err := strconv.ParseUint(line, 10, 63); err == nil {
				size = fmt.Sprintf(" of %d bytes", n)
			}
		}
		return fmt.Errorf("a Git LFS pointer, not the file%s that it stands for; `git lfs pull` fetches that", size)
	}
	if isText(head) {
		// A text file may well hold a web page; where rows should be, it is an answer that was saved.
		start := strings.ToLower(string(bytes.TrimLeft(head[:min(len(head), 200)], " \t\r\n\xEF\xBB\xBF")))
		for _, tag := range []string{"<!doctype html", "<html", "<head", "<?xml"} {
			if class != Text && strings.HasPrefix(start, tag) {
				return errors.New("a web page, not data: a server's answer was saved instead of the file; " +
					"download it again, with access to it")
			}
		}
		return nil
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return errors.New("a tar archive; unpack it")
	}
	for _, f := range foreign {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return errors.New(f.what)
		}
	}
	return nil
}
