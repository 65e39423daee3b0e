package pretokenize

import "steplm/data/tokenizer/internal/pattern"

// Split cuts by a string or a regular expression.
type Split struct {
	Type     string          `json:"type"`
	Pattern  pattern.Pattern `json:"pattern"`
	Behavior Behavior        `json:"behavior"`
	Invert   bool            `json:"invert"` // what does not match counts as a match

	scanner *pattern.Scanner // nil: Pattern finds the matches
}

// Part is the pre-tokenizer.
func (s *Split) Part() PreTokenizer { return s }

// Check compiles the pattern.
func (s *Split) Check() error {
	if err := s.Behavior.check(); err != nil {
		return err
	}
	s.scanner = pattern.Known(s.Pattern.Regex)
	return s.Pattern.Compile()
}

// cutsOnly: a scanner's expression matches all of any text, so that there is nothing between matches.
func (s *Split) cutsOnly() bool { return s.scanner != nil && s.Behavior == Isolated && !s.Invert }

// Next is the scanner's.
func (s *Split) Next(text string, at int) int { return s.scanner.Next(text, at) }

// Cut cuts a piece.
func (s *Split) Cut(to []Piece, p Piece) ([]Piece, error) {
	if s.cutsOnly() {
		return scan(s, to, p), nil
	}
	spans, err := s.Pattern.Spans(nil, p.Text)
	if err != nil {
		return nil, err
	}
	if s.Invert {
		for i := range spans {
			spans[i].Match = !spans[i].Match
		}
	}
	return s.Behavior.apply(to, p, spans), nil
}
