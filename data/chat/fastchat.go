package chat

import (
	"errors"
	"fmt"
	"strings"
)

// FastChat is a template of FastChat's (Zheng et al. 2023, arXiv 2306.05685) of its style with a colon and two
// separators, by which it has models answer MT-Bench.
type FastChat struct {
	system           string
	user, assistant  string
	afterUser, after string // what ends a question, and an answer
}

var (
	// FastChatAlpaca has each question in the line that asks for it. It is not the prompt that Alpaca was trained with,
	// which is Alpaca.
	FastChatAlpaca = FastChat{alpacaSystem, "### Instruction", "### Response", "\n\n", "</s>"}
	// FastChatVicuna is that of Vicuna 1.1 and later ones.
	FastChatVicuna = FastChat{"A chat between a curious user and an artificial intelligence assistant. The assistant " +
		"gives helpful, detailed, and polite answers to the user's questions.", "USER", "ASSISTANT", " ", "</s>"}
)

// Render implements Format. As in FastChat a message without text has no separator after it.
func (f FastChat) Render(messages []Message, more bool) (string, error) {
	if err := checkMessages(messages); err != nil {
		return "", err
	}
	var text strings.Builder
	system := f.system
	if messages[0].Role == System {
		system, messages = messages[0].Content, messages[1:]
	}
	text.WriteString(system + f.afterUser)
	for i, m := range messages {
		role, name, end := User, f.user, f.afterUser
		if i%2 == 1 {
			role, name, end = Assistant, f.assistant, f.after
		}
		if m.Role != role {
			return "", fmt.Errorf("message %d is of the role %q: FastChat's template needs %s and %s in turns", i+1,
				m.Role, User, Assistant)
		}
		if text.WriteString(name + ":"); m.Content != "" {
			text.WriteString(" " + m.Content + end)
		}
	}
	if more {
		if len(messages)%2 == 0 {
			return "", errors.New("nothing is asked: the last message must be the user's")
		}
		text.WriteString(f.assistant + ":")
	}
	return text.String(), nil
}
