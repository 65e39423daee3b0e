package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"steplm/internal/retry"
)

// Error is a question without a reply.
type Error struct {
	Why    error
	Status int // of HTTP; 0: there was no answer
	Tries  int
	// Over says that it is of no use to ask anything else: the key, the model or the address is wrong, there is no
	// money left, or the server has been away for all the tries.
	Over  bool
	again bool // another try may help
	after time.Duration
	said  bool // the server said after how long
}

func (e *Error) Error() string {
	if e.Tries > 1 {
		return fmt.Sprintf("%v (tried %d times)", e.Why, e.Tries)
	}
	return e.Why.Error()
}

func (e *Error) Unwrap() error { return e.Why }

// completion is an answer of OpenAI's interface, or an error of it.
type completion struct {
	Choices []struct {
		Message struct {
			Content *string `json:"content"`
		} `json:"message"`
	} `json:"choices"`
	Usage struct {
		Prompt int `json:"prompt_tokens"`
		Reply  int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// understand reads an answer.
func (c *Client) understand(answer *http.Response, text []byte) (Reply, error) {
	if answer.StatusCode != http.StatusOK {
		return Reply{}, c.refusal(answer, text)
	}
	wrong := func(format string, args ...any) (Reply, error) {
		return Reply{}, &Error{Why: fmt.Errorf("the reply from %s "+format, append([]any{c.address}, args...)...),
			Status: answer.StatusCode, again: true}
	}
	if len(text) > mostReply {
		return wrong("has more than %d bytes", mostReply)
	}
	var said completion
	if err := json.Unmarshal(text, &said); err != nil {
		return wrong("is no JSON (it is %s): %s", c.kind(answer), c.quote(text))
	}
	switch {
	case len(said.Error) > 0 && string(said.Error) != "null":
		return wrong("is an error: %s", c.quote(said.Error))
	case len(said.Choices) == 0 || said.Choices[0].Message.Content == nil:
		return wrong("has no text: %s", c.quote(text))
	}
	return Reply{c.clean(*said.Choices[0].Message.Content), said.Usage.Prompt, said.Usage.Reply}, nil
}

// kind is the content type that an answer claims to have.
func (c *Client) kind(answer *http.Response) string {
	name, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if name == "" {
		return "of no content type"
	}
	return c.clean(plain(name))
}

// refusal is the error of an answer that is no success.
func (c *Client) refusal(answer *http.Response, text []byte) error {
	e := &Error{Status: answer.StatusCode, again: retry.Temporary(answer.StatusCode)}
	e.after, e.said = retry.After(answer.Header.Get("Retry-After"))
	why, code := c.quote(text), ""
	var said struct {
		Error struct {
			Message string          `json:"message"`
			Code    json.RawMessage `json:"code"`
		} `json:"error"`
	}
	if json.Unmarshal(text, &said) == nil && said.Error.Message != "" {
		why, code = c.quote([]byte(said.Error.Message)), strings.Trim(string(said.Error.Code), `"`)
	}
	advice := ""
	switch s := answer.StatusCode; {
	case s == http.StatusUnauthorized && c.Key == "":
		e.Over, advice = true, ": it needs a key, and the environment has none"
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		e.Over, advice = true, ": it does not take the key"
	case s == http.StatusNotFound || s == http.StatusMethodNotAllowed:
		e.Over, advice = true, fmt.Sprintf(": it knows no such model (%s), or is no base URL of OpenAI's interface",
			c.Model)
	case s >= 300 && s < 400:
		e.Over, advice = true, ": it leads elsewhere, where a key is not sent; name that address"
	case code == "insufficient_quota":
		e.Over, advice = true, ": there is no money left"
	}
	status := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	e.Why = fmt.Errorf("%s answers %s%s: %s", c.address, status, advice, why)
	return e
}

// quote is what a server said, for an error: without the key, in one line, not long.
func (c *Client) quote(text []byte) string {
	s := []rune(c.clean(plain(strings.ToValidUTF8(string(text), "\uFFFD"))))
	switch {
	case len(s) == 0:
		return "it says nothing"
	case len(s) > mostSaid:
		return string(s[:mostSaid]) + "..."
	}
	return string(s)
}

// plain is a text in one line, without what steers a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}

// Over reports whether an error means that asking for anything else is of no use.
func Over(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Over
}
