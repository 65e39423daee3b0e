package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/model/checkpoint"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/results"
)

// What an experiment's folder holds, besides what its command prepares.
const (
	DeclaredFile = "experiment.json" // what is run, with where its data lie
	StateFile    = "state.json"
	ResultsFile  = "results.csv"
	RunsDir      = "runs"
)

// State is what an experiment's folder remembers that its runs' folders cannot tell.
type State struct {
	// Inputs are identities of what runs read, by what it is: an experiment never goes on with others.
	Inputs  map[string]string `json:"inputs"`
	Choices []Choice          `json:"choices"`
	// Failures are those of runs that left no word of their end, by name.
	Failures map[string]Failure `json:"failures"`
}

// Choice is the learning rate of a variant, and what it was chosen from.
type Choice struct {
	Variant string  `json:"variant"`
	LR      float64 `json:"lr"`
	Tried   []Tried `json:"tried"`
}

// Tried is a learning rate that was tried.
type Tried struct {
	LR     float64        `json:"lr"`
	Run    string         `json:"run"`
	Status results.Status `json:"status"`
	// ValidationPerplexity is what it ended with; nil: it diverged.
	ValidationPerplexity *float64 `json:"validation_perplexity"`
}

// Failure is why a run is not done.
type Failure struct {
	Status results.Status `json:"status"`
	Error  string         `json:"error"`
}

// Folder is an experiment on disk.
type Folder struct {
	*Experiment
	Dir   string
	State State

	over    map[string]results.Row // of runs that ended
	reading bool                   // nothing is written into it
}

// ReadFile reads an experiment's file; one that is no experiment says what it is.
func ReadFile(path string) (File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return File{}, err
	}
	f, err := Read(text)
	if err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// ReadState reads what a folder remembers; nothing where it is new.
func ReadState(dir string) (s State, err error) {
	path := filepath.Join(dir, StateFile)
	text, err := os.ReadFile(path)
	if err == nil {
		if err = strict(text, &s); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if s.Inputs == nil {
		s.Inputs = map[string]string{}
	}
	if s.Failures == nil {
		s.Failures = map[string]Failure{}
	}
	return s, err
}

// Open is an experiment in a folder with what it remembers.
func Open(dir string, e *Experiment) (*Folder, error) {
	s, err := ReadState(dir)
	if err != nil {
		return nil, err
	}
	return &Folder{Experiment: e, Dir: dir, State: s, over: map[string]results.Row{}}, nil
}

// Same refuses inputs that are not those with which the folder was begun, and remembers them where it is new.
func (s *State) Same(dir string, inputs map[string]string) error {
	for _, what := range slices.Sorted(maps.Keys(inputs)) {
		if was, ok := s.Inputs[what]; ok && was != inputs[what] {
			return fmt.Errorf("%s was begun with another %s: its content was %s and is %s; its runs would not be "+
				"comparable, begin another folder", dir, what, was, inputs[what])
		}
		s.Inputs[what] = inputs[what]
	}
	return nil
}

// Save writes what the folder remembers.
func (f *Folder) Save() error {
	if f.reading {
		return nil
	}
	return WriteState(f.Dir, f.State)
}

// WriteState writes what a folder remembers, whole or not at all.
func WriteState(dir string, s State) error { return writeJSON(filepath.Join(dir, StateFile), s) }

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return checkpoint.WriteFile(path, append(text, '\n'))
}

// At is the folder of a run.
func (f *Folder) At(r Run) string { return filepath.Join(f.Dir, RunsDir, r.Name) }

// Row is what there is to say of a run.
func (f *Folder) Row(r Run) results.Row {
	row, ok := f.over[r.Name]
	if !ok {
		row = f.look(r)
	}
	if row.Status == results.Done && r.Trial {
		row.Status = results.Selection
	}
	return row
}

// look is Row's of a run whose folder is to be read.
func (f *Folder) look(r Run) results.Row {
	row := results.Of(f.At(r))
	row.Experiment = f.File.Name
	failure, failed := f.State.Failures[r.Name]
	if failed && (row.Status == results.Missing || row.Status == results.Unfinished) {
		row.Status, row.Problem = failure.Status, failure.Error
	}
	if row.Method == "" { // Its folder says nothing; what it was to be is known.
		row = f.planned(row, r)
	}
	if row.Problem == "" {
		row.Problem = f.otherRecipe(r)
	}
	if row.Status.Over() {
		f.over[r.Name] = row
	}
	return row
}

