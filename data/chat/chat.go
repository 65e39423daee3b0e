// Package chat makes one text of a conversation, as a model was taught to read one: by the chat template that its files
// bring, or by the prompt of Alpaca.
//
// Templates are programs in Jinja that come with a model from anywhere: they are bounded. One that reads files, repeats
// strings, loops without end or makes more text than any model reads is refused, when it is parsed or when it runs.
//
// What Go cannot enforce: that the text is tokenized as it is, without tokens before and after it, since a template
// puts those there itself; and that what a speaker wrote is not taken for a special token when it is spelled like one.
package chat

import (
	"errors"
	"fmt"
)

// The roles of speakers that formats know; templates may know others.
const (
	System    = "system"
	User      = "user"
	Assistant = "assistant"
)

// Message is what one speaker said.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Format makes one text of a conversation. more says that it ends where the assistant goes on.
type Format interface {
	Render(messages []Message, more bool) (string, error)
}

// checkMessages refuses a conversation in which nobody spoke, or a speaker without a role.
func checkMessages(messages []Message) error {
	if len(messages) == 0 {
		return errors.New("the conversation has no messages")
	}
	for i, m := range messages {
		if m.Role == "" {
			return fmt.Errorf("message %d has no role", i+1)
		}
	}
	return nil
}
