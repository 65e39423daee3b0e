package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/tokens"
	"steplm/cmd/steplm/internal/view"
	"steplm/model/checkpoint"
	"steplm/stage/experiment"
	"steplm/stage/harness"
	"steplm/stage/mtbench"
	"steplm/stage/session"
)

// prepare makes what all runs need, once: the tokenizer and the tokens. What cannot be run is told before that.
func (c *Cmd) prepare(ctx context.Context, file experiment.File) (*experiment.Folder, error) {
	spec, err := file.BaseSpec()
	if err != nil {
		return nil, err
	}
	if len(spec.Data.Train) == 0 {
		return nil, &session.OptionError{Option: "data", Why: "it is missing"}
	}
	if err := spec.Data.Check(); err != nil {
		return nil, err
	}
	if err := experiment.NotOwn(c.Out, file.From); err != nil {
		return nil, err
	}
	counted := &counted{ctx: ctx, known: map[string]*session.Counted{}}
	inputs, trained, err := c.check(ctx, file, &spec, counted)
	if err != nil {
		return nil, err
	}
	state, err := c.begin(file, inputs)
	if err != nil {
		return nil, err
	}
	if trained {
		if err := trainTokenizer(ctx, spec.Data, file.Vocab); err != nil {
			return nil, err
		}
	}
	vocab, hash, err := spec.Data.Vocabulary()
	if err != nil {
		return nil, err
	}
	if err := state.Same(c.Out, map[string]string{"tokenizer": hash}); err != nil {
		return nil, err
	}
	if err := experiment.WriteState(c.Out, state); err != nil {
		return nil, err
	}
	if !spec.Tuning.On() { // Examples are read by each run.
		if spec.Data.Cache, err = filepath.Abs(filepath.Join(c.Out, "tokens")); err != nil {
			return nil, err
		}
		if err := tokenize(ctx, spec.Data); err != nil {
			return nil, err
		}
	}
	if file, err = file.WithData(spec.Data.Tokenizer, spec.Data.Cache); err != nil {
		return nil, err
	}
	made, err := experiment.MakeOf(file, vocab, counted.steps)
	if err != nil {
		return nil, err
	}
	for _, line := range counted.lines {
		say("%s", line)
	}
	return experiment.Open(c.Out, made)
}

// check refuses what cannot be run, and identifies what runs read, by what it is. The Spec gets the path of its
// tokenizer; trained says that it is to be trained.
func (c *Cmd) check(ctx context.Context, file experiment.File, spec *session.Spec, counted *counted) (
	inputs map[string]string, trained bool, err error) {
	vocab, hash := file.Vocab, ""
	if spec.Data.Tokenizer, trained, err = c.tokenizer(file, *spec); err != nil {
		return nil, false, err
	}
	if !trained {
		if vocab, hash, err = spec.Data.Vocabulary(); err != nil {
			return nil, false, err
		}
		if file, err = file.WithData(spec.Data.Tokenizer, ""); err != nil {
			return nil, false, err
		}
	}
	made, err := experiment.MakeOf(file, vocab, counted.steps)
	if err != nil {
		return nil, false, err
	}
	begun, err := made.Begun(spec.Data.Tokenizer, hash)
	if err != nil {
		return nil, false, err
	}
	begunWith, err := experiment.ReadState(c.Out)
	if err != nil {
		return nil, false, err
	}
	questions, err := askedOf(ctx, file, begunWith.Inputs)
	if err != nil {
		return nil, false, err
	}
	if inputs, err = spec.Inputs(ctx, seen()); err != nil {
		return nil, false, err
	}
	maps.Copy(inputs, begun)
	maps.Copy(inputs, questions)
	return inputs, trained, nil
}

// begin begins the experiment's folder, or goes on with it, with the same inputs alone.
func (c *Cmd) begin(file experiment.File, inputs map[string]string) (state experiment.State, err error) {
	if state, err = experiment.ReadState(c.Out); err != nil {
		return state, err
	}
	if err := state.Same(c.Out, inputs); err != nil {
		return state, err
	}
	declared, err := file.Text()
	if err != nil {
		return state, err
	}
	if err := checkpoint.WriteFile(filepath.Join(c.Out, experiment.DeclaredFile), declared); err != nil {
		return state, err
	}
	return state, experiment.WriteState(c.Out, state)
}

