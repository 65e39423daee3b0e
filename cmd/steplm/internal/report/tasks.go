package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/cmd/steplm/internal/view"
	"steplm/stage/compare"
	"steplm/stage/harness"
)

// asked is a metric of a task.
type asked struct{ task, metric string }

// find is the score of a metric; NaN: it was not asked.
func (a asked) find(list []harness.Score) harness.Score {
	at := slices.IndexFunc(list, func(s harness.Score) bool { return s.Task == a.task && s.Metric == a.metric })
	if at < 0 {
		nan := math.NaN()
		return harness.Score{Value: nan, StdErr: nan, Chance: nan}
	}
	return list[at]
}

// which of a run's scores: those of its model, or of the one before it.
type which func(*run) []harness.Score

func trainedScores(r *run) []harness.Score { return r.scores }
func beforeScores(r *run) []harness.Score  { return r.before }

// scored are a group's values of a metric, by seed.
func (g *group) scored(a asked, of which) compare.Values {
	v := compare.Values{}
	for _, r := range g.done() {
		if x := a.find(of(r)).Value; !math.IsNaN(x) {
			v[r.Seed] = x
		}
	}
	return v
}

// means are a group's means of the accuracies of tasks, by seed, of runs that were asked all of them.
func (g *group) means(tasks []asked, of which) compare.Values {
	v := compare.Values{}
	for _, r := range g.done() {
		sum := 0.0
		for _, a := range tasks {
			sum += a.find(of(r)).Value / float64(len(tasks))
		}
		if len(tasks) > 0 && !math.IsNaN(sum) {
			v[r.Seed] = sum
		}
	}
	return v
}

