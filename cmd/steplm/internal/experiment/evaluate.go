package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/measure"
	"steplm/cmd/steplm/internal/mtbench"
	"steplm/cmd/steplm/internal/speak"
	"steplm/stage/experiment"
	"steplm/stage/harness"
	mt "steplm/stage/mtbench"
	"steplm/stage/session"
)

// evaluating is a run's evaluation under way: of how much of it how much is done, in tokens as Evaluate guesses them.
type evaluating struct {
	*RunCmd
	ask  asked
	tell *teller
	all  float64
	done float64 // of the parts before this one
	told time.Time
}

// evaluate asks a run's model, and the one before it, what was not asked yet. Each part keeps what it has, so that it
// may be stopped at any time.
func (c *RunCmd) evaluate(ctx context.Context, ask asked, t *teller) error {
	run := ask.Spec.Output.Out
	held, err := hold(ctx, run, time.Now().Add(heldAtMost), t)
	if err != nil {
		return err
	}
	defer held.Close()
	models := ask.Evaluate.Models(run, ask.Spec.Model.Init)
	tasks, answers := ask.Evaluate.Tokens()
	e := &evaluating{RunCmd: c, ask: ask, tell: t, all: float64(tasks+answers) * float64(len(models))}
	positions, err := fewestPositions(ask.models())
	if err != nil {
		return err
	}
	for _, m := range models {
		noted, err := ask.Evaluate.Noted(m.Folder)
		if err != nil {
			return err
		}
		if !noted {
			if err := e.model(ctx, m, positions); err != nil {
				return err
			}
		}
		e.done += float64(tasks + answers)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// model asks one model.
func (e *evaluating) model(ctx context.Context, m experiment.Asked, positions int) error {
	if err := os.MkdirAll(m.Folder, 0o755); err != nil {
		return err
	}
	if e.before(m) {
		kept := e.keptOf(m)
		if err := os.MkdirAll(kept, 0o755); err != nil {
			return err
		}
		held, err := hold(ctx, kept, noLimit, e.tell)
		if err != nil {
			return err
		}
		defer held.Close()
	}
	done := e.done
	defer func() { e.done = done }()
	tasks, questions := e.ask.Evaluate.Asks()
	if tasks != nil {
		if err := e.tasks(ctx, m, *tasks, positions); err != nil {
			return fmt.Errorf("tasks of %s: %w", m.Name, err)
		}
	}
	n, _ := e.ask.Evaluate.Tokens()
	e.done += float64(n)
	if questions != nil && ctx.Err() == nil {
		if err := e.answers(ctx, m, *questions); err != nil {
			return fmt.Errorf("MT-Bench's answers of %s: %w", m.Name, err)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.ask.Evaluate.Note(m.Folder)
}

// models are a run's own and the one that it began with, where it began with one.
func (a asked) models() []string {
	if a.Spec.Model.Init == "" {
		return []string{a.Spec.Output.Out}
	}
	return []string{a.Spec.Output.Out, a.Spec.Model.Init}
}

// fewestPositions is how many positions the model has that has fewest.
func fewestPositions(models []string) (n int, err error) {
	for _, m := range models {
		t, err := session.FindModel(m)
		if err != nil {
			return 0, err
		}
		if have := t.Layout.MaxSeqLen; n == 0 || have < n {
			n = have
		}
	}
	return n, nil
}

// journalDir is where answers to tasks are kept until all are there, in a model's folder; or for good in that of the
// experiment, with those to MT-Bench, of the models with which runs begin, since several may begin with one.
const journalDir = "answers"

// before reports whether a model is the one with which the run began.
func (e *evaluating) before(m experiment.Asked) bool { return m.Model == e.ask.Spec.Model.Init }

// kept is where the answers are of the models with which the experiment's runs begin.
func (e *evaluating) kept() string {
	return filepath.Join(filepath.Dir(filepath.Dir(e.ask.Spec.Output.Out)), journalDir)
}

// keptOf is the folder of one of them, which one process at a time asks: another that waited finds its answers.
func (e *evaluating) keptOf(m experiment.Asked) string { return filepath.Join(e.kept(), m.Name) }

// tasks has a model score them, unless it did: then its folder says so, though the answers to MT-Bench are yet to come,
// or were asked for later.
func (e *evaluating) tasks(ctx context.Context, m experiment.Asked, t experiment.Tasks, positions int) error {
	journal, before := filepath.Join(m.Folder, journalDir), e.before(m)
	if before {
		journal = e.kept()
	}
	noted, err := e.ask.Evaluate.TasksNoted(m.Folder)
	if err == nil && !noted {
		err = e.score(ctx, m, t, positions, journal)
	}
	if err != nil || before {
		return err
	}
	return os.RemoveAll(journal)
}

// score asks a model tasks, notes what it scored, and leaves its answers in a journal.
func (e *evaluating) score(ctx context.Context, m experiment.Asked, t experiment.Tasks, positions int,
	journal string) error {
	all, _ := e.ask.Evaluate.Tokens()
	f := measure.TaskFlags{Tasks: t.Names, NumFewshot: t.Shots, FewshotSeed: harness.Seed, Limit: t.Limit,
		MaxLength: positions, LeaveOutLong: true, Bootstrap: harness.Resamples, Cache: journal,
		Keep: func(*harness.Journal) {}}
	f.Watch = func(p harness.Progress) {
		e.say("ask tasks of "+m.Name, float64(all)*float64(p.Tokens)/float64(max(p.AllTokens, 1)))
	}
	if t.Data != "" {
		f.Data = []string{t.Data}
	}
	e.say("read the tasks", 0)
	s, err := f.Score(ctx, flags.LoadFlags{Model: m.Model, DeviceFlag: e.DeviceFlag})
	if err == nil {
		err = s.Write(m.Folder)
	}
	if err != nil {
		return err
	}
	return e.ask.Evaluate.NoteTasks(m.Folder)
}

// answers has a model answer MT-Bench's questions. What one answers with which runs begin is kept for the next run that
// does.
func (e *evaluating) answers(ctx context.Context, m experiment.Asked, q experiment.MTBench) error {
	_, all := e.ask.Evaluate.Tokens()
	file := filepath.Join(m.Folder, experiment.AnswersDir, m.Name+".jsonl")
	const slots = 8 // questions at once
	c := mtbench.AnswersCmd{Flags: speak.Flags{NewestFlags: flags.NewestFlags{Model: m.Model,
		DeviceFlag: e.DeviceFlag}, TuneFlags: e.TuneFlags}, Questions: q.Questions, Answers: file,
		Template: q.Template, MaxTokens: q.MaxTokens, Limit: q.Limit, Slots: slots, Anew: true}
	c.Watch = func(turns, of int) {
		e.say("answer MT-Bench as "+m.Name, float64(all)*float64(turns)/float64(max(of, 1)))
	}
	if !e.before(m) {
		return c.Run(ctx)
	}
	c.Answers = filepath.Join(e.keptOf(m), m.Name+".jsonl")
	if err := c.Run(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return mt.CopyAnswers(c.Answers, file)
}

// say tells what is done and how much of this part is.
func (e *evaluating) say(what string, part float64) {
	if now := time.Now(); now.Sub(e.told) >= scoredEvery {
		e.told = now
		e.tell.tell(told{Doing: what, Asked: min(1, (e.done+part)/max(e.all, 1))})
	}
}

// errUnasked is of runs that are done and whose models were not asked everything.
var errUnasked = errors.New("its model was not evaluated")
