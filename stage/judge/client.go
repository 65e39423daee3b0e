package judge

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Config says which model is asked, and how patiently.
type Config struct {
	BaseURL   string // such as OpenAI, of which /chat/completions is asked
	Key       string // "": none is sent
	Model     string
	MaxTokens int           // of a reply
	PerMinute int           // requests begun in a minute, at most; 0: any number
	Tries     int           // of one question, 1 at least
	Timeout   time.Duration // of one try
	Backoff   time.Duration // before the second try; it doubles, up to a minute
	// Waiting hears of each wait for another try, and why. It may be nil; any goroutine calls it.
	Waiting func(wait time.Duration, why error)
}

// OpenAI is the base URL of OpenAI itself.
const OpenAI = "https://api.openai.com/v1"

const (
	mostBackoff = time.Minute
	// mostWait is the longest that a server may ask to wait: beyond that, whoever asks may come back another day.
	mostWait = 10 * time.Minute
	// leastKey is the length of the shortest key: shorter ones could not be told from words, to be taken out of texts.
	leastKey = 8
	// mostReply bounds the bytes of a server's answer, and mostSaid the characters of one that an error repeats.
	mostReply = 8 << 20
	mostSaid  = 300
)

// Client asks one model. It is safe for concurrent use.
type Client struct {
	Config
	address string
	http    http.Client
	gate    gate
	hide    *strings.Replacer // of the key, as it is and as texts may spell it
}

// New checks a Config.
func New(c Config) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(c.BaseURL, "/"))
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("the judge's base URL is not an address like %s", OpenAI)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the judge's base URL has a user, a query or a fragment: addresses stand in errors, " +
			"and a key belongs into the environment")
	case c.Key != "" && len(c.Key) < leastKey:
		return nil, fmt.Errorf("the judge's key has %d characters, a key has %d at least: leave the variable unset "+
			"where none is needed", len(c.Key), leastKey)
	case strings.IndexFunc(c.Key, func(r rune) bool { return r >= unicode.MaxASCII || r <= ' ' }) >= 0:
		return nil, errors.New("the judge's key has blanks or characters beyond ASCII: no key does")
	case c.Key != "" && strings.Contains(c.BaseURL, c.Key):
		return nil, errors.New("the judge's base URL has the key in it: it belongs into the environment alone")
	case c.Tries < 1 || c.Timeout <= 0 || c.MaxTokens < 1 || c.PerMinute < 0:
		return nil, fmt.Errorf("%d tries of %s for %d tokens, %d in a minute: none can be below its least", c.Tries,
			c.Timeout, c.MaxTokens, c.PerMinute)
	}
	client := &Client{Config: c, address: u.String() + "/chat/completions", gate: gate{perMinute: c.PerMinute},
		hide: hider(c.Key)}
	if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		transport = transport.Clone()
		transport.MaxIdleConnsPerHost = transport.MaxIdleConns // All go to one host; each keeps its connection.
		client.http.Transport = transport
	}
	client.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client, nil
}

// Exposed reports whether the key goes over a network as it is: to another machine, without encryption.
func (c *Client) Exposed() bool {
	u, err := url.Parse(c.address)
	if err != nil || c.Key == "" || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// request is a body as FastChat sends it, with its fields in that order.
type request struct {
	Model       string    `json:"model"`
	Messages    []message `json:"messages"`
	N           int       `json:"n"`
	Temperature int       `json:"temperature"`
	MaxTokens   int       `json:"max_tokens"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// body is the request of a question.
func (c *Client) body(system, user string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(request{c.Model, []message{{"system", system}, {"user", user}}, 1, 0, c.MaxTokens})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Reply is what the model said.
type Reply struct {
	Text string
	// Tokens that the server counted; 0: it does not say.
	PromptTokens, ReplyTokens int
}

// Ask asks until there is a reply, or no more try is worth it: an *Error. Where the context ends, a try that has begun
// is waited for, since it is paid for, and no other follows.
func (c *Client) Ask(ctx context.Context, system, user string) (Reply, error) {
	body, err := c.body(system, user)
	if err != nil {
		return Reply{}, err
	}
	began := time.Now()
	for failures := 0; ; {
		if err := c.gate.wait(ctx); err != nil {
			return Reply{}, err
		}
		reply, err := c.try(ctx, body)
		if err == nil {
			c.gate.replied()
			return reply, nil
		}
		failures++
		failed := &Error{}
		if !errors.As(err, &failed) {
			failed = &Error{Why: err, again: true}
		}
		failed.Tries = failures
		switch {
		case failed.Over || !failed.again:
			return Reply{}, failed
		case failed.after > mostWait:
			failed.Over = true
			failed.Why = fmt.Errorf("%w: it asks to wait %s", failed.Why, failed.after.Round(time.Second))
			return Reply{}, failed
		case ctx.Err() != nil:
			return Reply{}, ctx.Err()
		case failures >= c.Tries:
			failed.Over = failed.Status == 0 && !c.gate.repliedSince(began)
			return Reply{}, failed
		}
		if err := c.pause(ctx, failed, failures); err != nil {
			return Reply{}, err
		}
	}
}

// try asks once.
func (c *Client) try(ctx context.Context, body []byte) (Reply, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address, bytes.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "steplm")
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := c.http.Do(r)
	if err == nil {
		defer answer.Body.Close()
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(answer.Body, mostReply+1)); err == nil {
			return c.understand(answer, text)
		}
	}
	switch e := (*url.Error)(nil); {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("there was no reply from %s within %s", c.address, c.Timeout)
	case errors.As(err, &e):
		err = fmt.Errorf("%s cannot be asked: %s", c.address, c.clean(e.Err.Error()))
	default:
		err = fmt.Errorf("the reply from %s broke off: %s", c.address, c.clean(err.Error()))
	}
	return Reply{}, err
}

// hider takes a key out of texts, as it is and as headers, addresses and JSON may spell it.
func hider(key string) *strings.Replacer {
	if key == "" {
		return strings.NewReplacer()
	}
	quoted, _ := json.Marshal(key) // A string always has JSON.
	var pairs []string
	for _, spelled := range []string{key, url.QueryEscape(key), url.PathEscape(key), string(quoted[1 : len(quoted)-1]),
		html.EscapeString(key), base64.StdEncoding.EncodeToString([]byte(key))} {
		pairs = append(pairs, spelled, "[key]")
	}
	return strings.NewReplacer(pairs...)
}

// clean is a text of a server's without the key.
func (c *Client) clean(text string) string { return c.hide.Replace(text) }
