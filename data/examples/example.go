package examples

import (
	"errors"
	"fmt"
	"strings"

	"steplm/data"
	"steplm/data/chat"
)

// Tokenizer makes ids of examples.
type Tokenizer interface {
	// Encode is of a document: with the token that begins one, if one does, and without the token that ends one.
	data.Tokenizer
	// EncodeRaw is of a text that has its special tokens in it, as chat templates put them there.
	EncodeRaw(text string) ([]uint32, error)
	// Ends reports whether EndOfText stands after a document.
	Ends() bool
}

// Span is ids or bytes From <= i < To.
type Span struct{ From, To int }

// Example is one example's ids.
type Example struct {
	IDs []uint32
	// Learned are the ids that count as targets, ascending; the first id of an example never does.
	Learned []Span
	// Prompt is how many ids stand before the last answer: where a model would go on.
	Prompt int
	Cut    bool // it was longer than a window, and lost its end
	// Asked is what the last answer answers, without the words around it, for people.
	Asked string
}

// Targets is how many ids count.
func (e Example) Targets() (n int) {
	for _, s := range e.Learned {
		n += s.To - s.From
	}
	return n
}

// encoder makes examples of records.
type encoder struct {
	tok    Tokenizer
	format chat.Format // of conversations
}

// encode is a record's example, whole.
func (e encoder) encode(r record) (x Example, err error) {
	if r.messages == nil {
		prompt := chat.Alpaca{}.Prompt(r.instruction, r.input)
		x, err = e.example(prompt+r.output, []Span{{len(prompt), len(prompt) + len(r.output)}}, false)
		if x.Asked = r.instruction; r.input != "" {
			x.Asked += "\n" + r.input
		}
		return x, err
	}
	text, spans, err := answers(e.format, r.messages)
	if err != nil {
		return Example{}, err
	}
	_, raw := e.format.(*chat.Template)
	x, err = e.example(text, spans, raw)
	for _, m := range r.messages {
		if m.Role == chat.User {
			x.Asked = m.Content
		}
	}
	return x, err
}

// answers is a conversation's text, and the bytes of what the assistant says in it, with what ends its turns: what a
// template marks as generated, or else what the text of all messages up to an answer has beyond the text at whose end
// the answer begins.
func answers(format chat.Format, messages []chat.Message) (string, []Span, error) {
	last := len(messages)
	for messages[last-1].Role != chat.Assistant { // a question that nobody answers
		last--
	}
	messages = messages[:last]
	if t, ok := format.(*chat.Template); ok && t.Marks() {
		return generated(t, messages)
	}
	text, err := format.Render(messages, false)
	if err != nil {
		return "", nil, err
	}
	var spans []Span
	for i, m := range messages {
		if m.Role != chat.Assistant {
			continue
		}
		if i == 0 {
			return "", nil, errors.New("its first message is the assistant's: nobody asked")
		}
		before, err := format.Render(messages[:i], true)
		if err != nil {
			return "", nil, err
		}
		after, err := format.Render(messages[:i+1], false)
		if err != nil {
			return "", nil, err
		}
		if !strings.HasPrefix(after, before) || !strings.HasPrefix(text, after) {
			return "", nil, fmt.Errorf("the chat template writes the conversation up to message %d otherwise than it "+
				"begins the whole: it cannot be told which of its text is the assistant's", i+1)
		}
		to := len(strings.TrimRight(after, "\n")) // The line's end belongs to the template.
		if strings.TrimSpace(m.Content) != "" && to > len(before) {
			spans = append(spans, Span{len(before), to})
		}
	}
	return text, spans, nil
}

// generated is a conversation's text, and the bytes of it that the template itself says are the assistant's.
func generated(t *chat.Template, messages []chat.Message) (string, []Span, error) {
	text, marked, err := t.Generated(messages)
	if err != nil {
		return "", nil, err
	}
	var spans []Span
	for _, s := range marked {
		spans = append(spans, Span(s))
	}
	if len(spans) == 0 {
		return "", nil, errors.New("the chat template's generation has nothing of the conversation in it: there is " +
			"nothing to learn")
	}
	return text, spans, nil
}

// example encodes a text whose answers are spans of it. raw says that it has its special tokens in it.
func (e encoder) example(text string, spans []Span, raw bool) (x Example, err error) {
	encode := e.tok.Encode
	if raw {
		encode = e.tok.EncodeRaw
	}
	if x.IDs, err = encode(text); err != nil {
		return x, err
	}
	for _, s := range spans {
		span := Span{0, len(x.IDs)}
		for _, end := range []struct {
			bytes int
			ids   *int
		}{{s.From, &span.From}, {s.To, &span.To}} {
			if end.bytes == len(text) {
				continue
			}
			part, err := encode(text[:end.bytes])
			if err != nil {
				return x, err
			}
			*end.ids = min(len(part), len(x.IDs))
		}
		span.From = max(span.From, 1)
		x.Prompt = span.From
		if span.From < span.To {
			x.Learned = append(x.Learned, span)
		}
	}
	if last := len(x.Learned) - 1; !raw && e.tok.Ends() {
		end, err := data.Separator(e.tok)
		if err != nil {
			return x, err
		}
		if x.IDs = append(x.IDs, end); last >= 0 && x.Learned[last].To == len(x.IDs)-1 {
			x.Learned[last].To++
		}
	}
	for i, id := range x.IDs {
		if vocab := e.tok.VocabSize(); int64(id) >= int64(vocab) {
			return x, fmt.Errorf("token %d has id %d, beyond the vocabulary of %d", i, id, vocab)
		}
	}
	return x, nil
}

// cut leaves the first most ids, and reports whether some are gone.
func (e *Example) cut(most int) bool {
	if len(e.IDs) <= most {
		return false
	}
	e.IDs = e.IDs[:most:most]
	var kept []Span
	for _, s := range e.Learned {
		if s.To = min(s.To, most); s.From < s.To {
			kept = append(kept, s)
		}
	}
	e.Learned, e.Prompt = kept, min(e.Prompt, most)
	return true
}
