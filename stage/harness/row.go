package harness

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"steplm/stage/eval"
)

// Row is a row of a data set.
type Row struct{ object }

// has reports whether there is a field.
func (r Row) has(name string) bool { return r.find(name) != nil }

// text is a field that is a text.
func (r Row) text(name string) (s string, err error) { return s, r.decode(name, "a text", &s) }

// decode decodes a field.
func (r Row) decode(name, want string, to any) error {
	v := r.find(name)
	if v == nil {
		return fmt.Errorf("there is no field %q; there are %s", name, strings.Join(r.names(), ", "))
	}
	if string(v) == "null" || json.Unmarshal(v, to) != nil {
		return fmt.Errorf("field %q is %.60s: it must be %s", name, v, want)
	}
	return nil
}

// reading reads fields; the first error sticks.
type reading struct{ err error }

func (w *reading) keep(err error) {
	if w.err == nil {
		w.err = err
	}
}

// text is a field that is a text.
func (w *reading) text(r Row, name string) string {
	s, err := r.text(name)
	w.keep(err)
	return s
}

// texts is a field that is a list of texts.
func (w *reading) texts(r Row, name string) (list []string) {
	w.keep(r.decode(name, "a list of texts", &list))
	return list
}

// word is a field that is a text or a number, as a text.
func (w *reading) word(r Row, name string) string {
	var n json.Number
	if err := r.decode(name, "", &n); err == nil {
		return n.String()
	}
	return w.text(r, name)
}

// number is a field that is a whole number, as a number, as a text, or as false and true.
func (w *reading) number(r Row, name string) int {
	if yes := false; r.has(name) && json.Unmarshal(r.find(name), &yes) == nil && string(r.find(name)) != "null" {
		if yes {
			return 1
		}
		return 0
	}
	text := w.word(r, name)
	n, err := strconv.Atoi(text)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("field %q is %q: it must be a whole number", name, text)
	}
	return n
}

// queried is a document of a row that has its query, choices and gold.
func queried(r Row, context func(query string) string) (Document, error) {
	var w reading
	query, choices, gold := w.text(r, "query"), w.texts(r, "choices"), w.number(r, "gold")
	return choose(r, context(query), choices, gold), w.err
}

// lettered are the question of a row, its choices and which is right, by its letter: with the choices' texts and labels
// beside the question, or with the question as an object that has stem and choices.
func (r Row) lettered(name string) (question string, choices []string, gold int, err error) {
	type choice struct {
		Text, Label string
	}
	var stemmed struct {
		Stem    string
		Choices []choice
	}
	var labels []string
	if json.Unmarshal(r.find("question"), &stemmed) == nil && stemmed.Choices != nil {
		question = stemmed.Stem
		for _, c := range stemmed.Choices {
			choices, labels = append(choices, c.Text), append(labels, c.Label)
		}
	} else {
		var beside struct{ Text, Label []string }
		if question, err = r.text(name); err == nil {
			err = r.decode("choices", "an object with the lists text and label", &beside)
		}
		choices, labels = beside.Text, beside.Label
	}
	if err == nil && len(choices) != len(labels) {
		err = fmt.Errorf("there are %d choices and %d labels", len(choices), len(labels))
	}
	if err != nil {
		return question, choices, 0, err
	}
	key, err := r.text("answerKey")
	if err != nil {
		return question, choices, 0, err
	}
	key = strings.TrimLeftFunc(key, eval.IsSpace)
	if gold = slices.Index(labels, key); gold < 0 && len(labels) > 0 {
		err = fmt.Errorf("the answer is %q, the choices are %s", key, strings.Join(labels, ", "))
	}
	return question, choices, gold, err
}
