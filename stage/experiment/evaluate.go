package experiment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"steplm/internal/disk"
	"steplm/stage/harness"
	"steplm/stage/results"
	"steplm/stage/session"
)

// Evaluate is what trained models are asked.
type Evaluate struct {
	Tasks *Tasks `json:"tasks,omitempty"` // nil: none
	// MTBench, unless nil, is how MT-Bench's questions are answered.
	MTBench *MTBench `json:"mtbench,omitempty"`
	// Before: the models are asked too with which runs begin.
	Before bool `json:"before,omitempty"`
}

// Tasks are the downstream tasks, as harness has them. Where a run begins with a model, both are asked with as many
// positions as the one has that has fewer, so that a longer window alone makes no difference.
type Tasks struct {
	Names []string `json:"names"`
	Data  string   `json:"data,omitempty"`        // the folder of their files; "": the hub's
	Limit int      `json:"limit,omitempty"`       // documents of each, the first; 0: all
	Shots int      `json:"num_fewshot,omitempty"` // documents shown with their answers
}

// MTBench is how its questions are answered.
type MTBench struct {
	Questions string `json:"questions,omitempty"` // FastChat's file; "": none are asked
	Limit     int    `json:"limit,omitempty"`     // questions, the first; 0: all
	Template  string `json:"template"`            // what they are put into
	MaxTokens int    `json:"max_tokens"`          // of an answer, at most
}

// What the folder of a model that was evaluated holds: a run's own, or BeforeDir of it for the model that the run began
// with.
const (
	EvaluatedFile = "evaluated.json"
	BeforeDir     = "before"
	AnswersDir    = "mtbench" // files of answers, called by the model
)

// check refuses what nothing could be asked by.
func (e Evaluate) check(f File) error {
	switch t, m := e.Tasks, e.MTBench; {
	case t == nil && m == nil:
		return errors.New("evaluate: neither tasks nor mtbench is there, and so nothing to ask")
	case t != nil && len(t.Names) == 0:
		return errors.New("evaluate.tasks.names: there are none")
	case t != nil && (t.Limit < 0 || t.Shots < 0):
		return fmt.Errorf("evaluate.tasks: limit %d and num_fewshot %d must be 0 or more", t.Limit, t.Shots)
	case m != nil && m.Template == "":
		return errors.New("evaluate.mtbench.template: it is missing, what questions are put into")
	case m != nil && (m.MaxTokens < 1 || m.Limit < 0):
		return fmt.Errorf("evaluate.mtbench: max_tokens %d must be 1 or more, and limit %d 0 or more", m.MaxTokens,
			m.Limit)
	}
	if e.Tasks != nil {
		if _, err := harness.Find(e.Tasks.Names); err != nil {
			return fmt.Errorf("evaluate.tasks.names: %w", err)
		}
	}
	base, err := f.BaseSpec()
	if err != nil {
		return err
	}
	if e.Before && !f.Begins() && base.Model.Init == "" {
		return errors.New("evaluate.before: runs begin with no model: leave it out")
	}
	return nil
}

// Asks are what a model is asked that has no answer yet.
func (e Evaluate) Asks() (tasks *Tasks, questions *MTBench) {
	if e.MTBench != nil && e.MTBench.Questions != "" {
		questions = e.MTBench
	}
	return e.Tasks, questions
}

// noted is what was asked, without where it lay.
type noted struct {
	Tasks   *Tasks   `json:"tasks,omitempty"`
	MTBench *MTBench `json:"mtbench,omitempty"`
	// Scores is the SHA-256 of the file of scores, which another evaluation of the same model takes the place of.
	// Earlier versions wrote none.
	Scores string `json:"scores,omitempty"`
}

// Note writes into a model's folder that it was asked all this.
func (e Evaluate) Note(folder string) (err error) {
	n := e.noted()
	if n.Scores, err = scoresHash(folder); err != nil {
		return err
	}
	return writeJSON(filepath.Join(folder, EvaluatedFile), n)
}

// NoteTasks writes into a model's folder that it was asked the tasks, whatever else it is asked next.
func (e Evaluate) NoteTasks(folder string) error { return Evaluate{Tasks: e.Tasks}.Note(folder) }

// Noted reports whether a model's folder says that it was asked all this, and has the scores that this came to.
func (e Evaluate) Noted(folder string) (bool, error) { return e.says(folder, false) }

