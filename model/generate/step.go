package generate

import (
	"slices"
	"sync"

	"steplm/model"
	"steplm/model/sample"
)

// Step reads a chunk of the prompts that are not read yet, those of the sequences that came first first, and then adds
// a token to every sequence whose prompt was read before. A sequence that ends gives its slot and its positions
// back. An error is of the device, and ends all sequences; what is wrong with one alone is its Err.
func (g *Generator) Step() error {
	waiting := slices.Clone(g.all)
	decoding := slices.DeleteFunc(slices.Clone(g.all), func(s *Sequence) bool { return !s.prefilled() })
	err := g.prefill(waiting)
	if err == nil {
		err = g.decode(decoding)
	}
	if err != nil {
		for _, s := range slices.Clone(g.all) {
			s.Err = err
			g.finish(s, Failed)
		}
	}
	return err
}

// piece is rows of one sequence in a pass.
type piece struct {
	s      *Sequence
	at, n  int   // positions
	picked []int // those of them whose logits are wanted
}

// prefill reads prompts.
func (g *Generator) prefill(waiting []*Sequence) error {
	var pieces []piece
	room := g.Chunk
	for _, s := range waiting {
		if n := min(room, len(s.Prompt)-s.read); n > 0 {
			p := piece{s: s, at: s.read, n: n}
			for i := p.at; i < p.at+n; i++ {
				if s.asks(i) {
					p.picked = append(p.picked, i)
				}
			}
			pieces, room = append(pieces, p), room-n
		}
	}
	return g.pass(pieces, false)
}

// asks reports whether the logits of a position of the prompt are wanted.
func (s *Sequence) asks(position int) bool {
	if position == len(s.Prompt)-1 {
		return s.most > 0
	}
	return s.Echo && s.LogProbs
}

// decode reads the last token of each sequence.
func (g *Generator) decode(decoding []*Sequence) error {
	var pieces []piece
	for _, s := range decoding {
		if s.Finish == "" { // unless it was cancelled meanwhile
			pieces = append(pieces, piece{s, s.read, 1, []int{s.read}})
		}
	}
	return g.pass(pieces, true)
}

// pass reads pieces, and goes on with what their logits say.
func (g *Generator) pass(pieces []piece, decode bool) error {
	if len(pieces) == 0 {
		return nil
	}
	var rows []model.Row
	var picked []int
	for _, p := range pieces {
		for _, i := range p.picked {
			picked = append(picked, len(rows)+i-p.at)
		}
		for i := p.at; i < p.at+p.n; i++ {
			rows = append(rows, model.Row{ID: p.s.history[i], Position: i, First: p.s.extent.first})
		}
	}
	logits, err := g.m.Run(g.rows, rows, decode, picked)
	if err != nil {
		return err
	}
	said := make([]answers, len(pieces))
	var all sync.WaitGroup
	for i, p := range pieces {
		mine := logits[:len(p.picked)*g.m.Vocab]
		logits = logits[len(mine):]
		all.Go(func() { said[i] = p.answers(mine, g.m.Vocab) })
	}
	all.Wait()
	for i, p := range pieces {
		g.hear(p, said[i])
	}
	return nil
}

// answers are the tokens that follow on positions.
type answers struct {
	tokens map[int]Token
	err    error
}

// answers draws the token behind the last position, if nothing is there, and says how likely the others are. It changes
// nothing of the sequence, so that sequences are answered side by side.
func (p piece) answers(logits []float32, vocab int) answers {
	s, list := p.s, answers{tokens: map[int]Token{}}
	for i, position := range p.picked {
		row, t := logits[i*vocab:(i+1)*vocab], Token{}
		if position+1 < len(s.history) {
			if list.err = sample.Check(row); list.err != nil {
				return list
			}
			t.ID = s.history[position+1]
		} else {
			var banned []uint32
			if !s.IgnoreEnd && len(s.Tokens) < s.MinTokens {
				banned = s.Ends
			}
			if t.ID, list.err = s.Sample.Next(row, s.history, banned, len(s.Tokens)); list.err != nil {
				return list
			}
		}
		if s.LogProbs {
			t.Known = true
			t.LogProb, t.Top = sample.Top(row, t.ID, s.Top)
		}
		list.tokens[position] = t
	}
	return list
}

// hear takes what was read, and tells of the tokens behind it.
func (g *Generator) hear(p piece, said answers) {
	s := p.s
	s.read = p.at + p.n
	if said.err != nil {
		s.Err = said.err
		g.finish(s, Failed)
	}
	if s.Echo && p.at == 0 {
		g.tell(s, Token{ID: s.Prompt[0], Prompt: true})
	}
	for i := p.at; i < s.read && s.Finish == ""; i++ {
		t, answered := said.tokens[i]
		switch {
		case i+1 < len(s.Prompt):
			if s.Echo {
				t.ID, t.Prompt = s.Prompt[i+1], true
				g.tell(s, t)
			}
		case !answered: // nothing is to be added
			g.finish(s, Length)
		default:
			s.Tokens, s.history = append(s.Tokens, t.ID), append(s.history, t.ID)
			g.tell(s, t)
		}
	}
}

// tell has a token heard, and ends the sequence where it is the last.
func (g *Generator) tell(s *Sequence, t Token) {
	if s.Finish != "" {
		return
	}
	stop := s.Heard != nil && s.Heard(t)
	switch {
	case !t.Prompt && !s.IgnoreEnd && slices.Contains(s.Ends, t.ID):
		g.finish(s, End)
	case stop:
		g.finish(s, Stop)
	case !t.Prompt && len(s.Tokens) == s.most:
		g.finish(s, Length)
	}
}
