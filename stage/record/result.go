package record

import (
	"bytes"
	"encoding/json"
	"errors"
)

// Result is what an evaluation found, in its plain form: the JSON object that the result makes of itself. What a task
// found is for the task to understand, so the record knows no kind of it: a result decodes from its plain form.
type Result json.RawMessage

// Plain is a result in its plain form.
func Plain(result any) (r Result, err error) {
	b, err := json.Marshal(result)
	if err != nil {
		return r, err
	}
	return r, r.UnmarshalJSON(b)
}

// Into decodes the result into what it was made of.
func (r Result) Into(result any) error { return json.Unmarshal(r, result) }

// MarshalJSON gives the object as it is.
func (r Result) MarshalJSON() ([]byte, error) {
	if r == nil {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON takes an object.
func (r *Result) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(b, []byte("{")) {
		return errors.New("a result is a JSON object")
	}
	*r = bytes.Clone(b)
	return nil
}
