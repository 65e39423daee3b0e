package speak

import (
	"encoding/json"
	"errors"
	"strings"

	"steplm/cmd/steplm/internal/flags"
	"steplm/model/sample"
)

// SampleFlags say how tokens are chosen.
type SampleFlags struct {
	Temperature       float64 `default:"1" placeholder:"T" help:"What logits are divided by; 0: always the likeliest token. Default: ${default}."`
	TopK              int     `placeholder:"N" help:"Choose among the N likeliest tokens. Default: all."`
	TopP              float64 `default:"1" placeholder:"P" help:"Choose among the likeliest tokens that together have probability P. Default: all."`
	MinP              float64 `placeholder:"P" help:"Choose among the tokens that have at least P times the likeliest one's probability. Default: all."`
	RepetitionPenalty float64 `default:"1" placeholder:"P" help:"Make tokens that the text has already less likely: their logits are divided by P, or multiplied if negative. Default: none."`
	Seed              uint64  `placeholder:"N" help:"What is drawn: the same seed gives the same tokens. Default: 0."`
}

// config is what the flags say, if it has a meaning.
func (f SampleFlags) config() (sample.Config, error) {
	c := sample.Config(f)
	return c, wordSample(c.Validate())
}

// wordSample words an option of sampling in flags.
func wordSample(err error) error {
	var option *sample.Option
	if errors.As(err, &option) {
		return flags.Usagef("--%s %g: %s", strings.ReplaceAll(option.Name, "_", "-"), option.Value, option.Why)
	}
	return err
}

// asked is what one line of a batch asks for; what it leaves out is as the flags say.
type asked struct {
	Prompt    *string  `json:"prompt"`
	IDs       []uint32 `json:"ids"`
	MaxTokens int      `json:"max_tokens"`
	MinTokens int      `json:"min_tokens"`
	Stop      stops    `json:"stop"`
	sample.Config
}

// stops are stop strings: one, or a list.
type stops []string

func (s *stops) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*s = stops{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(s))
}
