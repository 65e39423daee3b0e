package flags

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"steplm/model/advice"
	"steplm/stage/session"
)

// A flag whose name is an option's, in dashes, is that option: so the flags of every command become a
// session.Spec by their names alone, and a Spec's defaults are the flags'.

// SpecOf is the Spec that a command's flags make, defaults included.
func SpecOf(flags any) (session.Spec, error) { return SpecOver(session.Default(), flags) }

// SpecOver is a Spec on which a command's flags are laid, defaults included.
func SpecOver(spec session.Spec, flags any) (session.Spec, error) {
	return spec, overlay(&spec, reflect.ValueOf(flags), nil)
}

// overlay sets the options that flags hold: all, or those that are given.
func overlay(spec *session.Spec, flags reflect.Value, given []advice.Option) error {
	for flags.Kind() == reflect.Pointer {
		flags = flags.Elem()
	}
	for i := range flags.NumField() {
		at, value := flags.Type().Field(i), flags.Field(i)
		if at.Anonymous {
			if err := overlay(spec, value, given); err != nil {
				return err
			}
			continue
		}
		option := FieldOption(at)
		if !at.IsExported() || !session.Known(option) || given != nil && !slices.Contains(given, option) {
			continue
		}
		if given == nil && value.IsZero() && slices.Contains(session.Lengths, option) {
			continue // One of them says nothing of the other.
		}
		if err := spec.Set(option, value.Interface()); err != nil {
			return err
		}
	}
	return nil
}

// FieldOption is the option of a field of flags, by the name that kong gives its flag.
func FieldOption(f reflect.StructField) advice.Option {
	if name := f.Tag.Get("name"); name != "" {
		return OptionOf(name)
	}
	return OptionOf(flagName(f.Name))
}

// flagName is a field's name as kong spells its flag: GradAccum is grad-accum, LR is lr.
func flagName(name string) string {
	var b strings.Builder
	letters := []rune(name)
	upper := func(i int) bool { return i >= 0 && i < len(letters) && letters[i] >= 'A' && letters[i] <= 'Z' }
	for i, r := range letters {
		if upper(i) && i > 0 && (!upper(i-1) || i+1 < len(letters) && !upper(i+1)) {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// Given are the options that a command line names.
func Given(line *kong.Context) (given []advice.Option) {
	for _, p := range line.Path {
		if p.Flag != nil && !p.Resolved && session.Known(OptionOf(p.Flag.Name)) {
			given = append(given, OptionOf(p.Flag.Name))
		}
	}
	return given
}

// ReadConfig reads a Spec from a file, which leaves the others' fields as they are, and lays the flags on it that are
// given.
func ReadConfig(others session.Spec, path string, flags any, given []advice.Option) (session.Spec, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return session.Spec{}, err
	}
	spec, err := others.With(text)
	if err != nil {
		return spec, fmt.Errorf("%s: %w", path, err)
	}
	return spec, overlay(&spec, reflect.ValueOf(flags), append([]advice.Option{}, given...))
}

// AsUsage makes an error of a Spec one of the command line, worded in flags.
func AsUsage(err error) error {
	var bad *session.OptionError
	var missing *session.Missing
	var differ *session.Disagreement
	switch {
	case errors.As(err, &bad):
		text := bad.Why
		switch {
		case bad.Option != "" && bad.Value != "":
			text = fmt.Sprintf("%s %s: %s", Of(bad.Option), bad.Value, bad.Why)
		case bad.Option != "":
			text = fmt.Sprintf("%s: %s", Of(bad.Option), bad.Why)
		}
		return UsageError{errors.New(text)}
	case errors.As(err, &missing):
		return Usagef("missing flags: %s", missing.Words(Of))
	case errors.As(err, &differ):
		runs := differ.Runs
		if runs == "null" || runs == `""` {
			runs = "the default"
		}
		return fmt.Errorf("%s %s: the run in %s was begun with %s; leave the flag out, or begin another run",
			Of(differ.Option), differ.Asked, differ.Dir, runs)
	}
	return err
}
