package experiment

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"steplm/stage/recipe"
	"steplm/stage/session"
)

// Experiment is a file made out: its variants with everything that a run of them needs but a seed and, where it is
// chosen, a learning rate.
type Experiment struct {
	File     File
	Variants []Made
	vocab    int
	steps    func(session.Spec) (int, error) // nil: see MakeOf
	from     *Base                           // nil: nothing begins with another's models
}

// Made is a variant made out.
type Made struct {
	Label string
	Spec  session.Spec // with the file's first seed, and no folder
	Tried session.Spec // Spec before anything was made equal, by which its learning rate is chosen
	Chose int          // the variant whose learning rate it takes, by index; -1: none is chosen
	// From is the variant of another experiment with whose models its runs begin; "": they begin anew.
	From string
}

// Make makes a file out, for a tokenizer with so many ids. Every Spec is tried: what could not be run is told before
// anything runs.
func Make(f File, vocab int) (*Experiment, error) { return MakeOf(f, vocab, nil) }

// MakeOf is Make of a file whose runs may have a length in epochs: steps says how many steps a Spec then has. Without
// it an epoch is taken for one step.
func MakeOf(f File, vocab int, steps func(session.Spec) (int, error)) (*Experiment, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	base, err := f.BaseSpec()
	if err != nil {
		return nil, err
	}
	e := &Experiment{File: f, vocab: vocab, steps: steps}
	if f.From != "" {
		if e.from, err = ReadBase(f.From); err != nil {
			return nil, err
		}
	}
	for i, v := range f.Variants {
		spec := base
		if len(v.Set) > 0 {
			if spec, err = base.With(v.Set); err != nil {
				return nil, fmt.Errorf("variants[%d].set, of %s: %w", i, v.Label, err)
			}
		}
		spec.Schedule.Seed = f.Seeds[0]
		if f.Share > 0 {
			setLength(&spec, f.Share)
		}
		if v.From != "" {
			for _, seed := range slices.Backward(f.Seeds) { // The first one's remains.
				if spec.Model.Init, err = e.from.Model(v.From, seed); err != nil {
					return nil, fmt.Errorf("variants[%d].from, of %s: %w", i, v.Label, err)
				}
			}
		}
		made := []Made{{Label: v.Label, Spec: spec, From: v.From}}
		for _, axis := range f.Grid {
			if made, err = axis.times(made); err != nil {
				return nil, err
			}
		}
		for j := range made { // from indices within the variant to those of all
			if made[j].Chose += len(e.Variants); f.LearningRate == nil {
				made[j].Chose = -1
			}
		}
		e.Variants = append(e.Variants, made...)
	}
	if err := e.rates(); err != nil {
		return nil, err
	}
	for i := range e.Variants {
		e.Variants[i].Tried = e.Variants[i].Spec
	}
	if err := e.equal(); err != nil {
		return nil, err
	}
	for _, v := range e.Variants {
		if _, err := e.recipe(v.Spec); err != nil {
			return nil, fmt.Errorf("variant %s: %w", v.Label, err)
		}
	}
	for _, r := range e.Trials() { // A short run may have too few steps for what a long one does.
		if _, err := e.recipe(r.Spec); err != nil {
			return nil, fmt.Errorf("variant %s, a run that tries its learning rate: %w", e.Variants[r.Variant].Label,
				err)
		}
	}
	return e, e.distinct()
}

// times is every variant with every value. With the one that it has anyway it is called as it was, and so its run is
// the one that another experiment in the folder has of it. Whose learning rate each takes is told by its index in what
// it gives.
func (a Axis) times(list []Made) (all []Made, err error) {
	if !session.Known(a.Option) {
		return nil, fmt.Errorf("grid: %w", session.Unknown("", string(a.Option), optionNames()))
	}
	if len(a.Values) == 0 {
		return nil, fmt.Errorf("grid: %s has no values", a.Option)
	}
	for _, v := range list {
		for i, value := range a.Values {
			spec, err := v.Spec.With([]byte("{}")) // a copy
			if err != nil {
				return nil, err
			}
			if err := spec.Set(a.Option, value); err != nil {
				return nil, fmt.Errorf("grid: %w", err)
			}
			chose := v.Chose * len(a.Values)
			if !a.OneRate {
				chose += i
			}
			label := v.Label
			if hash(spec) != hash(v.Spec) {
				label = fmt.Sprintf("%s-%s-%s", label, strings.ReplaceAll(string(a.Option), "_", "-"), word(value))
			}
			all = append(all, Made{Label: label, Spec: spec, Chose: chose, From: v.From})
		}
	}
	return all, nil
}

func optionNames() (names []string) {
	for _, o := range session.Options() {
		names = append(names, string(o))
	}
	return names
}

// word is a value as part of a folder's name.
func word(value json.RawMessage) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', strings.ContainsRune("._+-", r):
			return r
		case r == ',':
			return '+'
		}
		return -1
	}, string(value))
}