// TasksNoted is Noted of the tasks alone, whatever else the model was asked.
func (e Evaluate) TasksNoted(folder string) (bool, error) { return e.says(folder, true) }

func (e Evaluate) says(folder string, tasksAlone bool) (bool, error) {
	path := filepath.Join(folder, EvaluatedFile)
	text, err := os.ReadFile(path)
	if disk.Missing(err) {
		return false, nil
	}
	var there noted
	var plain bytes.Buffer
	if err == nil {
		err = errors.Join(json.Unmarshal(text, &there), json.Compact(&plain, text))
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	n := e.noted()
	if tasksAlone {
		n.MTBench = there.MTBench
	}
	if there.Scores != "" {
		if n.Scores, err = scoresHash(folder); err != nil {
			return false, err
		}
	}
	want, err := json.Marshal(n) // A field that this version does not know makes a difference, too.
	return bytes.Equal(plain.Bytes(), want), err
}

// scoresHash is of a folder's file of scores; "": there is none.
func scoresHash(folder string) (string, error) {
	hash, err := disk.Hash(filepath.Join(folder, harness.ScoresFile))
	if disk.Missing(err) {
		return "", nil
	}
	return hash, err
}

// noted is what is asked, without scores.
func (e Evaluate) noted() (n noted) {
	tasks, questions := e.Asks()
	if tasks != nil {
		t := *tasks
		t.Data, n.Tasks = "", &t
	}
	if questions != nil {
		m := *questions
		m.Questions, n.MTBench = "", &m
	}
	return n
}

// Asked is a model that is evaluated.
type Asked struct {
	Model  string // as session.FindModel finds it
	Folder string // where what it came to is kept
	Name   string // of its file of answers
}

// Models are those that are asked of a run in a folder, which began with a model or with none: "".
func (e Evaluate) Models(run, init string) []Asked {
	list := []Asked{{run, run, filepath.Base(run)}}
	if e.Before && init != "" {
		list = append(list, Asked{init, filepath.Join(run, BeforeDir), filepath.Base(init)})
	}
	return list
}

// A guess at what evaluating takes, for who wonders how long. Tokens that are read count one each.
const (
	taskDocuments = 1500 // of a task that is asked whole
	taskTokens    = 120  // of a document, with its choices and what is not read twice
	turns         = 160  // of all 80 questions
	promptTokens  = 100
	// generatedTokens is how many that are read cost as much as one that is generated, several at once: it was measured
	// with a model of 1M parameters on two CPU cores.
	generatedTokens = 10
)

// Tokens is about how many are read by one model's evaluation: for tasks and for answers.
func (e Evaluate) Tokens() (tasks, answers int64) {
	t, m := e.Asks()
	if t != nil {
		documents := taskDocuments
		if t.Limit > 0 {
			documents = min(t.Limit, taskDocuments)
		}
		tasks = int64(len(t.Names) * documents * taskTokens * (1 + t.Shots))
	}
	if m != nil {
		n := turns
		if m.Limit > 0 {
			n = min(2*m.Limit, turns)
		}
		answers = int64(n * (promptTokens + m.MaxTokens*generatedTokens))
	}
	return tasks, answers
}

// evaluated reports whether nothing is left to ask of a run that is done.
func (f *Folder) evaluated(r Run, row results.Row) bool {
	e := f.File.Evaluate
	if e == nil || r.Trial || row.Status != results.Done {
		return true
	}
	for _, m := range e.Models(f.At(r), r.Spec.Model.Init) {
		if noted, err := e.Noted(m.Folder); err != nil || !noted {
			return false
		}
	}
	return true
}

// Unevaluated is the run of a row where it is done and its model has not been asked everything.
func (f *Folder) Unevaluated() (list []Run) {
	for i := range f.Variants {
		lr, err := f.Choice(i)
		if err != nil || lr == 0 && f.Variants[i].Chose >= 0 {
			continue // Its runs are not known yet.
		}
		for _, seed := range f.File.Seeds {
			r := f.Final(i, seed, lr)
			if row := f.Row(r); row.Status == results.Done && !f.evaluated(r, row) {
				list = append(list, r)
			}
		}
	}
	return list
}

// asking is the operations of evaluating a run.
func (e *Experiment) asking(s session.Spec, token float64) float64 {
	x := e.File.Evaluate
	if x == nil {
		return 0
	}
	tasks, answers := x.Tokens()
	return token * float64(tasks+answers) * float64(len(x.Models("", s.Model.Init)))
}
