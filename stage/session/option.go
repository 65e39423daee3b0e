package session

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"steplm/model"
	"steplm/model/advice"
)

// field is an option of a Spec.
type field struct {
	group, name string
	option      advice.Option
	value       reflect.Value
	free        bool // may be another when a run is resumed
}

// fields lists the options of a Spec, in its order.
func (s *Spec) fields() (list []field) {
	groups := reflect.ValueOf(s).Elem()
	for i := range groups.NumField() {
		group := groups.Field(i)
		for j := range group.NumField() {
			at := group.Type().Field(j)
			f := field{group: jsonName(groups.Type().Field(i)), name: jsonName(at), value: group.Field(j),
				free: at.Tag.Get("resume") == "free"}
			f.option = advice.Option(f.name)
			if option := at.Tag.Get("option"); option != "" {
				f.option = advice.Option(option)
			}
			list = append(list, f)
		}
	}
	return list
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// Options lists the options' names.
func Options() (names []advice.Option) {
	for _, f := range new(Spec).fields() {
		names = append(names, f.option)
	}
	return names
}

// Known reports whether an option is one of a Spec's.
func Known(o advice.Option) bool { return slices.Contains(Options(), o) }

// field is an option's.
func (s *Spec) field(o advice.Option) (field, error) {
	for _, f := range s.fields() {
		if f.option == o {
			return f, nil
		}
	}
	return field{}, fmt.Errorf("no option %q", o)
}

// Get is an option's value, as JSON has it.
func (s *Spec) Get(o advice.Option) (json.RawMessage, error) {
	f, err := s.field(o)
	if err != nil {
		return nil, err
	}
	return json.Marshal(f.value.Interface())
}

// isText reports whether all that is text in an option's value is UTF-8, which is all that JSON can hold.
func isText(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return utf8.ValidString(v.String())
	case reflect.Pointer, reflect.Interface:
		return v.IsNil() || isText(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if !isText(v.Index(i)) {
				return false
			}
		}
	}
	return true
}

// Set gives an option a value, which must be one of its type. Of a run's lengths the one that is set replaces the
// others.
func (s *Spec) Set(o advice.Option, value any) error {
	if !isText(reflect.ValueOf(value)) {
		return &OptionError{o, fmt.Sprintf("%q", value), "it is not UTF-8, and a run could not say it again: rename it"}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	f, err := s.field(o)
	if err != nil {
		return err
	}
	fresh := reflect.New(f.value.Type())
	if err := json.Unmarshal(text, fresh.Interface()); err != nil {
		return &OptionError{o, string(text), "it is no value of this option"}
	}
	f.value.Set(fresh.Elem())
	if slices.Contains(Lengths, o) {
		length := s.Schedule
		s.Schedule.Steps, s.Schedule.Tokens, s.Schedule.FLOPs, s.Schedule.Epochs = 0, 0, 0, 0
		switch o {
		case optionSteps:
			s.Schedule.Steps = length.Steps
		case optionTokens:
			s.Schedule.Tokens = length.Tokens
		case advice.FLOPs:
			s.Schedule.FLOPs = length.FLOPs
		case optionEpochs:
			s.Schedule.Epochs = length.Epochs
		}
	}
	return nil
}

const (
	optionSteps  advice.Option = "steps"
	optionTokens advice.Option = "tokens"
	optionEpochs advice.Option = "epochs"

	optionBatching advice.Option = "batching"
	optionSamples  advice.Option = "samples"
	optionExamples advice.Option = "examples"
	optionDate     advice.Option = "date"
)

// Lengths are the options that say how long a run is.
var Lengths = []advice.Option{optionSteps, optionTokens, advice.FLOPs, optionEpochs}

// OptionError is an option with a value that it cannot have. Commands word it in their flags.
type OptionError struct {
	Option advice.Option
	Value  string // "" where there is none to show
	Why    string
}

func (e *OptionError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Option, e.Why)
	}
	return fmt.Sprintf("%s %s: %s", e.Option, e.Value, e.Why)
}

func badOption(o advice.Option, value any, why string, args ...any) error {
	return &OptionError{o, fmt.Sprint(value), fmt.Sprintf(why, args...)}
}

