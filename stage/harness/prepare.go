package harness

import (
	"errors"
	"fmt"

	"steplm/model/likelihood"
)

// Options say what is asked.
type Options struct {
	Folders []string // where the data are
	Shots   int      // documents that are shown with their answers before each
	Seed    uint64   // of the draws of shots
	Limit   int      // ask the first documents only; 0: all
	// LeaveOut: documents with a continuation that is longer than the model's context are left out. Else, as in the
	// harness, they are an error.
	LeaveOut bool
}

// Defaults of the harness.
const (
	Seed      = 1234    // of draws of shots
	Resamples = 100_000 // of a bootstrap
)

// Set is a task's documents as requests.
type Set struct {
	Task     *Task
	Options  Options
	Original int // documents of the split
	LeftOut  int // of those that were to be asked, see Options.LeaveOut
	asked    []asked
}

// asked is a document and what is asked of it.
type asked struct {
	Document
	number   int      // of its split, from 0
	contexts []string // with the shots before them, one for each continuation
	drawn    []int    // which of the pool are shown
	requests []likelihood.Request
	cut      []int // tokens that each context lost
}

// Prepare reads a task's documents and makes requests of them.
func Prepare(t *Task, v *Vocabulary, o Options) (*Set, error) {
	documents, pool, err := t.splits(o.Folders, o.Shots)
	if err != nil {
		return nil, err
	}
	shots, err := newShots(t, pool, o.Shots, o.Seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	s := &Set{Task: t, Options: o, Original: len(documents)}
	if o.Limit > 0 {
		documents = documents[:min(o.Limit, len(documents))]
	}
	for i, d := range documents {
		a := asked{Document: d, number: i, drawn: shots.draw(d)}
		if t.Data.pages != "" {
			a.requests, err = v.rolling(d.Target)
		} else {
			err = a.ask(v, shots.text(a.drawn))
		}
		var long *LongError
		if o.LeaveOut && errors.As(err, &long) {
			s.LeftOut++
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", t.Name, i, err)
		}
		s.asked = append(s.asked, a)
	}
	if len(s.asked) == 0 {
		return nil, fmt.Errorf("%s: each of its %d documents has a choice of more tokens than a context of %d has "+
			"positions: none is left to ask", t.Name, s.LeftOut, v.context)
	}
	return s, nil
}

// ask makes the requests of a document that stands after shots.
func (a *asked) ask(v *Vocabulary, shots string) error {
	for i, continuation := range a.Continuations {
		context := a.Contexts[min(i, len(a.Contexts)-1)]
		a.contexts = append(a.contexts, shots+context)
		r, err := v.pair(shots+context, continuation)
		if err != nil {
			return fmt.Errorf("choice %d: %w", i, err)
		}
		r, cut := v.cut(r)
		a.requests, a.cut = append(a.requests, r), append(a.cut, cut)
	}
	return nil
}

// Asked is how many documents are.
func (s *Set) Asked() int { return len(s.asked) }

// Cut is how many requests lost tokens because they were longer than the model's context.
func (s *Set) Cut() (requests, all int) {
	for _, a := range s.asked {
		for _, n := range a.cut {
			if n > 0 {
				requests++
			}
		}
		all += len(a.requests)
	}
	return requests, all
}

// Longest is how many positions the longest request takes.
func (s *Set) Longest() (n int) {
	for _, a := range s.asked {
		for _, r := range a.requests {
			n = max(n, len(r.Context)+len(r.Continuation)-1)
		}
	}
	return n
}
