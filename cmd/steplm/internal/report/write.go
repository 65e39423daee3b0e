package report

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"steplm/cmd/steplm/internal/chart"
	"steplm/internal/disk"
	"steplm/stage/experiment"
	"steplm/stage/record"
	"steplm/stage/results"
)

// Files of a report.
const (
	PageFile     = "index.html"
	MarkdownFile = "report.md"
)

// Write writes the report into a folder, which is made where there is none: each file appears whole or not at all.
func (r *Report) Write(folder string) error {
	if record.HoldsRun(folder) || exists(filepath.Join(folder, experiment.RunsDir)) {
		return fmt.Errorf("%s holds a run or an experiment, whose files the report's must not take the place of: "+
			"name another folder", folder)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{PageFile, func(w io.Writer) error { return r.writeHTML(w, folder) }},
		{MarkdownFile, func(w io.Writer) error { return r.writeMarkdown(w, folder) }},
		{experiment.ResultsFile, func(w io.Writer) error { return results.WriteCSV(w, r.rows(), false) }},
	} {
		if err := chart.Save(filepath.Join(folder, f.name), f.write); err != nil {
			return err
		}
	}
	page := filepath.Join(folder, AnswersFile)
	if said, _ := r.speakers(); len(said) == 0 { // An earlier report's would not belong to this one.
		if err := os.Remove(page); !disk.Missing(err) {
			return err
		}
		return nil
	}
	return chart.Save(page, r.writeAnswers)
}

// Count is of how many runs the report is.
func (r *Report) Count() int { return len(r.runs) }
