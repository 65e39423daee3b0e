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
		return session.JSONError(err)
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
				return session.JSONError(err)
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
