package speak

import (
	"slices"

	"steplm/data/chat"
)

// Manner is how a model holds conversations.
type Manner struct {
	Format chat.Format
	Own    bool     // it is a template, not Alpaca's prompt
	Ends   []uint32 // tokens that end a turn, besides those that end a text
	Stop   []string // texts that end a turn
}

// nextQuestion is where Alpaca's prompt would go on after an answer.
const nextQuestion = "\n\n### Instruction:"

// Manner is that of a template as ChatCmd has it: "", the model's own, else Alpaca's prompt.
func (v Voice) Manner(template string) (Manner, error) {
	format, err := (&ChatCmd{Template: template}).format(v)
	if err != nil {
		return Manner{}, err
	}
	m := Manner{Format: format, Ends: slices.Clone(v.turnEnds(format))}
	if _, m.Own = format.(*chat.Template); !m.Own {
		m.Stop = []string{nextQuestion}
	}
	return m, nil
}
