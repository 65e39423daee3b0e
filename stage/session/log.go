package session

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"steplm/model"
	"steplm/stage"
	"steplm/stage/logs"
	"steplm/stage/record"
)

// checkLog refuses a format that there is not.
func (o Output) checkLog() error {
	for _, name := range o.Log {
		if slices.Contains(logs.Names(), name) {
			continue
		}
		why := "there are " + strings.Join(logs.Names(), ", ")
		if near := model.Nearest(name, logs.Names()); len(near) > 0 {
			why = "did you mean " + strings.Join(near, " or ") + "?"
		}
		return badOption("log", name, "%s", why)
	}
	return nil
}

// log is the run's log in the formats that are asked for.
func (s *Session) log(warn func(string)) (*logs.Log, error) {
	dir := s.Spec.Output.Out
	if warn == nil {
		warn = func(string) {}
	}
	text, err := json.Marshal(s.Spec)
	if err != nil {
		return nil, err
	}
	r := logs.Run{
		Dir: dir, Name: dir, Steps: s.Recipe.Steps(), Batch: s.Recipe.Batch.Batch,
		SaveEvery: s.Spec.Output.SaveEvery, EvalEvery: s.Spec.Evaluation.EvalEvery,
	}
	if absolute, err := filepath.Abs(dir); err == nil {
		r.Name = filepath.Base(absolute)
	}
	if err := json.Unmarshal(text, &r.Config); err != nil {
		return nil, err
	}
	return logs.Open(r, s.Spec.Output.Log, warn)
}

// logged is a report that a log hears, too.
func logged(report stage.Report, log *logs.Log) stage.Report {
	step, event := report.Step, report.Event
	report.Step = func(m record.Metrics) {
		log.Event(m)
		if step != nil {
			step(m)
		}
	}
	report.Event = func(e record.Event) {
		log.Event(e)
		if event != nil {
			event(e)
		}
	}
	return report
}
