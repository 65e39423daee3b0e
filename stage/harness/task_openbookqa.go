package harness

// openbookqa is OpenBookQA: elementary science, sentences to be completed.
var openbookqa = Task{Name: "openbookqa", Aliases: []string{"openbook_qa"}, Version: 1, output: choicesByLength,
	Data: Dataset{Hub: "allenai/openbookqa", Config: "main", Train: train, Validation: validation, Test: test,
		keys: []string{"openbookqa", "openbook_qa"}, not: []string{"additional"}},
	read: func(r Row) (Document, error) {
		if r.has("query") {
			return queried(r, func(query string) string { return query })
		}
		question, choices, gold, err := r.lettered("question_stem")
		return choose(r, question, choices, gold), err
	}}
