package mtbench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// Mean is one over judgments.
type Mean struct {
	Value float64 // NaN of none
	N     int
}

// MarshalJSON writes null for the mean of nothing.
func (m Mean) MarshalJSON() ([]byte, error) {
	var x *float64
	if m.N > 0 {
		x = &m.Value
	}
	return json.Marshal(struct {
		Mean *float64 `json:"mean"`
		N    int      `json:"n"`
	}{x, m.N})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Mean) UnmarshalJSON(text []byte) error {
	var x struct {
		Mean *float64 `json:"mean"`
		N    int      `json:"n"`
	}
	if err := json.Unmarshal(text, &x); err != nil {
		return err
	}
	if *m = (Mean{math.NaN(), x.N}); x.Mean != nil {
		m.Value = *x.Mean
	}
	return nil
}

// Grades are means of ratings: of each turn, and over all rows of both, which is not the mean of the two.
type Grades struct {
	First   Mean `json:"first_turn"`
	Second  Mean `json:"second_turn"`
	Average Mean `json:"average"`
	Failed  int  `json:"failed"` // judgments without a rating, which are in no mean
}

// ModelScores are a model's.
type ModelScores struct {
	Model string `json:"model"`
	Grades
	Categories []CategoryScores `json:"categories,omitempty"`
	// Template is by what the model's answers were asked for; "": it is not known.
	Template string `json:"template,omitempty"`
}

// CategoryScores are those of one category.
type CategoryScores struct {
	Category string `json:"category"`
	Grades
}

// Scores are what judgments of single answers come to.
type Scores struct {
	Judges []string      `json:"judges"`
	Models []ModelScores `json:"models"` // the best first
	// Repeated are judgments that are there twice or more, which FastChat counts as often.
	Repeated int `json:"repeated,omitempty"`
}

// NewScores adds up judgments of single answers; the questions, which may be none, say their categories.
func NewScores(f Judgments, questions []Question) (s Scores, err error) {
	if err := f.of(1); err != nil {
		return s, err
	}
	category := map[int]string{}
	for _, q := range questions {
		category[q.ID] = q.Category
	}
	rows := map[string][]Judgment{}
	var models []string
	seen := map[key]bool{}
	for _, j := range f.List {
		if j.Score.Valid() && seen[j.key()] {
			s.Repeated++
		}
		seen[j.key()] = seen[j.key()] || j.Score.Valid()
		if _, known := category[j.Question]; !known && questions != nil {
			return s, fmt.Errorf("%s judges question %d, which is none of those that say the categories", f.Path,
				j.Question)
		}
		if rows[j.Models[0]] == nil {
			models = append(models, j.Models[0])
		}
		rows[j.Models[0]] = append(rows[j.Models[0]], j)
		if !slices.Contains(s.Judges, j.Judge[0]) {
			s.Judges = append(s.Judges, j.Judge[0])
		}
	}
	slices.Sort(models)
	for _, model := range models {
		m := ModelScores{Model: model, Grades: grades(rows[model])}
		for _, name := range Categories(questions) {
			of := slices.DeleteFunc(slices.Clone(rows[model]),
				func(j Judgment) bool { return category[j.Question] != name })
			if len(of) > 0 {
				m.Categories = append(m.Categories, CategoryScores{name, grades(of)})
			}
		}
		s.Models = append(s.Models, m)
	}
	slices.SortStableFunc(s.Models, func(a, b ModelScores) int { return falling(a.Average.Value, b.Average.Value) })
	return s, nil
}

// falling orders numbers from the largest down, and NaN last.
func falling(a, b float64) int { return cmp.Compare(b, a) }

// of refuses a file without judgments, or with those of another number of models.
func (f Judgments) of(models int) error {
	switch {
	case len(f.List) == 0:
		return fmt.Errorf("%s has no judgments", f.Path)
	case len(f.List[0].Models) != models:
		return fmt.Errorf("%s has judgments of %d models at once, not of %d: it is of another mode", f.Path,
			len(f.List[0].Models), models)
	}
	return nil
}

func grades(list []Judgment) (g Grades) {
	var sums [3]float64 // of both turns together, and of each
	var n [3]int
	for _, j := range list {
		if !j.Score.Valid() {
			g.Failed++
			continue
		}
		for _, at := range []int{0, j.Turn} {
			sums[at] += j.Score.Value()
			n[at]++
		}
	}
	mean := func(at int) Mean { return Mean{sums[at] / float64(n[at]), n[at]} }
	g.Average, g.First, g.Second = mean(0), mean(1), mean(2)
	return g
}

// Write prints the scores as FastChat's show_result does, which reads the same file.
func (s Scores) Write(w io.Writer, path string) {
	fmt.Fprintf(w, "Mode: %s\nInput file: %s\n", Single, path)
	for _, block := range []struct {
		name string
		turn int
		of   func(Grades) Mean
	}{
		{"First turn", 1, func(g Grades) Mean { return g.First }},
		{"Second turn", 2, func(g Grades) Mean { return g.Second }},
		{"Average", 0, func(g Grades) Mean { return g.Average }},
	} {
		fmt.Fprintf(w, "\n########## %s ##########\n", block.name)
		list := slices.DeleteFunc(slices.Clone(s.Models), func(m ModelScores) bool { return block.of(m.Grades).N == 0 })
		if len(list) == 0 {
			fmt.Fprintln(w, "no ratings")
			continue
		}
		slices.SortFunc(list, func(a, b ModelScores) int {
			return cmp.Or(falling(block.of(a.Grades).Value, block.of(b.Grades).Value), cmp.Compare(a.Model, b.Model))
		})
		f := frame{index: []string{"model"}, columns: []frameColumn{{name: "score"}}}
		if block.turn > 0 {
			f.index = append(f.index, "turn")
		}
		for _, m := range list {
			row := []string{m.Model}
			if block.turn > 0 {
				row = append(row, strconv.Itoa(block.turn))
			}
			f.rows = append(f.rows, row)
			f.columns[0].values = append(f.columns[0].values, block.of(m.Grades).Value)
		}
		f.write(w)
	}
}
