package harness

import "strings"

// piqa is PIQA: which of two ways reaches a goal.
var piqa = Task{Name: "piqa", Version: 1, output: choicesByLength,
	Data: Dataset{Hub: "baber/piqa", Config: "default", Train: train, Validation: validation,
		keys: []string{"piqa"}, labels: "label"},
	read: func(r Row) (Document, error) {
		if r.has("query") {
			return queried(r, func(query string) string { return strings.TrimSuffix(query, "\n") + "\nAnswer:" })
		}
		var w reading
		goal, choices := w.text(r, "goal"), []string{w.text(r, "sol1"), w.text(r, "sol2")}
		gold := w.number(r, "label")
		return choose(r, "Question: "+goal+"\nAnswer:", choices, gold), w.err
	}}
