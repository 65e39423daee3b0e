package speak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"steplm/cmd/steplm/internal/flags"
	"steplm/gpu"
	"steplm/model/generate"
	"steplm/model/sample"
	"steplm/stage/samples"
	"steplm/stage/session"
)

// Sample is what it made of one.
type Sample struct {
	Prompt string `json:"prompt"`
	result
}

// String is one line of a page.
func (s Sample) String() string {
	end := "..."
	if s.Finish == string(generate.End) {
		end = "" // which it chose itself
	}
	quoted := strconv.Quote(s.Prompt + s.Text)
	return quoted[1:len(quoted)-1] + end
}

// Samples has a run's final model continue three short prompts, on the device that trained it and when all that
// training took is free again. It is nothing that a run could fail by: what goes wrong is told on standard error.
func Samples(ctx context.Context, dev gpu.Device, run string) []Sample {
	list, err := hear(ctx, dev, run)
	if err != nil && ctx.Err() == nil {
		flags.SessionUI(true).Warn(fmt.Sprintf("the trained model is not heard: %s", flags.Explain(err)))
	}
	return list
}

func hear(ctx context.Context, dev gpu.Device, run string) ([]Sample, error) {
	v, err := Flags{NewestFlags: flags.NewestFlags{Model: run}}.Find(true)
	if err != nil {
		return nil, err
	}
	var jobs []job
	size := generate.Config{Chunk: 64}
	for _, prompt := range session.SamplePrompts {
		how := sample.Config{Temperature: 0.8, TopP: 0.95}
		j, err := v.job(asked{Prompt: &prompt, MaxTokens: samples.Tokens, Config: how})
		var long *generate.TooLong
		switch {
		case errors.As(err, &long) || err == nil && len(j.prompt) == 0:
			continue // a window of a few tokens, or words that the vocabulary does not have
		case err != nil:
			return nil, err
		}
		jobs = append(jobs, j)
		size.Slots, size.Context = len(jobs), max(size.Context, min(v.Context, len(j.prompt)+samples.Tokens))
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	config, err := size.Resolve(v.Layout)
	if err != nil {
		return nil, err
	}
	s, err := v.on(dev, config)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var all []*running
	for _, j := range jobs {
		r, err := s.start(j, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	var list []Sample
	for i, r := range all {
		if err := r.finish(); err != nil {
			return nil, err
		}
		list = append(list, Sample{*jobs[i].Prompt, r.result})
	}
	return list, nil
}

// WriteSamples writes samples as one line of JSON, beside those of metrics.jsonl.
func WriteSamples(w io.Writer, list []Sample) error {
	if len(list) == 0 {
		return nil
	}
	return json.NewEncoder(w).Encode(struct {
		Event   string   `json:"event"`
		Samples []Sample `json:"samples"`
	}{"samples", list})
}
