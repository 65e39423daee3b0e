package part

import (
	"bytes"
	"cmp"
	"slices"
)

// Writer writes a tokenizer.json: one text for one tokenizer. It keeps the first error.
type Writer struct {
	B   bytes.Buffer
	Err error

	fields int // of the model so far
}

// Text writes s as it is.
func (w *Writer) Text(s string) { w.B.WriteString(s) }

// Separate starts entry i of a list on a line of its own.
func (w *Writer) Separate(i int, indent string) {
	if i > 0 {
		w.Text(",")
	}
	w.Text("\n" + indent)
}

// Value writes v as JSON.
func (w *Writer) Value(v any) {
	if w.Err != nil {
		return
	}
	content, err := JSON(v)
	w.B.Write(content)
	w.Err = err
}

func (w *Writer) name(name string) {
	w.Separate(w.fields, "    ")
	w.fields++
	w.Value(name)
	w.Text(": ")
}

// Field writes a field of the model.
func (w *Writer) Field(name string, v any) {
	w.name(name)
	w.Value(v)
}

// Vocab writes the field vocab: tokens by id, one a line.
func (w *Writer) Vocab(vocab map[string]uint32) {
	w.name("vocab")
	w.Text("{")
	tokens := make([]string, 0, len(vocab))
	for token := range vocab {
		tokens = append(tokens, token)
	}
	slices.SortFunc(tokens, func(a, b string) int { return cmp.Compare(vocab[a], vocab[b]) })
	for i, token := range tokens {
		w.Separate(i, "      ")
		w.Value(token)
		w.Text(": ")
		w.Value(vocab[token])
	}
	w.Text("\n    }")
}

// List writes a field of the model that is a list of n entries, one a line.
func (w *Writer) List(name string, n int, entry func(i int) any) {
	w.name(name)
	w.Text("[")
	for i := range n {
		w.Separate(i, "      ")
		w.Value(entry(i))
	}
	w.Text("\n    ]")
}
