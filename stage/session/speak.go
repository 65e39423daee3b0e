package session

import (
	"context"
	"errors"
	"slices"

	"steplm/data/examples"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/generate"
	"steplm/stage/record"
)

// speakChunk is how many tokens of prompts are read at once for samples: few, so that little room is taken.
const speakChunk = 64

// speak has a model answer the first examples that are kept apart, or else the first that it trains on, greedily and in
// at most so many bytes. It does not where there is too little room for one answer.
func (t *tuning) speak(ctx context.Context, m *model.Model, o Tuning, ends []uint32, most int64) ([]record.Sample,
	error) {
	from := t.set
	for _, s := range []*examples.Set{t.apart, t.validation} {
		if s != nil {
			from = s
		}
	}
	if id, ok := t.set.End(); ok && !slices.Contains(ends, id) {
		ends = append(slices.Clone(ends), id)
	}
	list := from.Examples[:min(o.Samples, len(from.Examples))]
	c := generate.Config{Slots: len(list), Chunk: speakChunk}
	for _, x := range list {
		c.Context = max(c.Context, min(m.MaxSeqLen, x.Prompt+o.SampleTokens))
	}
	for ; c.Slots > 0; c.Slots-- {
		specs, err := generate.Specs(m.Layout, c)
		if err != nil {
			return nil, err
		}
		if gpu.Plan(specs).Total() <= most {
			break
		}
	}
	if c.Slots == 0 {
		return nil, nil
	}
	g, err := generate.New(m, c)
	if err != nil {
		return nil, err
	}
	defer g.Free()
	var answers []*generate.Sequence
	for len(answers) < len(list) || g.Active() > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for len(answers) < len(list) {
			x := list[len(answers)]
			a, err := g.Add(generate.Request{Prompt: x.IDs[:x.Prompt], MaxTokens: o.SampleTokens, Ends: ends})
			if errors.Is(err, generate.ErrFull) {
				break
			}
			if err != nil {
				return nil, err
			}
			answers = append(answers, a)
		}
		if err := g.Step(); err != nil {
			return nil, err
		}
	}
	return t.said(list, answers, ends)
}

// said makes texts of answers.
func (t *tuning) said(list []examples.Example, answers []*generate.Sequence, ends []uint32) (all []record.Sample,
	err error) {
	text := func(prompt, ids []uint32) string {
		if n := len(ids); n > 0 && slices.Contains(ends, ids[n-1]) {
			ids = ids[:n-1]
		}
		of := generate.NewText(t.decoder, prompt, nil)
		words := ""
		for _, id := range ids {
			piece, _, failed := of.Add(id)
			words, err = words+piece, errors.Join(err, failed)
		}
		rest, failed := of.Rest()
		err = errors.Join(err, failed)
		return words + rest
	}
	for i, a := range answers {
		if a.Err != nil {
			return nil, a.Err
		}
		x := list[i]
		prompt, wanted := x.IDs[:x.Prompt], x.IDs[x.Prompt:x.Learned[len(x.Learned)-1].To]
		all = append(all, record.Sample{Prompt: x.Asked, Text: text(prompt, a.Tokens), Reference: text(prompt, wanted),
			Finish: string(a.Finish)})
	}
	return all, err
}
