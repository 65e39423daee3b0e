package report

import (
	"fmt"
	"slices"

	"steplm/stage/record"
)

// pageSamples are what a run's model said after a step.
type pageSamples struct {
	After   int          `json:"after"` // so many steps
	Samples []pageSample `json:"samples"`
}

type pageSample struct {
	Prompt string `json:"prompt"`
	Text   string `json:"text"` // that was added
}

// samples are a run's, in order.
func (r *run) samples() (list []pageSamples) {
	for _, after := range r.curve.Curve.Events {
		if e, ok := after.Event.(record.Samples); ok {
			s := pageSamples{After: e.Step}
			for _, x := range e.Samples {
				s.Samples = append(s.Samples, pageSample{x.Prompt, x.Text})
			}
			list = append(list, s)
		}
	}
	return list
}

// samplesTable has what every run's model said last, for the Markdown.
func (r *Report) samplesTable() (t table, there bool) {
	var prompts []string
	for _, run := range r.runs {
		for _, s := range run.samples() {
			for _, x := range s.Samples {
				if !slices.Contains(prompts, x.Prompt) {
					prompts = append(prompts, x.Prompt)
				}
			}
		}
	}
	t.Head = []cell{{Text: "run"}, {Text: "after step"}}
	for _, p := range prompts {
		t.Head = append(t.Head, cell{Text: p})
	}
	for _, run := range r.runs {
		list := run.samples()
		if len(list) == 0 {
			continue
		}
		last := list[len(list)-1]
		row := []cell{{Text: run.Run}, {Text: fmt.Sprint(last.After)}}
		for _, p := range prompts {
			text := none
			if at := slices.IndexFunc(last.Samples, func(x pageSample) bool { return x.Prompt == p }); at >= 0 {
				text = last.Samples[at].Text
			}
			row = append(row, cell{Text: text})
		}
		t.Rows = append(t.Rows, row)
	}
	return t, len(t.Rows) > 0
}
