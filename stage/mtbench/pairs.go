package mtbench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Wins are how a model fared in matches of two answers.
type Wins struct {
	Model    string  `json:"model"`
	Win      int     `json:"win"`
	Loss     int     `json:"loss"`
	Tie      int     `json:"tie"`
	WinRate  float64 `json:"win_rate"`
	LossRate float64 `json:"loss_rate"`
	Adjusted float64 `json:"win_rate_adjusted"` // a tie counts half
	// Template is by what the model's answers were asked for; "": it is not known.
	Template string `json:"template,omitempty"`
}

// PairScores are what pairwise judgments come to.
type PairScores struct {
	Judges []string `json:"judges"`
	Models []Wins   `json:"models"` // the best first
	Failed int      `json:"failed"` // judgments of which a game has no winner, which count for nothing
}

// NewPairScores adds up pairwise judgments: who wins both games wins, and all else is a tie. baseline, unless "", is
// the model that all are compared with: other matches do not count, and it has no row.
func NewPairScores(f Judgments, baseline string) (s PairScores, err error) {
	if err := f.of(2); err != nil {
		return s, err
	}
	of := map[string]*Wins{}
	add := func(model string) *Wins {
		if of[model] == nil {
			of[model] = &Wins{Model: model}
		}
		return of[model]
	}
	for _, j := range f.List {
		if baseline != "" && !slices.Contains(j.Models, baseline) {
			continue
		}
		if !slices.Contains(s.Judges, j.Judge[0]) {
			s.Judges = append(s.Judges, j.Judge[0])
		}
		switch first, second := j.Winners[0], j.Winners[1]; {
		case first == NoGame || second == NoGame:
			s.Failed++
		case first == Tie || first != second:
			add(j.Models[0]).Tie++
			add(j.Models[1]).Tie++
		case first == First:
			add(j.Models[0]).Win++
			add(j.Models[1]).Loss++
		default:
			add(j.Models[1]).Win++
			add(j.Models[0]).Loss++
		}
	}
	if baseline != "" && of[baseline] == nil {
		return s, fmt.Errorf("%s has no match with %q that has a winner or is a tie", f.Path, baseline)
	}
	delete(of, baseline)
	for _, w := range of {
		all := float64(w.Win + w.Loss + w.Tie)
		w.WinRate, w.LossRate = float64(w.Win)/all, float64(w.Loss)/all
		w.Adjusted = (float64(w.Win) + 0.5*float64(w.Tie)) / all
		s.Models = append(s.Models, *w)
	}
	if len(s.Models) == 0 {
		return s, fmt.Errorf("%s: of no match does the judge name the winners of both games", f.Path)
	}
	slices.SortFunc(s.Models, func(a, b Wins) int {
		return cmp.Or(cmp.Compare(b.Adjusted, a.Adjusted), cmp.Compare(a.Model, b.Model))
	})
	return s, nil
}

// Write prints the scores as FastChat's show_result does, which reads the same file.
func (s PairScores) Write(w io.Writer, path string, mode Mode) {
	fmt.Fprintf(w, "Mode: %s\nInput file: %s\n", mode, path)
	f := frame{index: []string{"model"}, columns: []frameColumn{{name: "win", whole: true}, {name: "loss", whole: true},
		{name: "tie", whole: true}, {name: "win_rate"}, {name: "loss_rate"}, {name: "win_rate_adjusted"}}}
	for _, m := range s.Models {
		f.rows = append(f.rows, []string{m.Model})
		for i, x := range []float64{float64(m.Win), float64(m.Loss), float64(m.Tie), m.WinRate, m.LossRate,
			m.Adjusted} {
			f.columns[i].values = append(f.columns[i].values, x)
		}
	}
	f.write(w)
}