// Read reads a Spec's JSON over the defaults. A field that there is not is refused, with the nearest one.
func Read(r io.Reader) (Spec, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return Default(), err
	}
	return Default().With(text)
}

// With is a Spec with the fields that a Spec's JSON has; those that it leaves out stay. Of a run's lengths the one
// that it has replaces the others.
func (s Spec) With(text []byte) (Spec, error) {
	if err := s.check(text); err != nil {
		return s, err
	}
	s, err := s.clone() // Else what pointers and slices hold would be written into.
	if err != nil {
		return s, err
	}
	var given struct {
		Schedule map[string]json.RawMessage `json:"schedule"`
	}
	if err := json.Unmarshal(text, &given); err != nil {
		return s, JSONError(err)
	}
	for _, length := range Lengths {
		if given.Schedule[string(length)] != nil {
			s.Schedule.Steps, s.Schedule.Tokens, s.Schedule.FLOPs, s.Schedule.Epochs = 0, 0, 0, 0
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, JSONError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return s, errors.New("something follows the configuration's last brace")
	}
	for _, n := range []**int{&s.Schedule.Warmup, &s.Schedule.Rewarm} {
		if *n != nil && **n < 0 { // as earlier versions wrote what nobody chose
			*n = nil
		}
	}
	n := 0
	for _, given := range []bool{s.Schedule.Steps != 0, s.Schedule.Tokens != 0, s.Schedule.FLOPs != 0,
		s.Schedule.Epochs != 0} {
		if given {
			n++
		}
	}
	if n > 1 {
		return s, errors.New("schedule has more than one length: leave out all but one of steps, tokens, flops and " +
			"epochs")
	}
	return s, nil
}

// clone is a Spec that shares no memory with s.
func (s Spec) clone() (c Spec, err error) {
	text, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	return c, json.Unmarshal(text, &c)
}

// Differs lists the options in which s is not as o is, in order of their names, as JSON has them.
func (s Spec) Differs(o Spec) (list []Setting, err error) {
	mine, others := s.fields(), o.fields()
	for i, f := range mine {
		a, err := plainJSON(f.value.Interface())
		if err != nil {
			return nil, err
		}
		b, err := plainJSON(others[i].value.Interface())
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(a, b) {
			list = append(list, Setting{f.option, f.group, f.name, a, f.free})
		}
	}
	slices.SortFunc(list, func(a, b Setting) int { return cmp.Compare(a.Option, b.Option) })
	return list, nil
}

// Setting is an option with its value.
type Setting struct {
	Option      advice.Option
	Group, Name string // in a Spec's JSON
	Value       json.RawMessage
	Free        bool // a run may go on with another
}

// check names a field that a Spec does not have.
func (s *Spec) check(text []byte) error {
	var groups map[string]json.RawMessage
	if err := json.Unmarshal(text, &groups); err != nil {
		return JSONError(err)
	}
	names := map[string][]string{}
	for _, f := range s.fields() {
		names[f.group] = append(names[f.group], f.name)
	}
	for group, content := range groups {
		known, ok := names[group]
		if !ok {
			return Unknown("", group, slices.Sorted(maps.Keys(names)))
		}
		var leaves map[string]json.RawMessage
		if err := json.Unmarshal(content, &leaves); err != nil {
			return fmt.Errorf("%s: %w", group, JSONError(err))
		}
		for leaf := range leaves {
			if !slices.Contains(known, leaf) {
				return Unknown(group+".", leaf, known)
			}
		}
	}
	return nil
}

// Unknown says that there is no field of a name at a path of JSON, and which name may be meant.
func Unknown(path, name string, known []string) error {
	text := fmt.Sprintf("there is no %s%s", path, name)
	if near := model.Nearest(name, known); len(near) > 0 {
		return fmt.Errorf("%s: did you mean %s%s?", text, path, strings.Join(near, " or "+path))
	}
	return fmt.Errorf("%s: there are %s", text, strings.Join(known, ", "))
}

// JSONError words the JSON package's errors, for people.
func JSONError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("it is no JSON at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind):
		return fmt.Errorf("%s is a JSON %s where %s belongs", kind.Field, kind.Value, kind.Type)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is no JSON: it ends too early")
	}
	return err
}