// otherRecipe says in what the recipe of a run that is there differs from what its Spec makes now, which is another
// where versions of the program differ in what they take by default; "" where it does not. What depends on more than
// the Spec, on a memory limit or on the model that it begins with, is not compared.
func (f *Folder) otherRecipe(r Run) string {
	text, _, err := record.RecipeText(f.At(r))
	if err != nil || r.Spec.Memory.MemoryLimit > 0 || r.Spec.Model.Init != "" {
		return ""
	}
	there, _, err := recipe.Decode(text)
	if err != nil {
		return ""
	}
	now, err := f.Recipe(r)
	if err != nil {
		return ""
	}
	now.Data, now.Earlier = there.Data, there.Earlier
	if d := now.Differences(there); d != "" {
		return fmt.Sprintf("another version of the program began it by another recipe: %s; remove %s to train it by "+
			"this version's", d, f.At(r))
	}
	return ""
}

// planned is the row of a run that left nothing, with what its Spec says.
func (f *Folder) planned(row results.Row, r Run) results.Row {
	row.Run = r.Name
	made, err := f.Recipe(r)
	if err == nil {
		row = results.Planned(row, made)
	}
	return row
}

// Forget has a run's row looked up anew, and no failure of it remembered.
func (f *Folder) Forget(r Run) {
	delete(f.over, r.Name)
	delete(f.State.Failures, r.Name)
}

// Choice is the learning rate that a variant takes: 0 while none is chosen, or where it has one of its own. The first
// time that all runs that try one ended it is chosen, and kept. It is an error if none of them gave a number, and if
// one failed, since it may not fail the next time.
func (f *Folder) Choice(variant int) (lr float64, err error) {
	from := f.Variants[variant].Chose
	if from < 0 {
		return 0, nil
	}
	label := f.Variants[from].Label
	for _, c := range f.State.Choices {
		if c.Variant == label && f.sameTrials(c, from) {
			return c.LR, nil
		}
	}
	c, best := Choice{Variant: label}, math.Inf(1)
	var failed []string
	for _, r := range f.Sought(from) {
		row := f.Row(r)
		t := Tried{LR: r.Spec.Schedule.LR[0], Run: r.Name, Status: row.Status}
		switch p := row.ValidationPerplexity; {
		case row.Status == results.Failed || row.Status == results.Damaged || row.Status == results.Version:
			failed = append(failed, r.Name)
		case !row.Status.Over():
			return 0, nil
		case row.Status == results.Selection && !math.IsNaN(p):
			t.ValidationPerplexity = &p
			if p < best {
				best, c.LR = p, t.LR
			}
		}
		c.Tried = append(c.Tried, t)
	}
	if len(failed) > 0 {
		return 0, fmt.Errorf("no learning rate is chosen for %s before %s ended without a failure", label,
			strings.Join(failed, ", "))
	}
	if c.LR == 0 {
		return 0, fmt.Errorf("none of the learning rates of %s gave a perplexity", label)
	}
	f.State.Choices = append(slices.DeleteFunc(f.State.Choices, func(x Choice) bool { return x.Variant == label }), c)
	return c.LR, f.Save()
}

// Next is the run that is to begin, to go on or to be evaluated now: of those that are neither over nor taken the
// first, so that all variants of the first seed are there before one of the second. It is false where there is none, at
// least until what is taken has ended.
func (f *Folder) Next(taken func(Run) bool) (Run, bool) {
	due := func(r Run) bool {
		if taken(r) {
			return false
		}
		row := f.Row(r)
		return !row.Status.Over() || row.Status == results.Failed || !f.evaluated(r, row)
	}
	for _, seed := range f.File.Seeds {
		for i, v := range f.Variants {
			if v.Chose >= 0 && seed == f.File.Seeds[0] {
				for _, r := range f.Sought(v.Chose) {
					if due(r) {
						return r, true
					}
				}
			}
			lr, err := f.Choice(i)
			if err != nil || lr == 0 && v.Chose >= 0 {
				continue // Its row says why.
			}
			if r := f.Final(i, seed, lr); due(r) {
				return r, true
			}
		}
	}
	return Run{}, false
}

