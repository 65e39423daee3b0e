package recipe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"steplm/model/optim"
)

// ErrVersion is a recipe that another version of the program wrote, which this one cannot read.
var ErrVersion = errors.New("another version of the program wrote it")

// Decode reads a recipe's JSON, also that of the format before, and hashes it as the program did that
// wrote it, whatever its format.
func Decode(text []byte) (r Recipe, hash string, err error) {
	if r, err = decode(text); err != nil {
		return r, "", err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return r, "", err
	}
	return r, hashOf(compact.Bytes()), nil
}

func decode(text []byte) (Recipe, error) {
	var f struct {
		Format int `json:"format"`
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&f); err != nil {
		return Recipe{}, err
	}
	switch f.Format {
	case Format:
		var r Recipe
		err := strict(text, &r)
		return r, err
	case 2:
		var r recipe2
		err := strict(text, &r)
		return r.now(), err
	}
	return Recipe{}, fmt.Errorf("it has format %d, this program reads 2 and %d: %w", f.Format, Format, ErrVersion)
}

// strict refuses fields that there are not.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err != nil && strings.HasPrefix(err.Error(), "json: unknown field") { // The library has no type for it.
		err = fmt.Errorf("%w: %w", err, ErrVersion)
	}
	return err
}

// recipe2 is the recipe of format 2. It knew one optimizer; every stage had a course of its
// own with a warm-up in it, and every transition began the optimizer's state anew and was
// saved and evaluated.
type recipe2 struct {
	Recipe
	Optimizer struct {
		optim.AdamW
		MaxNorm float64 `json:"max_norm"`
	} `json:"optimizer"`
	Stages []stage2 `json:"stages"`
}

type stage2 struct {
	Stage
	Entry    []Verb `json:"entry,omitempty"`
	Schedule struct {
		optim.Course
		Warmup int `json:"warmup"`
	} `json:"schedule"`
}

// now is the same run in this format.
func (r recipe2) now() Recipe {
	n := r.Recipe
	n.Format = Format
	n.Optimizer = optim.Config{Settings: r.Optimizer.AdamW, MaxNorm: r.Optimizer.MaxNorm}
	for _, old := range r.Stages {
		s := old.Stage
		course := old.Schedule.Course
		s.Schedule = &course
		for _, v := range old.Entry {
			switch v.Do {
			case "reset_state":
				s.Entry.Verbs = append(s.Entry.Verbs, Verb{Do: Reset, Params: AllParams})
			case Rewarm: // it had no operand
			default:
				s.Entry.Verbs = append(s.Entry.Verbs, v)
			}
		}
		s.Entry.Verbs = append(s.Entry.Verbs, RewarmOver(old.Schedule.Warmup)...)
		s.Entry.Save, s.Entry.Evaluate = old.Entry != nil, old.Entry != nil
		n.Stages = append(n.Stages, s)
	}
	return n
}
