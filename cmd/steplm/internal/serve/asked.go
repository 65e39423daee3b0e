package serve

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"

	"steplm/model/generate"
	"steplm/model/sample"
)

// asked is what both kinds of requests may ask for. A field that is not there, or null, is as its comment says.
type asked struct {
	Model string `json:"model"` // "": the one there is

	MaxTokens         *int     `json:"max_tokens"`         // completions: 16; chat: what fits
	MinTokens         int      `json:"min_tokens"`         // vLLM's: 0
	Temperature       *float64 `json:"temperature"`        // 1
	TopP              *float64 `json:"top_p"`              // 1: all
	TopK              *int     `json:"top_k"`              // vLLM's: all, as 0 and -1
	MinP              float64  `json:"min_p"`              // vLLM's: 0: all
	RepetitionPenalty *float64 `json:"repetition_penalty"` // vLLM's: 1: none
	Seed              *int64   `json:"seed"`               // another one each time
	IgnoreEOS         bool     `json:"ignore_eos"`         // vLLM's: false
	Stop              stops    `json:"stop"`               // none
	N                 *int     `json:"n"`                  // 1

	Stream        bool `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool    `json:"include_usage"`
		Obfuscation  ignored `json:"include_obfuscation"`
	} `json:"stream_options"`

	// What is not done here must be as if it were not there.
	FrequencyPenalty float64            `json:"frequency_penalty"`
	PresencePenalty  float64            `json:"presence_penalty"`
	LogitBias        map[string]float64 `json:"logit_bias"`

	User             ignored `json:"user"`
	SafetyIdentifier ignored `json:"safety_identifier"`
	Metadata         ignored `json:"metadata"`
	Store            ignored `json:"store"`
	ServiceTier      ignored `json:"service_tier"`
	PromptCacheKey   ignored `json:"prompt_cache_key"`
}

// mostTop is of how many tokens log-probabilities may be asked for, as OpenAI has it.
const mostTop = 20

// mostStops is how many texts may end an answer: each is looked for after every token.
const mostStops = 64

// check refuses what cannot be done, or has no meaning.
func (s *Server) check(a *asked) error {
	if a.Model != "" && a.Model != s.name && a.Model != s.path {
		e := failure(http.StatusNotFound, badRequest, "model_not_found", "the model %q is not here: this is %q",
			a.Model, s.name)
		param := "model"
		e.Param = &param
		return e
	}
	switch {
	case a.FrequencyPenalty != 0:
		return wrong("frequency_penalty", "frequency_penalty %g: only 0 is done here; there is repetition_penalty",
			a.FrequencyPenalty)
	case a.PresencePenalty != 0:
		return wrong("presence_penalty", "presence_penalty %g: only 0 is done here; there is repetition_penalty",
			a.PresencePenalty)
	case len(a.LogitBias) > 0:
		return wrong("logit_bias", "logit_bias is not done here: leave it out")
	case a.RepetitionPenalty != nil && *a.RepetitionPenalty == 0: // which is none in sample.Config
		return wrong("repetition_penalty", "repetition_penalty 0: it must be above 0")
	case a.N != nil && *a.N < 1:
		return wrong("n", "n %d: it must be 1 or more", *a.N)
	case a.MaxTokens != nil && *a.MaxTokens < 0:
		return wrong("max_tokens", "max_tokens %d: it must be 0 or more", *a.MaxTokens)
	case a.MaxTokens != nil && s.MaxTokens > 0 && *a.MaxTokens > s.MaxTokens:
		return wrong("max_tokens", "max_tokens %d: at most %d are added here", *a.MaxTokens, s.MaxTokens)
	case len(a.Stop) > mostStops:
		return wrong("stop", "stop has %d texts: at most %d are looked for", len(a.Stop), mostStops)
	case a.MinTokens < 0:
		return wrong("min_tokens", "min_tokens %d: it must be 0 or more", a.MinTokens)
	case a.StreamOptions != nil && !a.Stream:
		return wrong("stream_options", "stream_options is of stream: true")
	}
	return a.sampling(0).Validate()
}

// choices is how many texts each prompt has.
func (a *asked) choices() int {
	if a.N == nil {
		return 1
	}
	return *a.N
}

// sampling is how tokens are chosen for a prompt's n-th text: the first draws with the seed itself.
func (a *asked) sampling(n int) sample.Config {
	c := sample.Config{Temperature: 1, MinP: a.MinP}
	if a.Temperature != nil {
		c.Temperature = *a.Temperature
	}
	if a.TopP != nil {
		c.TopP = *a.TopP
		if c.TopP == 0 { // the likeliest alone: 0 stands for all in sample.Config
			c.TopK = 1
		}
	}
	if a.TopK != nil && *a.TopK != -1 && c.TopK == 0 {
		c.TopK = *a.TopK
	}
	if a.RepetitionPenalty != nil {
		c.RepetitionPenalty = *a.RepetitionPenalty
	}
	if a.Seed == nil {
		c.Seed = rand.Uint64()
	} else {
		c.Seed = uint64(*a.Seed) + uint64(n)
	}
	return c
}

// request is a prompt's n-th text.
func (s *Server) request(a *asked, prompt []uint32, n, otherwise int) generate.Request {
	r := generate.Request{Prompt: prompt, MaxTokens: otherwise, MinTokens: a.MinTokens, Sample: a.sampling(n),
		Ends: s.voice.Ends, IgnoreEnd: a.IgnoreEOS}
	if a.MaxTokens != nil {
		r.MaxTokens = *a.MaxTokens
	}
	if s.MaxTokens > 0 {
		r.MaxTokens = min(r.MaxTokens, s.MaxTokens)
	}
	r.MaxTokens = min(r.MaxTokens, max(0, s.context-len(prompt)+1))
	return r
}

// withinSize refuses a request of too many texts or tokens, before any of its texts is made.
func (s *Server) withinSize(a *asked, prompts [][]uint32, otherwise int) error {
	if n := len(prompts) * a.choices(); n > s.MaxSequences || a.choices() > s.MaxSequences {
		return tooLarge("%d prompts of %d texts each: at most %d texts are made for a request", len(prompts),
			a.choices(), s.MaxSequences)
	}
	sum := 0
	for _, p := range prompts {
		sum += a.choices() * (len(p) + s.request(a, p, 0, otherwise).MaxTokens)
	}
	if sum > s.MaxRequestSize {
		return tooLarge("the request is about %d tokens, those of its prompts and those that may be added: at most %d "+
			"are taken", sum, s.MaxRequestSize)
	}
	return nil
}

// nothing refuses fields of what is not done here.
func nothing(fields map[string]json.RawMessage, values ...string) error {
	for name, raw := range fields {
		if !neutral(raw, values...) {
			return wrong(name, "%s is not done here: leave it out", name)
		}
	}
	return nil
}
