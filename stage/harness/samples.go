package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"steplm/model/likelihood"
)

// WriteSamples writes a line for each document, as the harness logs samples, and with the task's name at its end:
// numbers and truth values of answers are texts there.
func (o Outcome) WriteSamples(w io.Writer) error {
	for _, s := range o.samples {
		line, err := o.sample(s)
		if err != nil {
			return fmt.Errorf("%s: document %d: %w", o.Task.Name, s.number, err)
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// sample is a line.
func (o Outcome) sample(s sample) ([]byte, error) {
	var arguments object
	resps, filtered := []any{}, []any{}
	prompt := s.Target
	if o.Task.Data.pages != "" {
		arguments = object{}.with("gen_args_0", object{}.with("arg_0", s.Target))
		said := float(s.answers[0].LogLikelihood).String()
		resps, filtered = []any{[]any{said}}, []any{said}
	} else {
		prompt = s.contexts[0]
		for j, continuation := range s.Continuations {
			arguments = arguments.with(fmt.Sprintf("gen_args_%d", j),
				object{}.with("arg_0", s.contexts[j]).with("arg_1", continuation))
			said := texts(s.answers[j])
			resps, filtered = append(resps, []any{said}), append(filtered, said)
		}
	}
	raw, err := s.Raw.MarshalJSON()
	if err != nil {
		return nil, err
	}
	doc, err := dumps(raw)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range o.Metrics {
		names = append(names, m.Name)
	}
	line := object{}.with("doc_id", s.number).with("doc", s.Raw).with("target", s.Target).with("arguments", arguments).
		with("resps", resps).with("filtered_resps", filtered).with("filter", "none").with("metrics", names).
		with("doc_hash", hash(doc)).with("prompt_hash", hash(prompt)).with("target_hash", hash(s.Target))
	for j, m := range o.Metrics {
		line = line.with(m.Name, s.values[j])
	}
	return marshal(line.with("task", o.Task.Name))
}

// texts are an answer as texts.
func texts(a likelihood.Answer) []string {
	return []string{float(a.LogLikelihood).String(), boolean(a.Greedy)}
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
