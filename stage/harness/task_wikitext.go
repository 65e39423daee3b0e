package harness

import "steplm/stage/eval"

// wikitext is WikiText-2: the perplexity of whole pages, per word and per byte.
var wikitext = Task{Name: "wikitext", Version: 2, output: pages,
	Data: Dataset{Hub: "EleutherAI/wikitext_document_level", Config: "wikitext-2-raw-v1", Train: train,
		Validation: validation, Test: test, keys: []string{"wikitext", "wiki"}, not: []string{"103"}, pages: "page"},
	read: func(r Row) (Document, error) {
		page, err := r.text("page")
		return Document{Raw: r.object, Text: page, Target: eval.Detokenize(page)}, err
	}}
