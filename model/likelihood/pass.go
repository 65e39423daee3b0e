package likelihood

import (
	"fmt"
	"math"
	"sync"

	"steplm/model"
	"steplm/model/sample"
)

// lane is a group whose sequences lie in the cache from a position on.
type lane struct {
	group
	first int
}

// place gives the first groups room in the cache, as many as there is room for.
func (s *Scorer) place(groups []group) (n int, lanes []*lane) {
	at := 0
	for _, g := range groups {
		if at+g.longest > s.Positions {
			break
		}
		lanes = append(lanes, &lane{g, at})
		at += g.longest
	}
	return len(lanes), lanes
}

// piece is a part of a lane's chain that a pass reads.
type piece struct {
	chain
	first int
}

// take takes what a pass reads: of each lane its first chain or a part of it, as far as there is room for rows and for
// logits.
func (s *Scorer) take(lanes []*lane) (pieces []piece) {
	rows, picks := s.Rows, s.picks
	for _, l := range lanes {
		if rows == 0 || picks == 0 {
			break
		}
		c := &l.chains[0]
		n, wants, picked := min(rows, len(c.ids)), 0, 0
		for ; wants < len(c.wants); wants++ {
			p := c.wants[wants].position
			if p >= c.at+n {
				break
			}
			if wants > 0 && p == c.wants[wants-1].position {
				continue
			}
			if picked == picks {
				n = p - c.at
				break
			}
			picked++
		}
		pieces = append(pieces, piece{chain{c.at, c.ids[:n], c.wants[:wants]}, l.first})
		rows, picks = rows-n, picks-picked
		if c.at, c.ids, c.wants = c.at+n, c.ids[n:], c.wants[wants:]; len(c.ids) == 0 {
			l.chains = l.chains[1:]
		}
	}
	return pieces
}

// pass reads pieces, adds what their logits say to the answers, and has those that are complete heard.
func (s *Scorer) pass(pieces []piece, answers []pending, heard func(int, Answer) error) error {
	var rows []model.Row
	var picked []int
	var wants []want
	var logitsOf []int // each want's
	for _, p := range pieces {
		for _, w := range p.wants {
			row := len(rows) + w.position - p.at
			if len(picked) == 0 || picked[len(picked)-1] != row {
				picked = append(picked, row)
			}
			wants, logitsOf = append(wants, w), append(logitsOf, len(picked)-1)
		}
		for i, id := range p.ids {
			rows = append(rows, model.Row{ID: id, Position: p.at + i, First: p.first})
		}
	}
	logits, err := s.m.Run(s.rows, rows, false, picked)
	if err != nil {
		return err
	}
	said, err := s.read(logits, wants, logitsOf)
	if err != nil {
		return err
	}
	for i, w := range wants {
		a := &answers[w.request]
		a.LogLikelihood += said[i].LogLikelihood
		a.Greedy = a.Greedy && said[i].Greedy
		if a.left--; a.left == 0 {
			if err := heard(w.request, a.Answer); err != nil {
				return err
			}
		}
	}
	return nil
}

// read is what logits say of each target.
func (s *Scorer) read(logits []float32, wants []want, logitsOf []int) ([]Answer, error) {
	said, errs := make([]Answer, len(wants)), make([]error, len(wants))
	var all sync.WaitGroup
	for i, w := range wants {
		all.Go(func() {
			row := logits[logitsOf[i]*s.m.Vocab:][:s.m.Vocab]
			if errs[i] = sample.Check(row); errs[i] != nil {
				return
			}
			own, top := sample.Top(row, w.target, 1)
			if math.IsInf(own, -1) {
				errs[i] = fmt.Errorf("the probability of token %d is 0", w.target)
			}
			said[i] = Answer{own, top[0].ID == w.target}
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("request %d, position %d: %w", wants[i].request, wants[i].position, err)
		}
	}
	return said, nil
}
