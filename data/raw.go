package data

import (
	"errors"
	"fmt"
	"iter"

	"steplm/data/text"
)

// RawText yields a text file as one Document, byte for byte. A file that is empty
// or not UTF-8 is an error.
func RawText(path string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		content, _, _, err := text.Plain.Read(path)
		if err == nil && len(content) == 0 {
			err = errors.New("the file is empty")
		}
		if err != nil {
			yield(Document{}, fmt.Errorf("%s: %w", path, err))
			return
		}
		yield(Document{Text: string(content)}, nil)
	}
}
