package data

import (
	"fmt"
	"iter"
	"os"
	"unicode/utf8"
)

// RawText yields a text file as one Document, byte for byte: no line endings
// are changed and nothing is stripped. A file that is empty or not UTF-8 is an
// error. The whole file is held in memory.
func RawText(path string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		text, err := os.ReadFile(path)
		switch {
		case err != nil:
		case len(text) == 0:
			err = fmt.Errorf("%s: the file is empty", path)
		case !utf8.Valid(text):
			err = fmt.Errorf("%s: not a UTF-8 text file", path)
		}
		if err != nil {
			yield(Document{}, err)
			return
		}
		yield(Document{Text: string(text)}, nil)
	}
}
