package harness

// ARC: science questions of grade 3 to 9, those that are hard to look up apart.
var (
	arcEasy = Task{Name: "arc_easy", Version: 1, read: arc, output: choicesByLength,
		Data: Dataset{Hub: "allenai/ai2_arc", Config: "ARC-Easy", Train: train, Validation: validation, Test: test,
			keys: []string{"arc_easy"}}}
	arcChallenge = Task{Name: "arc_challenge", Version: 1, read: arc, output: choicesByLength,
		Data: Dataset{Hub: "allenai/ai2_arc", Config: "ARC-Challenge", Train: train, Validation: validation, Test: test,
			keys: []string{"arc_challenge"}}}
)

// arc reads rows of the hub, with question and choices side by side, of AI2's own files, with the choices inside the
// question, and those whose query lacks its end.
func arc(r Row) (Document, error) {
	if r.has("query") {
		return queried(r, func(query string) string { return query + "\nAnswer:" })
	}
	question, choices, gold, err := r.lettered("question")
	return choose(r, "Question: "+question+"\nAnswer:", choices, gold), err
}
