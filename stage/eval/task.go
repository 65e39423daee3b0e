package eval

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"steplm/data"
)

// Task is something to measure a model on. It may be run again and again, one run at a time.
type Task interface {
	// Name tells it from the other tasks of a run.
	Name() string
	// Run asks the model its questions.
	Run(ctx context.Context, m Model, o Options) (Result, error)
}

// Source is what a task reads.
type Source struct {
	Name      string       // of the task; "": its kind's
	Path      string       // a directory, a pattern or a file, as data.Open has it
	Files     []string     // that Path stands for; nil: those that are found
	Column    string       // of the rows at Path; "": data.TextColumn
	Shards    *data.Shards // instead of Path, where the rows are open already
	Tokenizer data.Tokenizer
}

// kind makes tasks of one kind.
type kind struct {
	name string
	// open finds what is to be read, so that a wrong path shows before anything is measured.
	open func(Source) (Task, error)
}

// kinds lists the kinds of tasks, each in a file of its own, task_<name>.go.
var kinds = []kind{documentsKind, textKind, wikitextKind}

// Kinds are the names of the kinds of tasks.
func Kinds() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// Open makes a task of a kind, with an end-of-text token between its texts.
func Open(name string, s Source) (Task, error) {
	if s.Name == "" {
		s.Name = name
	}
	if s.Column == "" {
		s.Column = data.TextColumn
	}
	for _, k := range kinds {
		if k.name != name {
			continue
		}
		if s.Tokenizer == nil {
			return nil, errors.New("eval: a task needs a tokenizer")
		}
		return k.open(s)
	}
	return nil, fmt.Errorf("unknown task %q: choose one of %s", name, strings.Join(Kinds(), ", "))
}

// Rows are the source's, open.
func (s Source) Rows() (*data.Shards, error) {
	switch {
	case s.Shards != nil:
		return s.Shards, nil
	case s.Files != nil:
		return data.OpenFiles(s.Path, s.Files, data.OpenOptions{Column: s.Column})
	}
	return data.OpenColumn(s.Path, s.Column)
}
