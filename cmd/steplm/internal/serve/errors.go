package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"steplm/model/engine"
	"steplm/model/generate"
	"steplm/model/sample"
)

// apiError is an error as OpenAI's interface tells it.
type apiError struct {
	Status  int     `json:"-"`
	Retry   int     `json:"-"` // seconds after which to try again; 0: it is not said
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"` // the field that is wrong
	Code    *string `json:"code"`
}

func (e *apiError) Error() string { return e.Message }

// The types of errors, which clients tell apart.
const (
	badRequest  = "invalid_request_error"
	badKey      = "authentication_error"
	tooMuch     = "rate_limit_error"
	unavailable = "server_error"
)

func failure(status int, kind, code, format string, args ...any) *apiError {
	e := &apiError{Status: status, Type: kind, Message: fmt.Sprintf(format, args...)}
	if code != "" {
		e.Code = &code
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		e.Retry = 1
	}
	return e
}

// tooLarge is a request that asks for too much.
func tooLarge(format string, args ...any) *apiError {
	return failure(http.StatusRequestEntityTooLarge, badRequest, "", format, args...)
}

// wrong is a request of which a field is wrong; "": the whole.
func wrong(param, format string, args ...any) *apiError {
	e := failure(http.StatusBadRequest, badRequest, "", format, args...)
	if param != "" {
		e.Param = &param
	}
	return e
}

// Why a request's context ended, besides that its client went.
var (
	errTime    = errors.New("the request took too long")
	errSlow    = errors.New("the client takes nothing of its answer")
	errStopped = errors.New("the server is ending")
)

// asAPI is any error as a client is told it. What nobody foresaw is told as it is: there are no secrets in it.
func asAPI(err error) *apiError {
	var api *apiError
	var long *generate.TooLong
	var option *sample.Option
	switch {
	case errors.As(err, &api):
		return api
	case errors.As(err, &long):
		e := wrong("prompt", "%s: shorten it", long)
		code := "context_length_exceeded"
		e.Code = &code
		return e
	case errors.As(err, &option):
		return wrong(option.Name, "%s", option)
	case errors.Is(err, engine.ErrBusy):
		return failure(http.StatusTooManyRequests, tooMuch, "queue_full", "%s: try again later", err)
	case errors.Is(err, engine.ErrWaited), errors.Is(err, errTime):
		return failure(http.StatusServiceUnavailable, unavailable, "timeout", "%s: try again later", err)
	case errors.Is(err, engine.ErrClosed), errors.Is(err, errStopped):
		return failure(http.StatusServiceUnavailable, unavailable, "ending", "%s", errStopped)
	}
	return failure(http.StatusInternalServerError, unavailable, "", "%s", err)
}

// asWrong is an error of a request that can never be done.
func asWrong(err error) *apiError {
	if e := asAPI(err); e.Status < http.StatusInternalServerError {
		return e
	}
	return wrong("prompt", "%s", err)
}

// writeError answers with an error.
func writeError(w http.ResponseWriter, err error) {
	e := asAPI(err)
	if e.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.Retry))
	}
	writeJSON(w, e.Status, map[string]*apiError{"error": e})
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, value any) {
	text, err := encode(value)
	if err != nil { // a number that is none
		status, text = http.StatusInternalServerError, []byte(`{"error":{"message":"the answer has a number that JSON `+
			`cannot hold","type":"server_error","param":null,"code":null}}`+"\n")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // A client that is gone cannot be told so.
}

// encode is a value's JSON on one line, with texts as they are.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return b.Bytes(), err
}
