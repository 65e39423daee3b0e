package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"steplm/data"
	"steplm/data/tokenizer"
)

// Counted is the examples of a Spec, read as its run reads them, with no device and no folder.
type Counted struct {
	Tuned
	read *tuning
}

// CountExamples reads them.
func CountExamples(ctx context.Context, spec Spec, ui UI) (*Counted, error) {
	s := &Session{Spec: spec}
	if err := s.Spec.takeTokenizer(); err != nil {
		return nil, err
	}
	if err := s.Spec.Tuning.check(s.Spec); err != nil {
		return nil, err
	}
	tok, err := tokenizer.Load(s.Spec.Data.Tokenizer)
	if err != nil {
		return nil, err
	}
	if err := s.chooseTokens(tok); err != nil {
		return nil, err
	}
	t, err := s.readExamples(ctx, ui)
	if err != nil {
		return nil, err
	}
	c := s.Spec.Schedule
	windows := s.layout(c.BatchSize, c.GradAccum).Windows(t.set)
	return &Counted{Tuned{Train: t.set, HeldOut: t.apart, Validation: t.validation, Windows: windows}, t}, nil
}

// Steps is how many a Spec's epochs have, which reads the same examples in windows of the same size.
func (c *Counted) Steps(spec Spec) int {
	s := &Session{Spec: spec}
	if s.Spec.Model.SeqLen == nil {
		s.Spec.Model.SeqLen = &c.Train.SeqLen
	}
	return s.layout(spec.Schedule.BatchSize, spec.Schedule.GradAccum).Steps(c.Train, spec.Schedule.Epochs)
}

// exampleFiles identifies files of examples by their contents, in their order; "none" where no path is named.
func exampleFiles(ctx context.Context, paths []string, ui UI) (string, error) {
	h, named := sha256.New(), false
	for _, path := range paths {
		if path == "" {
			continue
		}
		at, err := Local(ctx, path, ui)
		if err != nil {
			return "", err
		}
		files, err := data.Find(at)
		if err != nil {
			return "", err
		}
		for _, file := range files {
			sum, err := fileHash(file)
			if err != nil {
				return "", err
			}
			fmt.Fprintln(h, sum)
		}
		named = true
	}
	if !named {
		return "none", nil
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
