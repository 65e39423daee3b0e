package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"

	"steplm/model/advice"
	"steplm/stage/session"
)

// File is an experiment as its JSON file declares it.
type File struct {
	Name  string `json:"name"`
	About string `json:"about,omitempty"` // for people
	// Vocab is how many ids the tokenizer has that is trained on the data where Base names none.
	Vocab int `json:"tokenizer_vocab,omitempty"`
	// Base is what all runs have in common, a part of a Spec as `pretrain --config` takes it.
	Base  json.RawMessage `json:"base,omitempty"`
	Seeds []uint64        `json:"seeds,omitempty"`
	// From is the folder of another experiment, whose trained models variants begin with that say which.
	From string `json:"from,omitempty"`
	// Variants are what is compared: each is Base with something else.
	Variants []Variant `json:"variants,omitempty"`
	// Grid multiplies every variant by every combination of values.
	Grid []Axis `json:"grid,omitempty"`
	// Share, unless 0, is how much of the length that Base says all runs have.
	Share float64 `json:"share,omitempty"`
	// LearningRate, unless nil, is chosen by runs.
	LearningRate *LearningRate `json:"learning_rate,omitempty"`
	// Equal, unless nil, is what all variants have as much of; else it is what Base says: steps, tokens or operations.
	Equal *Equal `json:"equal,omitempty"`
	// Evaluate, unless nil, is what every trained model is asked, but those of short runs.
	Evaluate *Evaluate `json:"evaluate,omitempty"`
}

// Variant is one thing of those that are compared.
type Variant struct {
	Label string `json:"label"`
	// From, unless "", is the variant of File.From with whose model, of the same seed, its runs begin.
	From string          `json:"from,omitempty"`
	Set  json.RawMessage `json:"set,omitempty"` // a part of a Spec
}

// Axis is an option with the values that it has in turn.
type Axis struct {
	Option advice.Option     `json:"option"`
	Values []json.RawMessage `json:"values"`
	// OneRate: all values take the learning rate that is chosen for the first; else each has its own.
	OneRate bool `json:"one_rate,omitempty"`
}

// LearningRate says how it is chosen: of Values the one whose run ends with the least validation perplexity.
type LearningRate struct {
	Values []float64 `json:"values"`
	// Begin, unless 0, is the value that is tried first, with its neighbours; of the others only those are tried that
	// are neighbours of the best so far. Values then ascend. Else all are tried.
	Begin float64 `json:"begin,omitempty"`
	// Share is how much of a run's length those that choose have. At 1 they are whole runs, and the chosen one, with a
	// seed of the file, is a result too.
	Share float64 `json:"share"`
	Seed  uint64  `json:"seed"` // of the runs that choose
	// EvalTokens are scored at the end of each short one; a whole one is scored as all are, and has 0.
	EvalTokens int64 `json:"eval_tokens,omitempty"`
}

// What variants can have as much of.
const (
	EqualFLOPs = "flops"
	EqualBytes = "bytes"
)

// Equal is what all variants have as much of as one of them.
type Equal struct {
	What string `json:"what"` // EqualFLOPs: their runs end within its operations; EqualBytes: on the device
	Of   string `json:"of"`   // a variant's label
	// By is what is changed until the bytes are those, or as many below as there must be: ByLayers or ByBatch.
	By string `json:"by,omitempty"`
}

// What makes bytes equal.
const (
	ByLayers = "layers"
	ByBatch  = "batch_size"
)

// Read reads a file's JSON. A field that there is not is refused, with the nearest one.
func Read(text []byte) (File, error) {
	var f File
	if err := strict(text, &f); err != nil {
		return f, err
	}
	return f, nil
}

// label is what a name, of an experiment or a variant, may consist of: it is part of a folder's name.
var label = regexp.MustCompile(`^[a-z0-9][a-z0-9._+-]*$`)

