package mtbench

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Mode is what a judge compares, by FastChat's names.
type Mode string

// The modes.
const (
	Single   Mode = "single"            // it rates one answer
	Pairs    Mode = "pairwise-all"      // it compares every two models
	Baseline Mode = "pairwise-baseline" // it compares each model with one
)

// Match is what a judge is asked about one turn of one question: once of one model's answer, or twice of two models',
// the second time with their answers swapped.
type Match struct {
	Question Question
	Turn     int // 1 or 2
	Prompt   Prompt
	Models   []string // one, or two
	Asks     []string // what the judge is asked, once or twice
}

// Contest is everything that is to be judged.
type Contest struct {
	Mode       Mode
	Baseline   string // of the mode of that name: a model among the answers
	Questions  []Question
	Answers    []Answers
	References Answers // of questions that need one
	Prompts    map[string]Prompt
}

// Matches lists a contest's matches in FastChat's order: the first turn of questions without reference, that of those
// with, and the second turn likewise; in each by question, then model. It is an error if an answer or a reference that
// is needed is missing.
func (c Contest) Matches() (list []Match, err error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	for turn := 1; turn <= 2; turn++ {
		for _, referenced := range []bool{false, true} {
			for _, q := range c.Questions {
				if q.NeedsReference() != referenced || turn == 2 && len(q.Turns) != 2 {
					continue
				}
				for _, models := range c.lineups() {
					m, err := c.match(q, turn, models)
					if err != nil {
						return nil, err
					}
					list = append(list, m)
				}
			}
		}
	}
	return list, nil
}

// lineups are the models whose answers are judged together, by their indices.
func (c Contest) lineups() (list [][]int) {
	base := slices.IndexFunc(c.Answers, func(a Answers) bool { return a.Model == c.Baseline })
	for i := range c.Answers {
		switch c.Mode {
		case Single:
			list = append(list, []int{i})
		case Pairs:
			for j := i + 1; j < len(c.Answers); j++ {
				list = append(list, []int{i, j})
			}
		case Baseline:
			if i != base {
				list = append(list, []int{i, base})
			}
		}
	}
	return list
}

// check refuses a contest that cannot be judged whole.
func (c Contest) check() error {
	seen := map[string]string{}
	for _, a := range c.Answers {
		if before, there := seen[a.Model]; there {
			return fmt.Errorf("%s and %s both have the name %s, and so would their judgments: rename one", before,
				a.Path, a.Model)
		}
		seen[a.Model] = a.Path
		missing, others := a.Missing(c.Questions)
		switch {
		case len(missing) == len(c.Questions) && len(others) > 0:
			return fmt.Errorf("%s answers other questions (%s): not one of those that are asked (%s)", a.Path,
				Numbers(others), Numbers(missing))
		case len(missing) > 0:
			return fmt.Errorf("%s lacks the answers to %d of %d questions: %s", a.Path, len(missing), len(c.Questions),
				Numbers(missing))
		}
	}
	switch {
	case len(c.Answers) == 0:
		return errors.New("there are no answers to judge")
	case c.Mode == Pairs && len(c.Answers) < 2:
		return fmt.Errorf("%s needs the answers of two models: there is only %s", c.Mode, c.Answers[0].Model)
	case c.Mode == Baseline && seen[c.Baseline] == "":
		return fmt.Errorf("there are no answers of %q, the model to compare with", c.Baseline)
	case c.Mode == Baseline && len(c.Answers) < 2:
		return fmt.Errorf("there are no answers to compare with those of %s", c.Baseline)
	}
	var needed []Question
	for _, q := range c.Questions {
		if q.NeedsReference() {
			needed = append(needed, q)
		}
	}
	if missing, _ := c.References.Missing(needed); len(missing) > 0 {
		return fmt.Errorf("%s lacks the reference answers to %d questions that are judged beside one: %s",
			c.References.Path, len(missing), Numbers(missing))
	}
	return nil
}

// match is one of them.
func (c Contest) match(q Question, turn int, models []int) (Match, error) {
	m := Match{Question: q, Turn: turn}
	name, output, kind := "single", "[[rating]]", "single"
	if c.Mode != Single {
		name, output, kind = "pair", "[[A]]", "pairwise"
	}
	switch {
	case q.NeedsReference():
		name += "-math-v1"
	case c.Mode == Single:
		name += "-v1"
	default:
		name += "-v2"
	}
	if turn == 2 {
		name += "-multi-turn"
	}
	var known bool
	switch m.Prompt, known = c.Prompts[name]; {
	case !known:
		return m, fmt.Errorf("there is no judge prompt %s", name)
	case m.Prompt.Type != kind || m.Prompt.Output != output:
		return m, fmt.Errorf("the judge prompt %s is of the type %q with the output %q: it must be %q with %q", name,
			m.Prompt.Type, m.Prompt.Output, kind, output)
	}
	for _, i := range models {
		m.Models = append(m.Models, c.Answers[i].Model)
	}
	for range models {
		ask, err := fill(m.Prompt.Template, c.values(q, turn, models))
		if err != nil {
			return m, fmt.Errorf("the judge prompt %s: %w", name, err)
		}
		m.Asks = append(m.Asks, ask)
		models = slices.Clone(models)
		slices.Reverse(models)
	}
	return m, nil
}

// values are those that the template of a match has fields for.
func (c Contest) values(q Question, turn int, models []int) map[string]string {
	v := map[string]string{}
	put := func(name string, turns []string) {
		if turn == 1 {
			v[name] = turns[0]
			return
		}
		for i, text := range turns[:2] {
			v[name+"_"+strconv.Itoa(i+1)] = text
		}
	}
	put("question", q.Turns)
	for at, i := range models {
		name := "answer"
		if len(models) > 1 {
			name += []string{"_a", "_b"}[at]
		}
		put(name, c.Answers[i].Of[q.ID].Turns())
	}
	if q.NeedsReference() {
		for i, text := range c.References.Of[q.ID].Turns()[:turn] {
			v["ref_answer_"+strconv.Itoa(i+1)] = text
		}
	}
	return v
}
