package session

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"steplm/data/examples"
	"steplm/model/advice"
	"steplm/model/generate"
	"steplm/model/sample"
	"steplm/stage/samples"
)

// SamplePrompts are continued by a model that trains, and by one that has just been trained, where no others are named.
var SamplePrompts = []string{"Once upon a time", "The", "In the beginning"}

// Bounds of a file of prompts.
const (
	mostPrompts     = 64
	mostPromptBytes = 1 << 20
)

// sampling is what the run's model is heard with while it trains.
func (s *Session) sampling() (samples.Plan, error) {
	e := s.Spec.Evaluation
	p := samples.Plan{Every: e.SampleEvery, Window: s.Recipe.Batch.SeqLen, Decoder: s.Tokenizer,
		Sampling: sample.Config{Temperature: 0.8, TopP: 0.95, Seed: s.Spec.Schedule.Seed}, Option: advice.SampleEvery}
	if t, ok := s.read.(*tuning); ok {
		return t.sampling(s, p)
	}
	if e.SampleEvery == 0 {
		if e.SamplePrompts != "" {
			return p, badOption("sample_prompts", e.SamplePrompts, "it is of no use without the number of "+
				"steps between samples")
		}
		return p, nil
	}
	if id, ok := s.Tokenizer.EndOfText(); ok && s.documents.Ends() {
		p.Ends = []uint32{id}
	}
	texts, err := e.prompts()
	if err != nil {
		return p, err
	}
	for i, text := range texts {
		prompt, err := s.prompt(text)
		switch {
		case err == nil:
			p.Prompts = append(p.Prompts, prompt)
		case e.SamplePrompts != "":
			return p, badOption("sample_prompts", e.SamplePrompts, "line %d: %v", i+1, err)
		}
	}
	if len(p.Prompts) == 0 {
		return p, badOption("sample_every", e.SampleEvery, "none of the prompts %q can be continued with this "+
			"tokenizer in windows of %d positions: give others", texts, p.Window)
	}
	return p, nil
}

// prompt begins a text as the run's documents begin. It is an error if that has no ids, or leaves no room.
func (s *Session) prompt(text string) (p samples.Prompt, err error) {
	p.Text = text
	if id, ok := s.Tokenizer.BeginOfText(); ok && s.documents.Begins() {
		p.IDs, p.Begins = []uint32{id}, true
	}
	if p.IDs, err = s.Tokenizer.AppendEncode(p.IDs, text); err != nil {
		return p, err
	}
	if window := s.Recipe.Batch.SeqLen; len(p.IDs) > window {
		return p, fmt.Errorf("it has %d tokens, the run's windows have %d positions", len(p.IDs), window)
	}
	if len(p.IDs) == 0 {
		return p, errors.New("the tokenizer makes no tokens of it")
	}
	return p, nil
}

// prompts are those of the file that is named, a line each, or SamplePrompts.
func (e Evaluation) prompts() ([]string, error) {
	if e.SamplePrompts == "" {
		return SamplePrompts, nil
	}
	info, err := os.Stat(e.SamplePrompts)
	if err != nil {
		return nil, badOption("sample_prompts", e.SamplePrompts, "%v", err)
	}
	if info.Size() > mostPromptBytes {
		return nil, badOption("sample_prompts", e.SamplePrompts, "the file has %d bytes, at most %d are prompts",
			info.Size(), mostPromptBytes)
	}
	content, err := os.ReadFile(e.SamplePrompts)
	if err != nil {
		return nil, badOption("sample_prompts", e.SamplePrompts, "%v", err)
	}
	text := strings.TrimSuffix(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
	if !utf8.ValidString(text) {
		return nil, badOption("sample_prompts", e.SamplePrompts, "it is not UTF-8")
	}
	lines := strings.Split(text, "\n")
	if text == "" || len(lines) > mostPrompts {
		n := len(lines)
		if text == "" {
			n = 0
		}
		return nil, badOption("sample_prompts", e.SamplePrompts, "it has %d lines, 1 to %d are prompts, a line each", n,
			mostPrompts)
	}
	return lines, nil
}

// sampling is a plan of answers to the first examples that are kept apart, or else to the first that the run trains on,
// greedily drawn at each evaluation.
func (t *tuning) sampling(s *Session, p samples.Plan) (samples.Plan, error) {
	o := s.Spec.Tuning
	p.Option = optionSamples
	if o.Samples == 0 || o.SampleTokens == 0 {
		if p.Every > 0 {
			return p, badOption(optionSamples, o.Samples, "samples are drawn every %d steps: there must be some, of "+
				"one token or more", p.Every)
		}
		return p, nil
	}
	p.Evaluations, p.Tokens, p.Window, p.Sampling = true, o.SampleTokens, s.Recipe.Model.MaxSeqLen, sample.Config{}
	for _, end := range []func() (uint32, bool){s.Tokenizer.EndOfText, t.set.End} {
		if id, ok := end(); ok && !slices.Contains(p.Ends, id) {
			p.Ends = append(p.Ends, id)
		}
	}
	from := t.set
	for _, set := range []*examples.Set{t.apart, t.validation} {
		if set != nil {
			from = set
		}
	}
	for _, x := range from.Examples[:min(o.Samples, len(from.Examples))] {
		asked := x.IDs[:x.Prompt]
		answer := x.IDs[x.Prompt:x.Learned[len(x.Learned)-1].To]
		if n := len(answer); n > 0 && slices.Contains(p.Ends, answer[n-1]) {
			answer = answer[:n-1]
		}
		reference, err := generate.Words(t.decoder, asked, answer)
		if err != nil {
			return p, err
		}
		p.Prompts = append(p.Prompts, samples.Prompt{Text: x.Asked, IDs: asked, Reference: reference})
	}
	return p, nil
}