// rates says whose learning rate each variant takes.
func (e *Experiment) rates() error {
	lr := e.File.LearningRate
	if lr == nil {
		return nil
	}
	for i := range e.Variants {
		v := &e.Variants[i]
		if len(v.Spec.Schedule.LR) > 0 { // It says its own.
			v.Chose = -1
			continue
		}
		if s := v.Spec; s.Evaluation.Validation == "" && s.Data.Holdout == 0 {
			return &session.OptionError{Option: "validation",
				Why: "a learning rate is chosen by it: name a set, or hold documents out"}
		}
		if lr.Share == 1 && v.Spec.Evaluation.FinalEvalTokens == 0 {
			return &session.OptionError{Option: "final_eval_tokens", Value: "0",
				Why: "a learning rate is chosen by what whole runs are measured at in the end: score 1 token or more"}
		}
	}
	for i := range e.Variants { // until one is chosen
		if v := &e.Variants[i]; v.Chose >= 0 {
			v.Spec.Schedule.LR = []float64{lr.Values[0]}
		}
	}
	return nil
}

func (e *Experiment) find(label string) int {
	return slices.IndexFunc(e.Variants, func(v Made) bool { return v.Label == label })
}

func (e *Experiment) labels() (list []string) {
	for _, v := range e.Variants {
		list = append(list, v.Label)
	}
	return list
}

// distinct refuses two runs that are the same: one of the variants says nothing.
func (e *Experiment) distinct() error {
	by := map[string]string{}
	for i, v := range e.Variants {
		r := e.Final(i, e.File.Seeds[0], 0)
		key := r.Name[len(v.Label):]
		if other, ok := by[key]; ok {
			return fmt.Errorf("variants %s and %s are the same run", other, v.Label)
		}
		by[key] = v.Label
		if e.find(v.Label) != i {
			return fmt.Errorf("two variants are called %s, by which tables tell them apart: word values otherwise, or "+
				"write the variants out", v.Label)
		}
	}
	return nil
}

// setLength makes a run a share as long.
func setLength(s *session.Spec, share float64) {
	c := &s.Schedule
	c.Steps, c.Tokens, c.FLOPs = int(float64(c.Steps)*share+0.5), int64(float64(c.Tokens)*share+0.5), c.FLOPs*share
	if c.Epochs > 0 { // which are whole
		c.Epochs = max(1, int(float64(c.Epochs)*share+0.5))
	}
}

// Run is one run of an experiment.
type Run struct {
	Name    string // of its folder
	Variant int    // by index
	Seed    uint64
	Trial   bool         // by which a learning rate is chosen
	Spec    session.Spec // with no folder
}

// Trials are the runs of all variants by which learning rates are chosen.
func (e *Experiment) Trials() (list []Run) {
	for i := range e.Variants {
		list = append(list, e.TrialsOf(i)...)
	}
	return list
}

// TrialsOf are those of a variant, in the order of the values; none where it takes another's choice.
func (e *Experiment) TrialsOf(variant int) (list []Run) {
	v, lr := e.Variants[variant], e.File.LearningRate
	if v.Chose != variant {
		return nil
	}
	for _, x := range lr.Values {
		s := v.Tried
		s.Schedule.LR, s.Schedule.Seed = []float64{x}, lr.Seed
		if v.From != "" && slices.Contains(e.File.Seeds, lr.Seed) { // else with the first seed's model
			s.Model.Init = e.from.at(v.From, lr.Seed)
		}
		name := v.finalName(s)
		if lr.Share < 1 {
			setLength(&s, lr.Share)
			s.Evaluation = s.Evaluation.Short(lr.EvalTokens)
			name = fmt.Sprintf("lr-%s-%g-%s", v.Label, x, v.hash(s))
		}
		list = append(list, Run{name, variant, lr.Seed, true, s})
	}
	return list
}

// finalName is what a run is called whose result counts. A whole run that tries a learning rate may be one.
func (v Made) finalName(s session.Spec) string {
	return fmt.Sprintf("%s-s%d-%s", v.Label, s.Schedule.Seed, v.hash(s))
}

// Final is the run of a variant with a seed, whose result counts; with a learning rate, where one is chosen.
func (e *Experiment) Final(variant int, seed uint64, lr float64) Run {
	v := e.Variants[variant]
	s := v.Spec
	s.Schedule.Seed = seed
	if v.From != "" {
		s.Model.Init = e.from.at(v.From, seed)
	}
	if v.Chose >= 0 && lr > 0 {
		s.Schedule.LR = []float64{lr}
	}
	return Run{v.finalName(s), variant, seed, false, s}
}

// FLOPs are the operations of a run.
func (e *Experiment) FLOPs(s session.Spec) (float64, error) {
	r, err := e.recipe(s)
	if err != nil {
		return 0, err
	}
	return r.FLOPs()
}

// Recipe is that of a run, but for what it reads.
func (e *Experiment) Recipe(r Run) (recipe.Recipe, error) { return e.recipe(r.Spec) }

func (e *Experiment) recipe(s session.Spec) (recipe.Recipe, error) {
	if c := &s.Schedule; c.Epochs > 0 {
		n, err := c.Epochs, error(nil)
		if e.steps != nil {
			if n, err = e.steps(s); err != nil {
				return recipe.Recipe{}, err
			}
		}
		c.Steps, c.Epochs = n, 0
	}
	return s.Recipe(e.vocab)
}
