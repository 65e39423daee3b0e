package harness

import "strings"

// LAMBADA: is a passage's last word the likeliest one? Of two editions, OpenAI's has the text as it was written.
var (
	lambadaOpenAI = Task{Name: "lambada_openai", Aliases: []string{"lambada"}, Version: 1, read: lastWord,
		output: lastWords, Data: Dataset{Hub: "EleutherAI/lambada_openai", Config: "default", Test: test,
			keys: []string{"lambada_openai", "lambada_test_openai", "lambada"}, not: []string{"standard"}}}
	lambadaStandard = Task{Name: "lambada_standard", Version: 1, read: lastWord, output: lastWords,
		Data: Dataset{Hub: "cimec/lambada", Config: "plain_text", Validation: validation, Test: test,
			keys: []string{"lambada_standard", "lambada"}, not: []string{"openai"}}}
)

// lastWord splits at the last blank, U+0020: line breaks stay inside words.
func lastWord(r Row) (Document, error) {
	text, err := r.text("text")
	at := strings.LastIndexByte(text, ' ')
	d := Document{Raw: r.object, Contexts: []string{text[:max(at, 0)]}, Target: " " + text[at+1:]}
	d.Continuations = []string{d.Target}
	return d, err
}
