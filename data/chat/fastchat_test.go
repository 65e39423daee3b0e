package chat

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// Prompts of both turns are those that FastChat made of the same questions and answers.
func TestFastChat(t *testing.T) {
	var golden []struct {
		Model   string `json:"model_id"`
		Prompts []string
		Answers []string
	}
	text, err := os.ReadFile(datatest.Path(t, "golden_mtbench/prompts.json"))
	if err == nil {
		err = json.Unmarshal(text, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range golden {
		format, begin, end := FastChatAlpaca, "### Instruction: ", "\n\n### Response:"
		if strings.Contains(x.Model, "vicuna") {
			format, begin, end = FastChatVicuna, "USER: ", " ASSISTANT:"
		}
		question := func(prompt string) string { // the last one in it
			return strings.TrimSuffix(prompt[strings.LastIndex(prompt, begin)+len(begin):], end)
		}
		messages := []Message{{User, question(x.Prompts[0])}, {Assistant, x.Answers[0]}, {User, question(x.Prompts[1])}}
		for turn, want := range x.Prompts {
			if got, err := format.Render(messages[:1+2*turn], true); err != nil || got != want {
				t.Errorf("%s, turn %d: %v\n%q, want\n%q", x.Model, turn+1, err, got, want)
			}
		}
	}
	if len(golden) != 12 {
		t.Errorf("%d conversations", len(golden))
	}
	// As FastChat has it, an empty answer has no separator after it.
	got, err := FastChatAlpaca.Render([]Message{{System, "S."}, {User, "a"}, {Assistant, ""}, {User, "b"}}, true)
	want := "S.\n\n### Instruction: a\n\n### Response:### Instruction: b\n\n### Response:"
	if err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	for _, messages := range [][]Message{nil, {{Assistant, "a"}}, {{User, "a"}, {User, "b"}},
		{{User, "a"}, {Assistant, "b"}}} {
		if text, err := FastChatVicuna.Render(messages, true); err == nil {
			t.Errorf("%v: %q", messages, text)
		}
	}
}