// tasks is the table of downstream tasks of a setting: for each method a line of what its models scored, and where they
// began with others one of what these scored; false: nothing was asked. What the same documents say of several seeds is
// not independent: a standard error is the mean of the seeds' errors over documents, not less.
func (s *setting) tasks() (t table, ok bool) {
	columns, accuracies := s.asked()
	if len(columns) == 0 {
		return t, false
	}
	t.Head = []cell{{Text: "method"}, {Text: "model", Tip: "trained, or before: the one that the run began with"},
		{Text: "seeds", Tip: "runs with scores"},
		{Text: "final loss", Tip: "of training, in nats per token: the mean over seeds"},
		{Text: "validation loss", Tip: "likewise, at the end, of what is held out or the validation set"}}
	for _, a := range columns {
		t.Head = append(t.Head, cell{Text: strings.ReplaceAll(a.task+" "+a.metric, "_", " "), Tip: s.askedTip(a)})
	}
	t.Head = append(t.Head, cell{Text: "mean acc", Tip: fmt.Sprintf("of the accuracies of %d tasks, over seeds, ± its "+
		"standard error over documents", len(accuracies))},
		cell{Text: named("Δ "+baseName, s.against),
			Tip: "of the mean, difference of the same seeds: mean [95 % interval]"},
		cell{Text: "Δ before", Tip: "of the mean, likewise, from the model that the run began with"})
	t.Rows = append(t.Rows, s.chance(columns, accuracies))
	for _, g := range s.groups {
		for _, line := range []struct {
			name string
			of   which
		}{{"before", beforeScores}, {"trained", trainedScores}} {
			row := []cell{{Text: g.label}, {Text: line.name}, {}, {Text: none}, {Text: none}}
			if line.name == "trained" {
				row[3], row[4] = g.losses()
			}
			seeds := 0
			for _, a := range columns {
				v := g.scored(a, line.of)
				seeds = max(seeds, len(v))
				row = append(row, g.scoreCell(a, line.of))
			}
			if seeds == 0 {
				continue
			}
			row[2].Text = fmt.Sprint(seeds)
			row = append(row, g.meanOfTasks(accuracies, line.of), cell{Text: none}, cell{Text: none})
			if base := s.base; base != nil && base != g {
				row[len(row)-2] = larger(g.means(accuracies, line.of).Minus(base.means(accuracies, line.of)))
			}
			if line.name == "trained" && len(g.means(accuracies, beforeScores)) > 0 {
				row[len(row)-1] = larger(g.means(accuracies, line.of).Minus(g.means(accuracies, beforeScores)))
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t, true
}

// losses are a group's means of the final training loss and of the loss on what the perplexity is of.
func (g *group) losses() (training, validated cell) {
	text := func(of func(*run) float64) cell {
		return meanCell(g.values(of), func(x float64) string {
			if math.IsNaN(x) {
				return none
			}
			return fmt.Sprintf("%.3f", x)
		})
	}
	return text(func(r *run) float64 { return r.TrainLoss }),
		text(func(r *run) float64 { return math.Log(r.ValidationPerplexity) })
}

// asked lists the metrics of a setting's tasks, and which of them are the accuracies.
func (s *setting) asked() (all, accuracies []asked) {
	for _, g := range s.groups {
		for _, r := range g.done() {
			for _, x := range slices.Concat(r.before, r.scores) {
				a := asked{x.Task, x.Metric}
				if x.Documents == 0 || slices.Contains(all, a) { // perplexities of texts have columns of their own
					continue
				}
				if all = append(all, a); x.Metric == harness.Accuracy {
					accuracies = append(accuracies, a)
				}
			}
		}
	}
	return all, accuracies
}

// askedTip says how a task was asked: of how many documents, and how many requests were cut.
func (s *setting) askedTip(a asked) string {
	var words []string
	for _, g := range s.groups {
		for _, r := range g.done() {
			if x := a.find(r.scores); x.Documents > 0 {
				text := howAsked(x)
				if n := r.cut[a.task]; n > 0 {
					text += fmt.Sprintf("; %s requests were longer and lost their beginning", view.Count(int64(n)))
				}
				if n := r.leftOut[a.task]; n > 0 {
					text += fmt.Sprintf("; %s more were left out, with a choice that is longer",
						view.Count(int64(n)))
				}
				if !slices.Contains(words, text) {
					words = append(words, text)
				}
			}
		}
	}
	return strings.Join(words, ", or ")
}

// howAsked says what scores must have in common that are compared.
func howAsked(x harness.Score) string {
	return fmt.Sprintf("%s documents, %d shots, %d positions", view.Count(int64(x.Documents)), x.Shots, x.Context)
}

// askedText says which tasks were not asked alike of all models, trained or before; "": none.
func (s *setting) askedText() string {
	var names, texts []string
	ways := map[string][]string{} // by task
	for _, g := range s.groups {
		for _, r := range g.done() {
			for _, x := range slices.Concat(r.before, r.scores) {
				switch how := howAsked(x); {
				case x.Documents == 0 || slices.Contains(ways[x.Task], how):
					continue
				case ways[x.Task] == nil:
					names, ways[x.Task] = append(names, x.Task), []string{how}
				default:
					ways[x.Task] = append(ways[x.Task], how)
				}
			}
		}
	}
	for _, name := range names {
		if list := ways[name]; len(list) > 1 {
			texts = append(texts, fmt.Sprintf("Not all models were asked %s alike (%s): their scores, and means with "+
				"them, cannot be compared.", name, strings.Join(list, "; or ")))
		}
	}
	return strings.Join(texts, " ")
}

// chance is the line of who knows nothing.
func (s *setting) chance(columns, accuracies []asked) []cell {
	level := func(a asked) float64 {
		for _, g := range s.groups {
			for _, r := range g.done() {
				if x := a.find(slices.Concat(r.scores, r.before)); !math.IsNaN(x.Chance) {
					return x.Chance
				}
			}
		}
		return math.NaN()
	}
	row := []cell{{Text: "chance", Tip: "who knows nothing"}, {Text: none}, {Text: none}, {Text: none}, {Text: none}}
	for _, a := range columns {
		row = append(row, cell{Text: accuracyText(level(a))})
	}
	sum := 0.0
	for _, a := range accuracies {
		x := level(a)
		if math.IsNaN(x) {
			x = 0 // a word is guessed by nobody
		}
		sum += x / float64(len(accuracies))
	}
	if len(accuracies) == 0 {
		sum = math.NaN()
	}
	return append(row, cell{Text: accuracyText(sum), Tip: "tasks without choices count 0"}, cell{Text: none},
		cell{Text: none})
}

// stderr is the mean over seeds of the errors over documents.
func (g *group) stderr(a asked, of which) (x float64) {
	n := 0.0
	for _, r := range g.done() {
		if s := a.find(of(r)); !math.IsNaN(s.Value) {
			x, n = x+s.StdErr, n+1
		}
	}
	return x / n
}

// scoreCell is a metric's mean over seeds with its error; set off where it is two of them above chance.
func (g *group) scoreCell(a asked, of which) cell {
	v := g.scored(a, of)
	if len(v) == 0 {
		return cell{Text: none}
	}
	x := harness.Score{Value: v.Summary().Mean, StdErr: g.stderr(a, of), Chance: math.NaN()}
	for _, r := range g.done() {
		if s := a.find(of(r)); !math.IsNaN(s.Chance) {
			x.Chance = s.Chance
		}
	}
	if a.metric != harness.Accuracy && math.IsNaN(x.Chance) {
		return cell{Text: perplexityText(x.Value)}
	}
	return scoreCell(x)
}

// meanOfTasks is the mean of accuracies, with its error.
func (g *group) meanOfTasks(tasks []asked, of which) cell {
	v := g.means(tasks, of)
	if len(v) == 0 {
		return cell{Text: none}
	}
	squares := 0.0
	for _, a := range tasks {
		squares += math.Pow(g.stderr(a, of), 2)
	}
	text := accuracyText(v.Summary().Mean)
	if e := math.Sqrt(squares) / float64(len(tasks)); !math.IsNaN(e) {
		text += fmt.Sprintf(" ± %.2g", e)
	}
	return cell{Text: text}
}

func accuracyText(x float64) string {
	if math.IsNaN(x) {
		return none
	}
	return fmt.Sprintf("%.4f", x)
}

// larger is a difference of what is the better the larger it is.
func larger(d compare.Difference) cell {
	c := cell{}.of(d)
	c.Mark = map[string]string{"better": "worse", "worse": "better"}[c.Mark]
	return c
}
