package session

import (
	"context"
	"fmt"
	"path/filepath"

	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/stage"
	"steplm/stage/eval"
	"steplm/stage/outer"
	"steplm/stage/plan"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/samples"
	"steplm/stage/trainer"
)

// Session is a run that is ready to begin or to go on: everything is read and checked, and nothing is
// written yet.
type Session struct {
	Spec      Spec
	Recipe    recipe.Recipe
	Fitted    *plan.Fitted // to the memory limit; nil: there is none
	Tokenizer *tokenizer.Tokenizer
	Device    gpu.Device
	// Resumed: the run goes on in its folder.
	Resumed bool
	// Peers are the processes with which its rounds are made; nil: it is the only one.
	Peers outer.Peers
	// Reducer is of the processes that train together; nil: this one is alone.
	Reducer *reduce.Reducer

	// meets is of the processes that a launcher started and that make rounds, each with a session, and a folder, of its
	// own; nil: there are none.
	meets *reduce.Reducer
	adds  bool // to a run that goes on, in which this process has no part yet

	documents *tokenizer.Documents // Tokenizer, as it is for documents

	read     input
	identity recipe.Data // what read and Tokenizer are
	batches  batches
	tasks    []eval.Task
	heard    samples.Plan
	longer   bool // the run gets more steps than its folder says
}

// UI is how a session tells what it does besides training: how far slow work has got, and what a
// person should know.
type UI struct {
	// Progress begins to count units up to a total (0: not known).
	Progress func(what string, total int64, unit string) Progress
	Warn     func(text string)
}

// Progress is slow work; Done ends it.
type Progress interface {
	Set(done int64)
	Done()
}

// input is what a run reads: documents or examples.
type input interface {
	identity() string
	// batches hands out a recipe's micro-batches.
	batches(s *Session) (batches, error)
	// heldOut measures on what is kept apart and on validation data.
	heldOut(ctx context.Context, s *Session, ui UI) ([]eval.Task, error)
	// names are those of the sources.
	names() []string
	// steps is how many so many epochs have, at so many micro-batches of a size a step.
	steps(s *Session, epochs int) (int, error)
	close()
}

// batches is what hands out micro-batches.
type batches interface {
	trainer.Batches
	Close() error
}

// Open reads and checks what a Spec names. The caller closes the session, and the device after it.
func Open(ctx context.Context, dev gpu.Device, spec Spec, ui UI) (*Session, error) {
	return open(ctx, dev, &Session{Spec: spec, Device: dev}, ui)
}

// OpenAmong is Open, or Resume, of a run that several processes train, in each of which a session of the same Spec is
// opened. g is how they meet; the session has it from here on.
func OpenAmong(ctx context.Context, dev gpu.Device, spec Spec, resumed bool, ui UI, g reduce.Group) (*Session, error) {
	o, err := spec.Processes.Options()
	if err != nil {
		return nil, err
	}
	return open(ctx, dev, &Session{Spec: spec, Device: dev, Resumed: resumed, Reducer: reduce.New(g, o)}, ui)
}

func open(ctx context.Context, dev gpu.Device, s *Session, ui UI) (_ *Session, err error) {
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.Spec.takeTokenizer(); err != nil {
		return nil, err
	}
	if err := s.Spec.complete(); err != nil {
		return nil, err
	}
	tok, err := tokenizer.Load(s.Spec.Data.Tokenizer)
	if err != nil {
		return nil, err
	}
	saved := s.Resumed && exists(filepath.Join(s.Spec.Output.Out, record.SpecFile))
	if s.Resumed && !saved { // its version knew of nothing else
		s.Spec.Data.ParseSpecial, s.Spec.Data.DocumentTokens = true, DocumentTokensEOS
	}
	if err := s.chooseTokens(tok); err != nil {
		return nil, err
	}
	if err := s.openInput(ctx, ui); err != nil {
		return nil, err
	}
	if text := s.Spec.Model.ignoredWeights(); text != "" && !s.Resumed {
		ui.Warn(text)
	}
	s.identity = recipe.Data{Train: s.read.identity(), Tokenizer: s.Tokenizer.Hash()}
	if saved {
		err = s.takeRecipe()
	} else {
		err = s.makeRecipe()
	}
	if err != nil {
		return nil, err
	}
	r := s.Recipe
	if s.batches, err = s.read.batches(s); err != nil {
		return nil, err
	}
	if s.Reducer.Leads() { // The others evaluate nothing.
		if s.tasks, err = s.measures(ctx, ui); err != nil {
			return nil, err
		}
	}
	// Before the folder: what cannot be run leaves no trace.
	if err := trainer.CheckFits(dev, r); err != nil {
		return nil, err
	}
	if s.heard, err = s.sampling(); err != nil {
		return nil, err
	}
	if err := trainer.CheckSamples(r, s.heard); err != nil {
		return nil, err
	}
	m := export.Model{Config: r.Model, DType: checkpoint.F32}
	if err := final.Check(m, s.text(), export.Options{}); err != nil {
		return nil, fmt.Errorf("the trained model could not be written as %s: %w", final.Name(), err)
	}
	if s.Resumed {
		stage.RestoreChoices(dev, s.Spec.Output.Out)
	}
	return s, nil
}

// Close ends what is read. The folder is Run's.
func (s *Session) Close() {
	if s.batches != nil {
		s.batches.Close()
	}
	if s.read != nil {
		s.read.close()
	}
}
