package experiment

import (
	"path/filepath"
	"strings"

	"steplm/model/checkpoint"
	"steplm/stage/harness"
	"steplm/stage/results"
)

// TasksFile is the table of what models scored in downstream tasks.
const TasksFile = "tasks.csv"

// Tasks are what the models of all runs scored that were evaluated, variant by variant and seed by seed.
func (f *Folder) Tasks() (list []results.Task, err error) {
	if f.File.Evaluate == nil || f.File.Evaluate.Tasks == nil {
		return nil, nil
	}
	for i, v := range f.Variants {
		lr, err := f.Choice(i)
		if err != nil {
			continue // results.csv says why.
		}
		for _, seed := range f.File.Seeds {
			r := f.Final(i, seed, lr)
			for j, m := range f.File.Evaluate.Models(f.At(r), r.Spec.Model.Init) {
				if noted, err := f.File.Evaluate.Noted(m.Folder); err != nil || !noted {
					continue // It is asked yet, or anew.
				}
				row := results.Task{Experiment: f.File.Name, Run: r.Name, Model: results.Trained, Variant: v.Label,
					Seed: seed}
				if j > 0 {
					row.Model = results.Before
				}
				scored, err := scoresOf(m.Folder, row)
				if err != nil {
					return nil, err
				}
				list = append(list, scored...)
			}
		}
	}
	return list, nil
}

// scoresOf are what a folder has, each as a row with what it has besides.
func scoresOf(folder string, row results.Task) (list []results.Task, err error) {
	s, there, err := harness.ReadScores(folder)
	if err != nil || !there {
		return nil, err
	}
	scores, err := s.Table()
	if err != nil {
		return nil, err
	}
	for _, x := range scores {
		row.Task, row.Metric, row.Value, row.StdErr, row.Chance = x.Task, x.Metric, x.Value, x.StdErr, x.Chance
		row.Documents, row.Shots, row.Context = x.Documents, x.Shots, x.Context
		row.Cut, row.LeftOut = s.Cut[x.Task], s.LeftOut[x.Task]
		list = append(list, row)
	}
	return list, nil
}

// WriteTasks writes the table, where the experiment asks tasks.
func (f *Folder) WriteTasks() error {
	if f.File.Evaluate == nil || f.File.Evaluate.Tasks == nil {
		return nil
	}
	list, err := f.Tasks()
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := results.WriteTasks(&text, list); err != nil {
		return err
	}
	return checkpoint.WriteFile(filepath.Join(f.Dir, TasksFile), []byte(text.String()))
}
