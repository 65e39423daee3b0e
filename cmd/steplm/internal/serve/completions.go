package serve

import (
	"encoding/json"
	"net/http"
	"unicode/utf8"
)

// completionsRequest is one to /v1/completions.
type completionsRequest struct {
	asked
	Prompt           prompts         `json:"prompt"`
	LogProbs         *int            `json:"logprobs"`           // of so many likeliest tokens; null: none
	Echo             bool            `json:"echo"`               // the prompt is told too
	AddSpecialTokens *bool           `json:"add_special_tokens"` // vLLM's: true: strings begin as the model's texts do
	BestOf           json.RawMessage `json:"best_of"`            // as n
	Suffix           json.RawMessage `json:"suffix"`             // none
}

// defaultTokens is how many are added where a completion does not say, as OpenAI has it.
const defaultTokens = 16

func (s *Server) completions(w http.ResponseWriter, r *http.Request) error {
	var q completionsRequest
	if err := s.readBody(w, r, &q); err != nil {
		return err
	}
	if err := s.check(&q.asked); err != nil {
		return err
	}
	if err := nothing(map[string]json.RawMessage{"suffix": q.Suffix}, `""`); err != nil {
		return err
	}
	var best int
	if json.Unmarshal(q.BestOf, &best) == nil && best != 0 && best != q.choices() {
		return wrong("best_of", "best_of %d: only n, which is %d, is done here", best, q.choices())
	}
	if q.LogProbs != nil && (*q.LogProbs < 0 || *q.LogProbs > mostTop) {
		return wrong("logprobs", "logprobs %d: it must be 0 to %d", *q.LogProbs, mostTop)
	}
	ids, err := s.promptIDs(&q)
	if err != nil {
		return err
	}
	if err := s.withinSize(&q.asked, ids, defaultTokens); err != nil {
		return err
	}
	f := &completion{s: s, told: q.LogProbs != nil}
	p := s.reply(f, &q.asked)
	for i, prompt := range ids {
		said, begun := "", false
		switch {
		case q.Echo && q.Prompt.texts != nil:
			said, begun = q.Prompt.texts[i], s.begins(prompt)
		case q.Echo:
			if said, err = s.decode(prompt); err != nil {
				return wrong("prompt", "prompt %d: %s", i, err)
			}
		}
		for n := range q.choices() {
			request := s.request(&q.asked, prompt, n, defaultTokens)
			request.Echo, request.LogProbs = q.Echo, q.LogProbs != nil
			if request.LogProbs {
				request.Top = *q.LogProbs
			}
			p.add(request, q.Stop, said)
			f.begin(prompt, q.Echo, begun)
		}
		p.prompts += len(prompt)
	}
	return p.answer(w, r)
}

// promptIDs makes ids of a completion's prompts; ids are taken as they are.
func (s *Server) promptIDs(q *completionsRequest) ([][]uint32, error) {
	if q.Prompt.ids != nil {
		return q.Prompt.ids, nil
	}
	if q.Prompt.texts == nil {
		return nil, wrong("prompt", "there is no prompt: a string, a list of strings or of token ids is needed")
	}
	if len(q.Prompt.texts) > s.MaxSequences {
		return make([][]uint32, len(q.Prompt.texts)), nil // which is refused
	}
	encode := s.voice.Encode
	if q.AddSpecialTokens != nil && !*q.AddSpecialTokens {
		encode = s.voice.Tok.Encode
	}
	var all [][]uint32
	for i, text := range q.Prompt.texts {
		ids, err := encode(text)
		if err != nil {
			return nil, wrong("prompt", "prompt %d: %s", i, err)
		}
		all = append(all, ids)
	}
	return all, nil
}

// begins reports whether a prompt's first token is the one that begins a text.
func (s *Server) begins(prompt []uint32) bool {
	begin, ok := s.voice.Tok.BeginOfText()
	return ok && len(prompt) > 0 && prompt[0] == begin
}

// decode is the text of a prompt, of which the token that begins it changes nothing but that it is there.
func (s *Server) decode(prompt []uint32) (string, error) {
	if !s.begins(prompt) {
		return s.voice.Tok.Decode(prompt)
	}
	text, err := s.voice.Tok.Decode(prompt[1:])
	return s.voice.Tok.Name(prompt[0]) + text, err
}

// completion is the form of answers to /v1/completions.
type completion struct {
	s      *Server
	told   bool // log-probabilities
	states []completionState
}

// completionState is how far a choice has been told.
type completionState struct {
	spelling
	offset int
	silent bool // the next token begins the text and is not in it
}

// begin is a choice's beginning. begun says that its first token was put there, and is not in the text.
func (f *completion) begin(prompt []uint32, echo, begun bool) {
	state := completionState{spelling: spelling{voice: f.s.voice}, silent: begun}
	if !echo && len(prompt) > 0 {
		state.last = &prompt[len(prompt)-1]
	}
	f.states = append(f.states, state)
}

func (*completion) object(bool) string { return "text_completion" }
func (*completion) prefix() string     { return "cmpl-" }

// completionChoice is one of an answer's.
type completionChoice struct {
	Index    int            `json:"index"`
	Text     string         `json:"text"`
	LogProbs *tokenLogProbs `json:"logprobs"`
	Finish   *string        `json:"finish_reason"`
}

func (f *completion) whole(index int, all piece, finish string) any {
	return f.part(index, all, true, finish)
}

func (f *completion) part(index int, some piece, _ bool, finish string) any {
	c := completionChoice{Index: index, Text: some.text}
	if finish != "" {
		c.Finish = &finish
	}
	if f.told {
		state := &f.states[index]
		c.LogProbs = &tokenLogProbs{[]string{}, []*float64{}, []map[string]float64{}, []int{}}
		for _, t := range some.tokens {
			text := c.LogProbs.add(&state.spelling, t, state.offset)
			if !state.silent {
				state.offset += utf8.RuneCountInString(text)
			}
			state.silent = false
		}
	}
	return c
}
