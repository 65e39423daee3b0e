package harness

import (
	"fmt"
	"slices"
	"strings"
)

// shots draws documents that are shown with their answers, from one generator for all of a task's documents.
type shots struct {
	pool []Document
	raws []string // what makes two of the pool equal
	n    int
	rnd  *random
	drop bool // one more is drawn, and the document that is asked left out
}

// newShots is the generator of a task. A task that has no test split leaves the document it asks out of what it shows,
// others do not: the harness compares two settings that are both absent in the former.
func newShots(t *Task, pool []Document, n int, seed uint64) (*shots, error) {
	s := &shots{pool: pool, n: n, rnd: newRandom(seed), drop: t.Data.Test == ""}
	need := n
	if s.drop {
		need++
	}
	if n > 0 && need > len(pool) {
		return nil, fmt.Errorf("%d shots are drawn for each document, and there are %d to draw from", need, len(pool))
	}
	if n > 0 && s.drop {
		for _, d := range pool {
			s.raws = append(s.raws, d.key())
		}
	}
	return s, nil
}

// key tells documents apart.
func (d Document) key() string {
	return strings.Join(slices.Concat(d.Contexts, d.Continuations, []string{d.Target}), "\x00")
}

// draw is which of the pool are shown before the next document.
func (s *shots) draw(d Document) []int {
	if s.n == 0 {
		return nil
	}
	if !s.drop {
		return s.rnd.sample(len(s.pool), s.n)
	}
	other := func(of []int) []int {
		own := d.key()
		return slices.DeleteFunc(of, func(i int) bool { return s.raws[i] == own })
	}
	list := other(s.rnd.sample(len(s.pool), s.n+1))
	if len(list) < s.n { // it is there more than once
		all := make([]int, len(s.pool))
		for i := range all {
			all[i] = i
		}
		others := other(all)
		list = list[:0]
		for _, i := range s.rnd.sample(len(others), min(s.n, len(others))) {
			list = append(list, others[i])
		}
	}
	return list[:min(s.n, len(list))]
}

// text is what stands before a document.
func (s *shots) text(drawn []int) string {
	var b strings.Builder
	for _, i := range drawn {
		b.WriteString(s.pool[i].shot())
	}
	return b.String()
}
