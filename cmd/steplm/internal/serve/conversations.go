package serve

import (
	"encoding/json"
	"net/http"
	"slices"

	"steplm/data/chat"
)

// chatRequest is one to /v1/chat/completions.
type chatRequest struct {
	asked
	MaxCompletionTokens *int            `json:"max_completion_tokens"` // max_tokens' newer name
	Messages            []chatSaid      `json:"messages"`
	LogProbs            bool            `json:"logprobs"`
	TopLogProbs         *int            `json:"top_logprobs"`
	Tools               json.RawMessage `json:"tools"`
	ToolChoice          json.RawMessage `json:"tool_choice"`
	Functions           json.RawMessage `json:"functions"`
	FunctionCall        json.RawMessage `json:"function_call"`
	ResponseFormat      json.RawMessage `json:"response_format"`
	Modalities          json.RawMessage `json:"modalities"`
	Audio               json.RawMessage `json:"audio"`
	ParallelToolCalls   ignored         `json:"parallel_tool_calls"`
}

// chatSaid is a message of a conversation.
type chatSaid struct {
	Role      string          `json:"role"`
	Content   content         `json:"content"`
	Name      ignored         `json:"name"`
	Refusal   ignored         `json:"refusal"`
	ToolCalls json.RawMessage `json:"tool_calls"`
	ToolCall  ignored         `json:"tool_call_id"`
	Audio     json.RawMessage `json:"audio"`
	// What answers have that clients send back as they got it.
	Annotations ignored `json:"annotations"`
	Type        ignored `json:"type"` // that the content is text, as lm-evaluation-harness says
}

func (s *Server) conversations(w http.ResponseWriter, r *http.Request) error {
	var q chatRequest
	if err := s.readBody(w, r, &q); err != nil {
		return err
	}
	if q.MaxTokens != nil && q.MaxCompletionTokens != nil && *q.MaxTokens != *q.MaxCompletionTokens {
		return wrong("max_completion_tokens", "max_completion_tokens %d and max_tokens %d: give one",
			*q.MaxCompletionTokens, *q.MaxTokens)
	}
	if q.MaxCompletionTokens != nil {
		q.MaxTokens = q.MaxCompletionTokens
	}
	if err := s.check(&q.asked); err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	var messages []chat.Message
	for _, m := range q.Messages {
		if m.Role == "developer" { // the system's newer name
			m.Role = chat.System
		}
		messages = append(messages, chat.Message{Role: m.Role, Content: string(m.Content)})
	}
	prompt, err := s.voice.Conversation(s.manner.Format, messages)
	if err != nil {
		return wrong("messages", "messages: %s", err)
	}
	if len(prompt) == 0 {
		return wrong("messages", "the template makes no tokens of these messages: there is nothing to go on from")
	}
	if err := s.withinSize(&q.asked, [][]uint32{prompt}, s.context); err != nil {
		return err
	}
	f := &conversation{s: s, told: q.LogProbs}
	p := s.reply(f, &q.asked)
	p.prompts = len(prompt)
	for n := range q.choices() {
		request := s.request(&q.asked, prompt, n, s.context)
		request.Ends, request.LogProbs = slices.Concat(request.Ends, s.manner.Ends), q.LogProbs
		if q.TopLogProbs != nil {
			request.Top = *q.TopLogProbs
		}
		p.add(request, slices.Concat(q.Stop, s.manner.Stop), "")
		f.states = append(f.states, spelling{s.voice, &prompt[len(prompt)-1]})
	}
	return p.answer(w, r)
}

// check refuses what conversations are not done with here.
func (q *chatRequest) check() error {
	if len(q.Messages) == 0 {
		return wrong("messages", "there are no messages")
	}
	for i, m := range q.Messages {
		if !neutral(m.ToolCalls, "[]") || !neutral(m.Audio) {
			return wrong("messages", "message %d has tool calls or audio: only text is understood", i)
		}
	}
	if top := q.TopLogProbs; top != nil && (*top < 0 || *top > mostTop || *top > 0 && !q.LogProbs) {
		return wrong("top_logprobs", "top_logprobs %d: it must be 0 to %d, with logprobs: true", *top, mostTop)
	}
	for _, none := range []error{
		nothing(map[string]json.RawMessage{"tools": q.Tools, "functions": q.Functions}, "[]"),
		nothing(map[string]json.RawMessage{"tool_choice": q.ToolChoice, "function_call": q.FunctionCall}, `"none"`,
			`"auto"`),
		nothing(map[string]json.RawMessage{"response_format": q.ResponseFormat}, `{"type":"text"}`),
		nothing(map[string]json.RawMessage{"modalities": q.Modalities}, `["text"]`),
		nothing(map[string]json.RawMessage{"audio": q.Audio}),
	} {
		if none != nil {
			return none
		}
	}
	return nil
}

// conversation is the form of answers to /v1/chat/completions.
type conversation struct {
	s      *Server
	told   bool // log-probabilities
	states []spelling
}

func (*conversation) object(stream bool) string {
	if stream {
		return "chat.completion.chunk"
	}
	return "chat.completion"
}

func (*conversation) prefix() string { return "chatcmpl-" }

// chatMessage is the assistant's, or a part of it.
type chatMessage struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

// chatChoice is one of an answer's: with a message, or with a part of one.
type chatChoice struct {
	Index    int            `json:"index"`
	Message  *chatMessage   `json:"message,omitempty"`
	Delta    *chatMessage   `json:"delta,omitempty"`
	LogProbs map[string]any `json:"logprobs"`
	Finish   *string        `json:"finish_reason"`
}

func (f *conversation) whole(index int, all piece, finish string) any {
	return chatChoice{Index: index, Message: &chatMessage{chat.Assistant, &all.text}, LogProbs: f.tokens(index, all),
		Finish: &finish}
}

func (f *conversation) part(index int, some piece, first bool, finish string) any {
	c := chatChoice{Index: index, Delta: &chatMessage{}, LogProbs: f.tokens(index, some)}
	if first {
		c.Delta.Role = chat.Assistant
	}
	if first || some.text != "" {
		c.Delta.Content = &some.text
	}
	if finish != "" {
		c.Finish = &finish
	}
	return c
}

func (f *conversation) tokens(index int, some piece) map[string]any {
	if !f.told {
		return nil
	}
	return chatTokens(&f.states[index], some.tokens)
}
