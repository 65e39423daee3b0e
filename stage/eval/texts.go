package eval

import (
	"iter"

	"steplm/data"
)

// Texts reads the rows of a source, or a file of any other kind as one text.
func Texts(s Source) (iter.Seq2[string, error], error) {
	if s.Files == nil && data.IsPlainText(s.Path) {
		return textFile(s.Path), nil
	}
	rows, err := s.Rows()
	if err != nil {
		return nil, err
	}
	return documents(rows), nil
}

func documents(s *data.Shards) iter.Seq2[string, error] { return texts(s.Documents(data.Position{})) }

func textFile(path string) iter.Seq2[string, error] { return texts(data.RawText(path)) }

func texts(docs iter.Seq2[data.Document, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for d, err := range docs {
			if !yield(d.Text, err) {
				return
			}
		}
	}
}

// meter is how far a run of a task has got.
type meter struct{ done, total int64 }

// share is how much is done, from 0 to 1.
func (m *meter) share() float64 {
	if m.total < 1 {
		return 0
	}
	return min(1, float64(m.done)/float64(m.total))
}

// count adds up the sizes of what is read. It counts texts when they are read, so it may be a batch
// ahead of what is scored.
func (m *meter) count(texts iter.Seq2[string, error], size func(string) int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for text, err := range texts {
			m.done += int64(size(text))
			if !yield(text, err) {
				return
			}
		}
	}
}

func one(string) int { return 1 }
