package session

import (
	"encoding/json"
	"fmt"
	"slices"

	"steplm/model/advice"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/rounds"
)

// optionOuterEvery is what makes a run one of rounds.
const optionOuterEvery advice.Option = "outer_every"

// Host opens a session's run to other processes. Where it listens, by which key, and who hears of it, is run's; the
// rest is the session's. Peers is then the coordinator, which the caller closes.
func (s *Session) Host(addr string, key rounds.Key, run rounds.Run) (*rounds.Coordinator, error) {
	if s.Recipe.Outer == nil {
		return nil, &OptionError{optionOuterEvery, "", "a run that others join has rounds, and this one has none"}
	}
	if err := s.Spec.together(); err != nil {
		return nil, err
	}
	layouts, err := s.Recipe.Layouts()
	if err != nil {
		return nil, err
	}
	run.Hash, run.Outer, run.Layouts = s.Recipe.Hash(), *s.Recipe.Outer, layouts
	if run.Welcome.Recipe, err = json.Marshal(s.Recipe); err != nil {
		return nil, err
	}
	if run.Welcome.Spec, err = json.Marshal(s.shared()); err != nil {
		return nil, err
	}
	if s.Resumed {
		run.Last = lastNumber(s.Spec.Output.Out)
	}
	c, err := rounds.Listen(addr, key, run)
	if err == nil {
		s.Peers = c
	}
	return c, err
}

// lastNumber is the highest number of a process in the rounds of the run in a folder. Each number is an order of the
// data: one that a worker has who comes back later must not be another's. What cannot be read is for Run to tell.
func lastNumber(dir string) (n int) {
	for e, err := range record.Read(dir) {
		if err != nil {
			break
		}
		if r, ok := e.(record.Round); ok {
			for _, s := range slices.Concat(r.Shares, r.Missing) {
				n = max(n, s.Process)
			}
		}
	}
	return n
}

// shared is what of the Spec holds for every process: without paths and output, and with the micro-batch that was
// fitted to this process's memory.
func (s *Session) shared() Spec {
	spec := s.Spec
	spec.Data.Train, spec.Data.Tokenizer, spec.Data.Cache, spec.Model.Init = nil, "", "", ""
	spec.Evaluation = Default().Evaluation
	spec.Output, spec.Outer.Process = Default().Output, 0
	if spec.Memory.MemoryLimit > 0 {
		b := s.Recipe.Batch
		spec.Memory.MemoryLimit, spec.Memory.HeadRows = 0, b.HeadRows
		spec.Schedule.BatchSize, spec.Schedule.GradAccum = b.Batch, s.Recipe.GradAccum
		spec.Memory.Recompute = recipe.RecomputeNone
		if b.Recompute {
			spec.Memory.Recompute = recipe.RecomputeBlock
		}
	}
	return spec
}

// Join is the Spec of a run that a worker was welcomed to: as it was begun, but for where things lie here. Of the
// options that are given others must agree.
func Join(w rounds.Welcome, asked Spec, given []advice.Option) (Spec, error) {
	own, err := Default().With(w.Spec)
	if err != nil {
		return own, fmt.Errorf("the run's coordinator is of another version: %w", err)
	}
	own.Output, own.Outer.Process = asked.Output, w.Process
	if err := own.findModel(asked, given); err != nil {
		return own, err
	}
	return own.Merge(asked, given)
}

// findModel takes the file of the run's model, if it is one, from where it lies here. What is in it the recipe says,
// which is compared.
func (s *Spec) findModel(asked Spec, given []advice.Option) error {
	const option advice.Option = "model"
	switch name := s.Model.Name; {
	case name == "" || isPreset(name):
	case slices.Contains(given, option):
		s.Model.Name = asked.Model.Name
	case !exists(name):
		return badOption(option, name, "the run was begun with this file, which is not here: name a copy of it")
	}
	return nil
}

// Joins compares the session's recipe with that of the run that a worker was welcomed to, and has it wait for the
// state. Peers is then the worker, which the caller closes.
func (s *Session) Joins(w *rounds.Worker) error {
	theirs, hash, err := recipe.Decode(w.Welcome.Recipe)
	if err != nil {
		return fmt.Errorf("the run's coordinator is of another version: %w", err)
	}
	if d := s.Recipe.Differences(theirs); d != "" {
		return fmt.Errorf("this process would train another recipe than the run's coordinator: %s", d)
	}
	layouts, err := s.Recipe.Layouts()
	if err != nil {
		return err
	}
	s.Peers = w
	w.Ready(hash, *s.Recipe.Outer, layouts)
	return nil
}

// order is the seed of a process's order of the data: the run's own, or of one that joined another.
func (s *Session) order() uint64 {
	const golden = 0x9e3779b97f4a7c15 // the step of SplitMix64
	return s.Spec.Schedule.Seed + uint64(s.Spec.Outer.Process)*golden
}
