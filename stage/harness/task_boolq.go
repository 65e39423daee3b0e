package harness

// boolq is BoolQ: yes or no, as a passage says.
var boolq = Task{Name: "boolq", Version: 2, output: choicesAlone,
	Data: Dataset{Hub: "aps/super_glue", Config: "boolq", Train: train, Validation: validation, keys: []string{"boolq"}},
	read: func(r Row) (Document, error) {
		var w reading
		context := w.text(r, "passage") + "\nQuestion: " + w.text(r, "question") + "?\nAnswer:"
		label := "label"
		if !r.has(label) { // in the files that were first published
			label = "answer"
		}
		return choose(r, context, []string{"no", "yes"}, w.number(r, label)), w.err
	}}
