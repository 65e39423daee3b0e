package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/data/hub"
	"steplm/gpu"
	"steplm/model/advice"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// Places are the options that say where things lie, which may have moved while a run was stopped.
var Places = []advice.Option{"data", "tokenizer", "cache", "validation", "wikitext", "sample_prompts"}

// Absolute is the same Spec with absolute paths, which hold in every working directory.
func (s Spec) Absolute() (Spec, error) {
	s.Data.Train = slices.Clone(s.Data.Train)
	paths := []*string{&s.Data.Tokenizer, &s.Data.Cache, &s.Evaluation.Validation, &s.Evaluation.Wikitext,
		&s.Evaluation.SamplePrompts, &s.Output.Out, &s.Model.Init}
	if isFile(s.Model.Name) {
		paths = append(paths, &s.Model.Name)
	}
	for i := range s.Data.Train {
		paths = append(paths, &s.Data.Train[i])
	}
	for _, p := range paths {
		if *p == "" || strings.HasPrefix(*p, hub.Scheme) {
			continue
		}
		absolute, err := filepath.Abs(*p) // A weight after the path stays where it is.
		if err != nil {
			return s, err
		}
		*p = absolute
	}
	return s, nil
}

// ErrNoSpec is a run that was begun by a version that kept no Spec in its folder.
var ErrNoSpec = errors.New("its folder does not say what it was begun with, as an earlier version's does not")

// Saved is what a run was begun with.
func Saved(dir string) (Spec, error) {
	if _, err := stage.ReadRecipe(dir); err != nil {
		return Spec{}, err
	}
	b, err := os.ReadFile(filepath.Join(dir, record.SpecFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Spec{}, fmt.Errorf("%s: %w", dir, ErrNoSpec)
	}
	if err != nil {
		return Spec{}, err
	}
	s, err := readSaved(b)
	if err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(dir, record.SpecFile), err)
	}
	s.Output.Out = dir // The folder may have moved.
	return s, nil
}

// readSaved reads a run's Spec. What an earlier version could not say is what it did.
func readSaved(content []byte) (Spec, error) {
	s, err := Read(bytes.NewReader(content))
	if err != nil {
		return s, err
	}
	var says struct {
		Data struct {
			ParseSpecial   *bool   `json:"parse_special"`
			DocumentTokens *string `json:"document_tokens"`
		} `json:"data"`
	}
	if err := json.Unmarshal(content, &says); err != nil {
		return s, err
	}
	s.Data.ParseSpecial = says.Data.ParseSpecial == nil || *says.Data.ParseSpecial
	if says.Data.DocumentTokens == nil {
		s.Data.DocumentTokens = DocumentTokensEOS
	}
	if m, err := recipe.FindMethod(s.Method.Name); err == nil && m.Optimizer != "" {
		s.Optimizer.Name = "" // An earlier version wrote its default and trained by the method's.
	}
	return s, nil
}

// Disagreement is an option that a run cannot go on with, because it was begun with another value.
type Disagreement struct {
	Option      advice.Option
	Asked, Runs string // as JSON has them
	Dir         string
}

func (e *Disagreement) Error() string {
	return fmt.Sprintf("%s was begun with %s %s and cannot go on with %s", e.Dir, e.Option, e.Runs, e.Asked)
}

// Merge is a run's own Spec with what may change, of the options that are given, taken from asked. Others
// must agree.
func (s Spec) Merge(asked Spec, given []advice.Option) (Spec, error) {
	wanted, err := asked.Absolute()
	if err != nil {
		return s, err
	}
	own, err := s.Absolute()
	if err != nil {
		return s, err
	}
	runs, asks := own.fields(), wanted.fields()
	for i, f := range asks {
		if !slices.Contains(given, f.option) {
			continue
		}
		a, err := plainJSON(f.value.Interface())
		if err != nil {
			return s, err
		}
		b, err := plainJSON(runs[i].value.Interface())
		if err != nil {
			return s, err
		}
		switch {
		case bytes.Equal(a, b):
		case slices.Contains(Lengths, f.option): // It may become longer.
			if err := own.Set(f.option, json.RawMessage(a)); err != nil {
				return s, err
			}
		case f.free:
			runs[i].value.Set(f.value)
		default:
			return s, &Disagreement{f.option, string(a), string(b), s.Output.Out}
		}
	}
	own.Output.Out = s.Output.Out
	if slices.Contains(given, "data") && checkSources(own.Data.Shards, own.Data.Stream, own.Data.Train...) != nil {
		own.Data.Shards, own.Data.Stream = 0, false // They were of what was on the hub and is here now.
	}
	return own, nil
}

// plainJSON is JSON for people too: <eos> is not \u003ceos\u003e.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sameInput refuses data and a tokenizer that are not those of the run.
func (s *Session) sameInput(dir string) error {
	r, err := stage.ReadRecipe(dir)
	if err != nil {
		return err
	}
	for _, x := range []struct {
		option      advice.Option
		there, here string
	}{{"data", r.Data.Train, s.identity.Train}, {"tokenizer", r.Data.Tokenizer, s.identity.Tokenizer}} {
		if x.there != x.here {
			return &Disagreement{x.option, x.here, x.there, dir}
		}
	}
	return nil
}

// Resume is Open of a run that goes on in its folder.
func Resume(ctx context.Context, dev gpu.Device, spec Spec, ui UI) (*Session, error) {
	return open(ctx, dev, &Session{Spec: spec, Device: dev, Resumed: true}, ui)
}