// check refuses a file that says nothing that can be run. Specs are checked when they are made.
func (f File) check() error {
	switch {
	case !label.MatchString(f.Name):
		return fmt.Errorf("name %q: small letters, digits, . _ + and -, a letter or digit first", f.Name)
	case len(f.Variants) == 0:
		return errors.New("variants: there are none, and so nothing to run")
	case !(f.Share >= 0 && f.Share <= 1):
		return fmt.Errorf("share %g: it must be above 0 and at most 1", f.Share)
	case len(f.Seeds) == 0:
		return errors.New("seeds: there are none, and so nothing to run")
	}
	if f.Begins() && f.From == "" {
		return ErrNoFrom
	}
	if f.From != "" && !f.Begins() {
		return errors.New("from: none of the variants says from which of that experiment's it begins")
	}
	if f.Evaluate != nil {
		if err := f.Evaluate.check(f); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for i, v := range f.Variants {
		if !label.MatchString(v.Label) {
			return fmt.Errorf("variants[%d].label %q: small letters, digits, . _ + and -, a letter or digit first", i,
				v.Label)
		}
		if seen[v.Label] {
			return fmt.Errorf("variants[%d].label %q: another variant has it", i, v.Label)
		}
		seen[v.Label] = true
	}
	for i, s := range f.Seeds {
		if slices.Contains(f.Seeds[:i], s) {
			return fmt.Errorf("seeds: %d is there twice", s)
		}
	}
	if lr := f.LearningRate; lr != nil {
		if err := lr.check(); err != nil {
			return err
		}
	}
	if f.Equal != nil {
		return f.Equal.check()
	}
	return nil
}

func (lr LearningRate) check() error {
	if len(lr.Values) == 0 {
		return errors.New("learning_rate.values: there are none to choose from")
	}
	for i, x := range lr.Values {
		if !(x > 0) || math.IsInf(x, 1) {
			return fmt.Errorf("learning_rate.values: %g must be above 0", x)
		}
		if slices.Contains(lr.Values[:i], x) {
			return fmt.Errorf("learning_rate.values: %g is there twice", x)
		}
	}
	if lr.Begin != 0 && !slices.Contains(lr.Values, lr.Begin) {
		return fmt.Errorf("learning_rate.begin: %g is none of the values, %v", lr.Begin, lr.Values)
	}
	if lr.Begin != 0 && !slices.IsSorted(lr.Values) {
		return fmt.Errorf("learning_rate.values: with begin they must ascend, since neighbours are tried: %v",
			lr.Values)
	}
	if !(lr.Share > 0 && lr.Share <= 1) {
		return fmt.Errorf("learning_rate.share %g: it must be above 0 and at most 1", lr.Share)
	}
	switch {
	case lr.Share < 1 && lr.EvalTokens < 1:
		return fmt.Errorf("learning_rate.eval_tokens %d: it must be 1 or more", lr.EvalTokens)
	case lr.Share == 1 && lr.EvalTokens != 0:
		return fmt.Errorf("learning_rate.eval_tokens %d: whole runs, of share 1, are scored by what base says: "+
			"leave it out", lr.EvalTokens)
	}
	return nil
}

func (e Equal) check() error {
	switch {
	case e.What != EqualFLOPs && e.What != EqualBytes:
		return fmt.Errorf("equal.what %q: choose %s or %s; equal tokens are what base says", e.What, EqualFLOPs,
			EqualBytes)
	case e.What == EqualBytes && e.By != ByLayers && e.By != ByBatch:
		return fmt.Errorf("equal.by %q: choose %s or %s", e.By, ByLayers, ByBatch)
	case e.What == EqualFLOPs && e.By != "":
		return fmt.Errorf("equal.by %q: with %s it is the length, leave it out", e.By, EqualFLOPs)
	case e.Of == "":
		return errors.New("equal.of: it is missing, a variant's label")
	}
	return nil
}

// ErrNoFrom is an experiment whose variants begin with another's models, and that does not say where these are.
var ErrNoFrom = errors.New("from: it is missing, the folder of the experiment with whose models the variants begin")

// Begins reports whether variants begin with another experiment's models.
func (f File) Begins() bool {
	return slices.ContainsFunc(f.Variants, func(v Variant) bool { return v.From != "" })
}

// WithBase is a file with more of what all runs have in common.
func (f File) WithBase(part json.RawMessage) (_ File, err error) {
	f.Base, err = merged(f.Base, part)
	return f, err
}

// WithData is a file whose runs take a tokenizer and have their token caches in a folder.
func (f File) WithData(tokenizer, cache string) (File, error) {
	part, err := json.Marshal(map[string]any{"data": map[string]string{"tokenizer": tokenizer, "cache": cache}})
	if err != nil {
		return f, err
	}
	return f.WithBase(part)
}

// BaseSpec is the Spec that all runs have in common.
func (f File) BaseSpec() (session.Spec, error) {
	s := session.Default()
	if len(f.Base) == 0 {
		return s, nil
	}
	s, err := s.With(f.Base)
	if err != nil {
		return s, fmt.Errorf("base: %w", err)
	}
	return s, nil
}