// VariantRows are the rows of a variant.
type VariantRows struct {
	Trials []results.Row // of the runs that chose its learning rate, but for the chosen one where it is a result too
	Finals []results.Row // one a seed
}

// Rows are those of all runs, variant by variant.
func (f *Folder) Rows() (list []VariantRows) {
	for i := range f.Variants {
		var v VariantRows
		finals := map[string]bool{}
		for _, seed := range f.File.Seeds {
			row := f.rowOf(i, seed)
			finals[row.Run] = true
			v.Finals = append(v.Finals, row)
		}
		for _, r := range f.Sought(i) {
			if !finals[r.Name] {
				v.Trials = append(v.Trials, f.Row(r))
			}
		}
		list = append(list, v)
	}
	return list
}

// All are the rows of every variant: those that chose its learning rate, then those whose result counts.
func All(list []VariantRows) (rows []results.Row) {
	for _, v := range list {
		rows = append(append(rows, v.Trials...), v.Finals...)
	}
	return rows
}

// rowOf is the row of a variant's run with a seed.
func (f *Folder) rowOf(variant int, seed uint64) results.Row {
	lr, err := f.Choice(variant)
	r := f.Final(variant, seed, lr)
	if err == nil && (lr > 0 || f.Variants[variant].Chose < 0) {
		return f.Row(r)
	}
	row := f.planned(results.Nothing(), r)
	row.Experiment, row.Run, row.LR = f.File.Name, fmt.Sprintf("%s-s%d", f.Variants[variant].Label, seed), nil
	if row.Problem = "its learning rate is not chosen yet"; err != nil {
		row.Status, row.Problem = results.Failed, err.Error()
	}
	return row
}

// WriteResults writes the table; stable is results.WriteCSV's.
func (f *Folder) WriteResults(stable bool) error {
	var text strings.Builder
	if err := results.WriteCSV(&text, All(f.Rows()), stable); err != nil {
		return err
	}
	return checkpoint.WriteFile(filepath.Join(f.Dir, ResultsFile), []byte(text.String()))
}

// Work is the operations of the runs that are over, and of all, with what measuring them at their end takes.
func (f *Folder) Work() (done, all float64, err error) {
	for i, rows := range f.Rows() {
		count := func(rows []results.Row, runs []Run) {
			effort, effortErr := f.Effort(runs[0])
			err = errors.Join(err, effortErr)
			for j, r := range rows {
				all += effort.All()
				switch over := r.Status.Over(); {
				case over && f.evaluated(runs[j], r):
					done += effort.All()
				case over:
					done += effort.All() - effort.Asking
				}
			}
		}
		if len(rows.Trials) > 0 {
			count(rows.Trials, f.trialsBeside(i, rows))
		}
		lr, choiceErr := f.Choice(i)
		if choiceErr != nil {
			lr = 0
		}
		var runs []Run
		for _, seed := range f.File.Seeds {
			runs = append(runs, f.Final(i, seed, lr))
		}
		count(rows.Finals, runs)
	}
	return done, all, err
}

// trialsBeside are the runs of a variant's rows of trials.
func (f *Folder) trialsBeside(variant int, rows VariantRows) (list []Run) {
	for _, r := range f.Sought(variant) {
		if slices.ContainsFunc(rows.Trials, func(row results.Row) bool { return row.Run == r.Name }) {
			list = append(list, r)
		}
	}
	return list
}

// Effort is the operations of a run: of its training, and about of measuring it at its end and of evaluating it.
type Effort struct {
	Training, Token float64 // Token is for each that is scored
	Tokens          int64   // that are scored at most
	Asking          float64 // of its evaluation
}

// All is everything.
func (e Effort) All() float64 { return e.Training + e.Token*float64(e.Tokens) + e.Asking }

// Effort is that of a run.
func (e *Experiment) Effort(of Run) (effort Effort, err error) {
	s := of.Spec
	r, err := e.recipe(s)
	if err != nil {
		return effort, err
	}
	if effort.Training, err = r.FLOPs(); err != nil {
		return effort, err
	}
	effort.Token = effort.Training / float64(int64(r.Steps())*r.TokensPerStep()) / 3 // forward of forward and backward
	effort.Tokens = s.Evaluation.FinalEvalTokens * int64(s.Evaluation.Sets(s.Data))
	if !of.Trial {
		effort.Asking = e.asking(s, effort.Token)
	}
	return effort, nil
}
