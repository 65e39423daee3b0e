package experiment

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"steplm/model/advice"
	"steplm/stage/session"
)

// WithPlaces is a file with the paths of a Spec in its base.
func (f File) WithPlaces(spec session.Spec) (File, error) {
	part, err := partOf(spec, session.Places)
	if err != nil {
		return f, err
	}
	return f.WithBase(part)
}

// Located is a file for a folder whose paths hold in every working directory, those of its variants too. In a folder
// that an earlier version began, models to begin with, and files of their shapes, may have relative paths, which its
// runs' names are made of: such ones stay.
func (f File) Located(dir string) (_ File, err error) {
	options := append(slices.Clone(session.Places), "init")
	if there, err := ReadFile(filepath.Join(dir, DeclaredFile)); err == nil && there.relativeInit() {
		options = session.Places
	}
	if f.Base, err = absolute(f.Base, options); err != nil {
		return f, fmt.Errorf("base: %w", err)
	}
	f.Variants = slices.Clone(f.Variants)
	for i := range f.Variants {
		v := &f.Variants[i]
		if v.Set, err = absolute(v.Set, options); err != nil {
			return f, fmt.Errorf("variants[%d].set, of %s: %w", i, v.Label, err)
		}
	}
	return f, nil
}

// relativeInit reports whether a model to begin with, or the file of its shape, has a path that holds in one working
// directory.
func (f File) relativeInit() bool {
	parts := []json.RawMessage{f.Base}
	for _, v := range f.Variants {
		parts = append(parts, v.Set)
	}
	return slices.ContainsFunc(parts, func(part json.RawMessage) bool {
		var says struct {
			Model struct{ Init, Name string }
		}
		m := &says.Model
		err := json.Unmarshal(part, &says)
		shape := strings.HasSuffix(m.Name, ".json") || strings.ContainsAny(m.Name, `/\`)
		return err == nil && (m.Init != "" && !filepath.IsAbs(m.Init) || shape && !filepath.IsAbs(m.Name))
	})
}

// absolute is a part of a Spec in which the paths of some options are absolute.
func absolute(part json.RawMessage, options []advice.Option) (json.RawMessage, error) {
	if len(part) == 0 {
		return part, nil
	}
	spec, err := session.Default().With(part)
	if err != nil {
		return part, err
	}
	if spec, err = spec.Absolute(); err != nil {
		return part, err
	}
	if filepath.IsAbs(spec.Model.Name) && slices.Contains(options, "init") { // a shape in a file
		options = append(slices.Clone(options), "model")
	}
	places, err := partOf(spec, options)
	if err != nil || string(places) == "{}" {
		return part, err
	}
	return merged(part, places)
}

// partOf is some options of a Spec, those that are not the defaults, as a part of one.
func partOf(spec session.Spec, options []advice.Option) (json.RawMessage, error) {
	settings, err := spec.Differs(session.Default())
	if err != nil {
		return nil, err
	}
	part := map[string]map[string]json.RawMessage{}
	for _, s := range settings {
		if !slices.Contains(options, s.Option) {
			continue
		}
		if part[s.Group] == nil {
			part[s.Group] = map[string]json.RawMessage{}
		}
		part[s.Group][s.Name] = s.Value
	}
	return json.Marshal(part)
}
