package mtbench

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	mt "steplm/stage/mtbench"
	"steplm/stage/record"
)

// ShowCmd adds up judgments.
type ShowCmd struct {
	Judgments string   `required:"" placeholder:"FILE" help:"Judgments, single or pairwise."`
	Questions string   `placeholder:"FILE" help:"FastChat's question.jsonl, for scores by category."`
	Answers   []string `placeholder:"FILE" help:"Files of answers or folders of them, to say by which template they came about."`
	Baseline  string   `placeholder:"NAME" help:"Of pairwise judgments: count those with this model alone, as the others' results against it."`
	Save      string   `placeholder:"RUN" help:"Keep the scores in this run's folder, where report finds them."`
	Model     string   `placeholder:"NAME" help:"The model of --save. Default: the only one there is."`
	JSON      bool     `help:"Print one JSON object."`
}

// Run prints the scores.
func (c *ShowCmd) Run() error {
	if c.Model != "" && c.Save == "" {
		return flags.Usagef("--model %s: it is for --save", c.Model)
	}
	file, err := mt.ReadJudgments(c.Judgments)
	if err != nil {
		return err
	}
	if file.Half {
		warn("the last line of %s is half-written and does not count", c.Judgments)
	}
	templates, err := c.templates()
	if err != nil {
		return err
	}
	if len(file.List) > 0 && len(file.List[0].Models) == 2 {
		return c.pairs(file, templates)
	}
	if c.Baseline != "" {
		return flags.Usagef("--baseline %s: it is for pairwise judgments, those of %s are single", c.Baseline,
			c.Judgments)
	}
	var list []mt.Question
	if c.Questions != "" {
		if list, err = mt.ReadQuestions(c.Questions); err != nil {
			return err
		}
	}
	s, err := mt.NewScores(file, list)
	if err != nil {
		return err
	}
	for i, m := range s.Models {
		s.Models[i].Template = templates[m.Model]
	}
	if err := c.save(s); err != nil {
		return err
	}
	if len(s.Judges) > 1 {
		warn("the judgments are by %s: means over several judges", strings.Join(s.Judges, " and "))
	}
	if s.Repeated > 0 {
		warn("%d judgments are there again: they count each time, as FastChat has them", s.Repeated)
	}
	if c.JSON {
		return view.JSON(s)
	}
	s.Write(os.Stdout, c.Judgments)
	categories(os.Stdout, s)
	var models []string
	failed := 0
	for _, m := range s.Models {
		models = append(models, m.Model)
		failed += m.Failed
	}
	how(os.Stdout, s.Judges, models, templates, failed)
	return nil
}

// templates are those of the models whose answers are named.
func (c *ShowCmd) templates() (map[string]string, error) {
	paths, err := answerFiles(c.Answers)
	if err != nil {
		return nil, err
	}
	list := map[string]string{}
	for _, path := range paths {
		setup, known, err := mt.ReadSetup(path)
		if err != nil {
			return nil, err
		}
		if known {
			list[mt.ModelOf(path)] = setup.Template
		}
	}
	return list, nil
}

// pairs prints the scores of pairwise judgments.
func (c *ShowCmd) pairs(file mt.Judgments, templates map[string]string) error {
	if c.Save != "" {
		return flags.Usagef("--save %s: it is for single judgments, those of %s are pairwise", c.Save, c.Judgments)
	}
	s, err := mt.NewPairScores(file, c.Baseline)
	if err != nil {
		return err
	}
	mode := mt.Pairs
	if c.Baseline != "" {
		mode = mt.Baseline
	}
	var models []string
	for i, m := range s.Models {
		s.Models[i].Template = templates[m.Model]
		models = append(models, m.Model)
	}
	if c.JSON {
		return view.JSON(s)
	}
	s.Write(os.Stdout, c.Judgments, mode)
	how(os.Stdout, s.Judges, models, templates, s.Failed)
	return nil
}

// categories prints the scores by category and turn, which FastChat does not.
func categories(w io.Writer, s mt.Scores) {
	rows := [][]string{{"model", "category", "turn 1", "turn 2", "both", "ratings", "failed"}}
	for _, m := range s.Models {
		for _, c := range m.Categories {
			rows = append(rows, []string{m.Model, c.Category, mark(c.First), mark(c.Second), mark(c.Average),
				fmt.Sprint(c.Average.N), fmt.Sprint(c.Failed)})
		}
	}
	if len(rows) > 1 {
		fmt.Fprintln(w, "\n########## By category ##########")
		view.Table(w, 2, rows)
	}
}

func mark(m mt.Mean) string {
	if math.IsNaN(m.Value) {
		return "-"
	}
	return fmt.Sprintf("%.2f", m.Value)
}

// how says how the scores came about.
func how(w io.Writer, judges, models []string, templates map[string]string, failed int) {
	fmt.Fprintf(w, "\nJudge: %s. %s without rating or winner, left out.\n", strings.Join(judges, ", "),
		view.Plural(int64(failed), "judgment", "judgments"))
	for _, model := range slices.Sorted(slices.Values(models)) {
		switch name := templates[model]; name {
		case "":
			fmt.Fprintf(w, "Template of %s: not known.\n", model)
		case "fastchat-alpaca":
			name += ", FastChat's, which is not the prompt that Alpaca was trained with"
			fallthrough
		default:
			fmt.Fprintf(w, "Template of %s: %s.\n", model, name)
		}
	}
}

// save keeps the scores of one model in a run's folder.
func (c *ShowCmd) save(s mt.Scores) error {
	if c.Save == "" {
		return nil
	}
	if !record.HoldsRun(c.Save) {
		return fmt.Errorf("%s holds no run, whose scores could be kept there", c.Save)
	}
	var names []string
	for _, m := range s.Models {
		names = append(names, m.Model)
	}
	model := c.Model
	if model == "" && len(names) == 1 {
		model = names[0]
	}
	at := slices.Index(names, model)
	if at < 0 {
		return flags.Usagef("--model %q: the judgments are of %s", model, strings.Join(names, ", "))
	}
	s.Models = s.Models[at : at+1]
	return s.Save(c.Save)
}
