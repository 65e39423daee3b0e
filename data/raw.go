package data

import (
	"errors"
	"fmt"
	"iter"

	"steplm/data/internal/kind"
	"steplm/data/internal/shard"
	"steplm/data/text"
)

// IsPlainText tells a file that is one text, such as wiki.test.raw, from what Open
// reads as rows, and from what is no data.
func IsPlainText(path string) bool {
	f, err := kind.Of(path)
	return err == nil && f == text.Whole{Compression: text.Plain}
}

// RawText yields a text file as one Document, byte for byte. A file that is empty
// or not UTF-8 is an error.
func RawText(path string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		content, err := text.Plain.Read(path, shard.DefaultMaxLine)
		if err == nil && len(content) == 0 {
			err = errors.New("the file is empty")
		}
		if err != nil {
			yield(Document{}, fmt.Errorf("%s: %w", path, err))
			return
		}
		yield(Document{Text: content}, nil)
	}
}