// tokenizer is the path of the experiment's, and whether it is to be trained.
func (c *Cmd) tokenizer(file experiment.File, spec session.Spec) (path string, trained bool, err error) {
	switch {
	case file.Begins() && file.From == "":
		return "", false, &session.OptionError{Option: "from",
			Why: "it is missing, the folder of the experiment with whose models the runs begin"}
	case spec.Data.Tokenizer != "":
		return spec.Data.Tokenizer, false, nil
	case file.From != "":
		base, err := experiment.ReadBase(file.From)
		if err != nil {
			return "", false, err
		}
		path, err := base.Tokenizer()
		return path, false, err
	case file.Vocab < 1:
		return "", false, &session.OptionError{Option: "tokenizer", Why: "it is missing, and the experiment does not " +
			"say by tokenizer_vocab how many ids one has that is trained"}
	}
	path, err = filepath.Abs(filepath.Join(c.Out, experiment.TokenizerFile))
	return path, true, err
}

// counted are examples that runs learn from, of each kind once.
type counted struct {
	ctx   context.Context
	known map[string]*session.Counted
	lines []string // that say what is learned from
}

// steps counts those of a run whose length is in epochs.
func (c *counted) steps(s session.Spec) (int, error) {
	key, err := json.Marshal([]any{s.Data, s.Tuning, s.Model, s.Evaluation.Validation})
	if err != nil {
		return 0, err
	}
	x, known := c.known[string(key)]
	if !known {
		if x, err = session.CountExamples(c.ctx, s, seen()); err != nil {
			return 0, err
		}
		c.known[string(key)] = x
		if line := exampleLine(x); !slices.Contains(c.lines, line) {
			c.lines = append(c.lines, line)
		}
	}
	return x.Steps(s), nil
}

// exampleLine says what is learned from.
func exampleLine(x *session.Counted) string {
	text := fmt.Sprintf("%s of at most %s", view.Plural(int64(len(x.Train.Examples)), "example", "examples"),
		view.Plural(int64(x.Train.SeqLen), "token", "tokens"))
	if x.HeldOut != nil {
		text += fmt.Sprintf(", %s kept apart", view.Count(int64(len(x.HeldOut.Examples))))
	}
	return text + "; of the files, " + x.Train.Left.String()
}

// askedOf identifies what models are asked, by what it is. What cannot be had is told before anything is trained: so
// the hub's data sets are fetched, unless they are among what the experiment was begun with.
func askedOf(ctx context.Context, file experiment.File, begunWith map[string]string) (map[string]string, error) {
	e, inputs := file.Evaluate, map[string]string{}
	if e == nil {
		return inputs, nil
	}
	if x := e.Tasks; x != nil {
		tasks, err := harness.Find(x.Names)
		if err != nil {
			return nil, err
		}
		for _, t := range tasks {
			what := "task " + t.Name
			if x.Shots > 0 { // whose files are more
				what += " with shots"
			}
			folder := x.Data
			if _, known := begunWith[what]; folder == "" && known {
				continue
			}
			if folder == "" {
				if folder, _, err = flags.Local(ctx, false, t.Data.Source()); err != nil {
					return nil, fmt.Errorf("%s: %w; --tasks-data names a folder with the files of tasks", t.Name, err)
				}
			}
			folders := []string{folder}
			if err := t.Check(folders, x.Shots); err != nil {
				return nil, err
			}
			if inputs[what], err = t.Identity(folders, x.Shots); err != nil {
				return nil, err
			}
			labels, err := t.LabelsIdentity(folders, x.Shots)
			if err != nil {
				return nil, err
			}
			if labels != "" { // which earlier versions did not note
				inputs["labels of "+what] = labels
			}
		}
	}
	m := e.MTBench
	switch {
	case m == nil:
		return inputs, nil
	case m.Questions == "":
		warn("MT-Bench's questions are not named, and nothing of it is asked: --questions names them, now or when " +
			"the experiment goes on")
		return inputs, nil
	}
	list, err := mtbench.ReadQuestions(m.Questions)
	if err != nil {
		return nil, err
	}
	inputs["questions"], err = mtbench.Identity(list)
	return inputs, err
}

// trainTokenizer trains the experiment's tokenizer, unless it is there.
func trainTokenizer(ctx context.Context, d session.Data, vocab int) error {
	if _, err := os.Stat(d.Tokenizer); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(d.Train) > 1 {
		return &session.OptionError{Option: "tokenizer", Why: "of several sources none is trained: name one"}
	}
	train := tokens.NewTokenizerTrain(d.Train[0], d.TextColumn, vocab, d.Tokenizer)
	return train.Run(ctx)
}

// tokenize keeps the ids of every source.
func tokenize(ctx context.Context, d session.Data) error {
	if d.Stream || d.Holdout > 0 {
		return nil // Runs tokenize what arrives, and what is held out.
	}
	for _, path := range d.Sources() {
		if err := tokens.Tokenize(ctx, d, path, false); err != nil {
			return err
		}
	}
	return nil
}
