package chat

import (
	"errors"
	"fmt"
	"strings"
)

// Alpaca is the prompt of Stanford Alpaca's training (Taori et al. 2023), with a turn for each question and its answer.
// What the system says comes before the instruction in place of the usual words.
type Alpaca struct{}

const (
	alpacaSystem = "Below is an instruction that describes a task. Write a response that appropriately completes " +
		"the request."
	alpacaInputSystem = "Below is an instruction that describes a task, paired with an input that provides further " +
		"context. Write a response that appropriately completes the request."
	alpacaInstruction = "\n\n### Instruction:\n"
	alpacaInput       = "\n\n### Input:\n"
	alpacaResponse    = "\n\n### Response:"
)

// Prompt is the text that a model is given of an instruction and its input, "" where it has none, as stanford_alpaca's
// train.py has it. The response follows at once: no blank and no newline come between.
func (Alpaca) Prompt(instruction, input string) string {
	if input == "" {
		return alpacaSystem + alpacaInstruction + instruction + alpacaResponse
	}
	return alpacaInputSystem + alpacaInstruction + instruction + alpacaInput + input + alpacaResponse
}

// Render implements Format.
func (Alpaca) Render(messages []Message, more bool) (string, error) {
	if err := checkMessages(messages); err != nil {
		return "", err
	}
	var text strings.Builder
	system := alpacaSystem
	if messages[0].Role == System {
		system, messages = messages[0].Content, messages[1:]
	}
	text.WriteString(system)
	for i, m := range messages {
		want := []string{User, Assistant}[i%2]
		if m.Role != want {
			return "", fmt.Errorf("message %d is of the role %q: Alpaca's prompt needs %s and %s in turns", i+1, m.Role,
				User, Assistant)
		}
		if m.Role == User {
			text.WriteString(alpacaInstruction + m.Content + alpacaResponse)
		} else {
			text.WriteString(m.Content)
		}
	}
	if more && len(messages)%2 == 0 {
		return "", errors.New("nothing is asked: the last message must be the user's")
	}
	return text.String(), nil
}
