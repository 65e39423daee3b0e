// Package samples has a model continue prompts while it trains, so that people see what its loss means.
//
// Samples take no memory of their own: they are drawn in the place of the activations, which a step fills anew, and
// Plan.Config chooses how many are drawn at once so that they take no more than those. So what a run is planned with
// is what it takes, with samples or without.
//
// What Go cannot enforce: that whoever draws frees the activations before, and allocates them after.
package samples

import (
	"context"
	"fmt"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/model/generate"
	"steplm/model/sample"
	"steplm/stage/record"
)

// Tokens are added to each prompt, at most, where a plan says no number.
const Tokens = 32

// Plan is what is continued, and when.
type Plan struct {
	Every       int  // steps; 0: never by steps
	Evaluations bool // at each evaluation
	Prompts     []Prompt
	Tokens      int           // added to each prompt, at most; 0: the constant of that name
	Window      int           // positions of a text, at most
	Ends        []uint32      // tokens that end a text
	Sampling    sample.Config // how tokens are drawn, from the same seed after every step
	Decoder     generate.Decoder
	Option      advice.Option // that asks for samples
}

// Prompt is a text to be continued.
type Prompt struct {
	Text   string
	IDs    []uint32 // at most Window
	Begins bool     // the first of them is a token that begins a text, which is no part of Text
	// Reference is what an example answers; "": there is nothing to compare with.
	Reference string
}

// tokens are added to each prompt, at most.
func (p Plan) tokens() int {
	if p.Tokens > 0 {
		return p.Tokens
	}
	return Tokens
}

// Due reports whether samples are drawn after a step.
func (p Plan) Due(step int) bool { return p.Every > 0 && step > 0 && step%p.Every == 0 }

// mostRead is how many tokens of prompts a pass reads, at most.
const mostRead = 64

// Config is the most that can be done at once on a model of a layout within so many bytes. What is drawn is the same,
// however much is done at once.
func (p Plan) Config(l model.Layout, bytes int64) (generate.Config, error) {
	longest := 0
	for _, prompt := range p.Prompts {
		longest = max(longest, len(prompt.IDs))
	}
	var least int64
	for slots := len(p.Prompts); slots > 0; slots-- {
		for read := mostRead; read > 0; read /= 2 {
			c := generate.Config{Slots: slots, Context: min(p.Window, longest+p.tokens()-1), Chunk: read}
			specs, err := generate.Specs(l, c)
			if err != nil {
				return c, err
			}
			if least = gpu.Plan(specs).Total(); least <= bytes {
				return c, nil
			}
		}
	}
	return generate.Config{}, advice.With(
		fmt.Errorf("a sample of %d tokens takes %s on the device, and the activations, in whose place it is drawn, "+
			"have only %s", min(p.Window, longest+p.tokens()-1), gpu.Bytes(least), gpu.Bytes(bytes)),
		advice.Way{{How: advice.LeaveOut, Option: p.Option}},
		advice.Way{{How: advice.Raise, Option: advice.BatchSize}})
}

// Draw continues the prompts, in order. It is a *Failed if the model's numbers allow no token; other errors are of the
// device or the context.
func (p Plan) Draw(ctx context.Context, g *generate.Generator) (list []record.Sample, err error) {
	requests := make([]generate.Request, len(p.Prompts))
	for i, prompt := range p.Prompts {
		requests[i] = generate.Request{Prompt: prompt.IDs, MaxTokens: p.tokens(), Ends: p.Ends,
			Sample: p.Sampling}
	}
	all, err := g.All(ctx, requests)
	if err != nil {
		return nil, err
	}
	for i, s := range all {
		if s.Err != nil {
			return nil, &Failed{p.Prompts[i].Text, s.Err}
		}
		text, err := p.text(p.Prompts[i], s)
		if err != nil {
			return nil, err
		}
		list = append(list, record.Sample{Prompt: p.Prompts[i].Text, IDs: s.Tokens, Text: text,
			Reference: p.Prompts[i].Reference, Finish: string(s.Finish)})
	}
	return list, nil
}

// text is that of what was added to a prompt.
func (p Plan) text(prompt Prompt, s *generate.Sequence) (string, error) {
	before := prompt.IDs
	if prompt.Begins {
		before = before[1:]
	}
	ids := s.Tokens
	if s.Finish == generate.End {
		ids = ids[:len(ids)-1]
	}
	return generate.Words(p.Decoder, before, ids)
}

// Failed is a prompt that a model cannot continue: its logits are no numbers, say.
type Failed struct {
	Prompt string
	Err    error
}

func (e *Failed) Error() string { return fmt.Sprintf("%q cannot be continued: %v", e.Prompt, e.Err) }

// Unwrap is why.
func (e *Failed) Unwrap() error { return e.Err }
