package harness

import (
	"strings"

	"steplm/stage/eval"
)

// sciq is SciQ: exam questions in science, most with a text that has the answer.
var sciq = Task{Name: "sciq", Version: 1, output: choicesByLength,
	Data: Dataset{Hub: "allenai/sciq", Config: "default", Train: train, Validation: validation, Test: test,
		keys: []string{"sciq"}},
	read: func(r Row) (Document, error) {
		var w reading
		support := strings.TrimLeftFunc(w.text(r, "support"), eval.IsSpace)
		context := support + "\nQuestion: " + w.text(r, "question") + "\nAnswer:"
		choices := []string{w.text(r, "distractor1"), w.text(r, "distractor2"), w.text(r, "distractor3"),
			w.text(r, "correct_answer")}
		return choose(r, context, choices, 3), w.err
	}}
