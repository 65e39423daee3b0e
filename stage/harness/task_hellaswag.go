package harness

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"steplm/stage/eval"
)

// hellaswag is HellaSwag: how descriptions of what people do go on.
var hellaswag = Task{Name: "hellaswag", Version: 1, output: choicesByLength,
	Data: Dataset{Hub: "Rowan/hellaswag", Config: "default", Train: train, Validation: validation,
		keys: []string{"hellaswag"}},
	read: func(r Row) (Document, error) {
		if r.has("query") { // cleaned already
			return queried(r, func(query string) string { return query })
		}
		var w reading
		context := w.text(r, "ctx_a") + " " + capitalize(w.text(r, "ctx_b"))
		query := cleanWikiHow(w.text(r, "activity_label") + ": " + context)
		choices := w.texts(r, "endings")
		for i := range choices {
			choices[i] = cleanWikiHow(choices[i])
		}
		d := choose(r, query, choices, w.number(r, "label"))
		d.Raw = d.Raw.with("query", query).with("choices", choices).with("gold", d.Gold)
		return d, w.err
	}}

var bracketed = regexp.MustCompile(`\[.*?\]`)

// cleanWikiHow takes away what WikiHow's markup left, and what that leaves: of three blanks two stay.
func cleanWikiHow(text string) string {
	text = strings.TrimFunc(text, eval.IsSpace)
	text = strings.ReplaceAll(text, " [title]", ". ")
	text = bracketed.ReplaceAllLiteralString(text, "")
	return strings.ReplaceAll(text, "  ", " ")
}

// capitalize is Python's: all letters but the first become lower case.
func capitalize(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	if n == 0 {
		return ""
	}
	return string(unicode.ToTitle(first)) + strings.ToLower(text[n:])
}
