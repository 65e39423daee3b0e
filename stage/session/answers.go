package session

import (
	"slices"

	"steplm/data/examples"
	"steplm/model/generate"
	"steplm/model/sample"
	"steplm/stage/samples"
)

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
