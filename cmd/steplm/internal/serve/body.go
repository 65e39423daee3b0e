package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// readBody reads a request's JSON into a value. Every way in which a body can be wrong has its own answer.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, value any) error {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return failure(http.StatusUnsupportedMediaType, badRequest, "", "Content-Encoding %q: send the body as it is",
			e)
	}
	if r.ContentLength > s.MaxBody {
		return s.bodyTooLarge(r.ContentLength)
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(s.ClientTime)); err != nil {
		return err
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.MaxBody))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return s.bodyTooLarge(0)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		return failure(http.StatusRequestTimeout, badRequest, "timeout", "after %s the request's body was not there: "+
			"%d bytes had come", s.ClientTime, len(text))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return wrong("", "the request's body ended after %d bytes of %d", len(text), r.ContentLength)
	case err != nil:
		return wrong("", "the request's body: %s", err)
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil { // else it would end the answer
		return err
	}
	return decode(text, value)
}

func (s *Server) bodyTooLarge(size int64) error {
	if size > 0 {
		return tooLarge("the request's body has %d bytes, at most %d are taken", size, s.MaxBody)
	}
	return tooLarge("the request's body has more than %d bytes", s.MaxBody)
}

// decode reads one JSON object, whose fields must all be known: one that is misspelled would be left out in silence.
func decode(text []byte, value any) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return wrong("", "the request has no body: a JSON object is needed")
	}
	if !utf8.Valid(text) {
		return wrong("", "the request's body is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(value)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
	case errors.As(err, new(*apiError)):
		return err
	case errors.As(err, &syntax):
		return wrong("", "the request's body is no JSON: byte %d: %s", syntax.Offset, syntax)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return wrong("", "the request's body is no JSON: it ends too early")
	case errors.As(err, &kind):
		field := strings.TrimPrefix(kind.Field, "asked.") // the struct that both kinds of requests have
		return wrong(field, "%s is %s: %s is needed", named(field), article(kind.Value), kindName(kind.Type.Kind()))
	default:
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			name = strings.Trim(name, `"`)
			return wrong(name, "the field %q is not known here", name)
		}
		return wrong("", "the request's body: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return wrong("", "after the JSON object there is more: send one")
	}
	return nil
}

func named(field string) string {
	if field == "" {
		return "the request's body"
	}
	return field
}
