package experiment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"steplm/stage/session"
)

// strict decodes JSON into a struct of this package and refuses fields that it does not have, with the nearest ones.
// What is raw in the struct is read later, by those who know its fields.
func strict(text []byte, into any) error {
	if err := known("", text, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(into); err != nil {
		return plain(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the last brace")
	}
	return nil
}

// known names a field that a type does not have. What is of another kind than the type the decoder tells.
func known(path string, text []byte, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
	case t.Kind() == reflect.Slice:
		var list []json.RawMessage
		if json.Unmarshal(text, &list) != nil {
			return nil
		}
		for i, x := range list {
			if err := known(fmt.Sprintf("%s[%d]", strings.TrimSuffix(path, "."), i)+".", x, t.Elem()); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct:
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(text, &fields); err != nil {
			if path == "" {
				return plain(err)
			}
			return nil
		}
		types, names := map[string]reflect.Type{}, []string(nil)
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			types[name], names = t.Field(i).Type, append(names, name)
		}
		for name, value := range fields {
			of, ok := types[name]
			if !ok {
				return session.Unknown(path, name, names)
			}
			if err := known(path+name+".", value, of); err != nil {
				return err
			}
		}
	}
	return nil
}

// plain words the JSON package's errors.
func plain(err error) error {
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
