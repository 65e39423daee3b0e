package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// OpenLines opens a file of JSON Lines to be appended to by AppendLine, makes it where there is none, and gives the
// lines that it holds. What a kill left of a last line is taken away.
func OpenLines(path string) (f *os.File, content []byte, err error) {
	if content, err = ReadFile(path); err != nil && !Missing(err) {
		return nil, nil, err
	}
	if f, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err != nil {
		return nil, nil, err
	}
	whole := bytes.LastIndexByte(content, '\n') + 1
	switch last := content[whole:]; {
	case len(last) == 0:
	case json.Valid(last): // It lacks nothing but its end.
		err, content = AppendLine(f, []byte("\n")), append(content, '\n')
	default:
		err, content = os.Truncate(path, int64(whole)), content[:whole]
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, content, nil
}

// AppendLine writes a line, with its end, where a file ends: whole or not at all. What a full disk leaves of it is
// taken away, so that whoever reads the file meets no half line among whole ones.
func AppendLine(f *os.File, line []byte) error {
	n, err := f.Write(line)
	if err == nil || n == 0 {
		return err
	}
	end, again := f.Seek(0, io.SeekEnd)
	if again == nil { // By its name, since Windows cuts no file that is open for appending alone.
		again = os.Truncate(f.Name(), end-int64(n))
	}
	if again == nil {
		_, again = f.Seek(end-int64(n), io.SeekStart)
	}
	return errors.Join(err, again)
}
