package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"steplm/internal/retry"
)

const (
	defaultEndpoint = "https://huggingface.co"
	defaultRetries  = 5
	defaultBackoff  = time.Second
	defaultStall    = time.Minute

	maxBackoff    = 30 * time.Second
	maxRetryAfter = 5 * time.Minute
	maxRedirects  = 10
)

// Client talks to one hub and keeps one cache. It is safe for concurrent use.
type Client struct {
	Endpoint string // scheme and host, without a slash at the end
	Token    string // sent to the endpoint's host only; "" = none
	Cache    string // the folder that holds datasets--OWNER--NAME

	Retries int           // attempts in a row without progress after the first
	Backoff time.Duration // before the first retry; it doubles, up to 30 s
	Stall   time.Duration // without a byte for so long, an attempt has failed
}

// FromEnvironment is a client as Hugging Face's tools would set it up: HF_ENDPOINT,
// HF_TOKEN or the file that HF_TOKEN_PATH names or HF_HOME/token, and HF_HUB_CACHE or
// HF_HOME/hub. HF_HOME is ~/.cache/huggingface where it is not set.
func FromEnvironment() (*Client, error) {
	c := &Client{Endpoint: os.Getenv("HF_ENDPOINT"), Retries: defaultRetries, Backoff: defaultBackoff,
		Stall: defaultStall}
	if c.Endpoint == "" {
		c.Endpoint = defaultEndpoint
	}
	c.Endpoint = strings.TrimRight(c.Endpoint, "/")
	if u, err := url.Parse(c.Endpoint); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" ||
		u.User != nil {
		return nil, errors.New("HF_ENDPOINT is not an address like " + defaultEndpoint)
	}
	home := os.Getenv("HF_HOME")
	if home == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			user, err := os.UserHomeDir()
			if err != nil {
				return nil, fmt.Errorf("no place for the cache: %w; set HF_HOME", err)
			}
			cache = filepath.Join(user, ".cache")
		}
		home = filepath.Join(cache, "huggingface")
	}
	if c.Cache = os.Getenv("HF_HUB_CACHE"); c.Cache == "" {
		c.Cache = filepath.Join(home, "hub")
	}
	if c.Token = strings.TrimSpace(os.Getenv("HF_TOKEN")); c.Token != "" {
		return c, nil
	}
	file := os.Getenv("HF_TOKEN_PATH")
	if file == "" {
		file = filepath.Join(home, "token")
	}
	token, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the hub's token: %w", err)
	}
	c.Token = strings.TrimSpace(string(token))
	return c, nil
}

// get asks once. What is not a success is a statusError; anything else that fails
// may be tried again.
func (c *Client) get(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "steplm")
	c.authorize(req)
	client := http.Client{CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= maxRedirects {
			return errors.New("too many redirects")
		}
		// net/http would send it to the same host's other ports and to subdomains.
		req.Header.Del("Authorization")
		c.authorize(req)
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		// The address of a redirect may be a signed one, which is as good as a token.
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		io.CopyN(io.Discard, resp.Body, 4096)
		resp.Body.Close()
		return nil, statusError{resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"))}
	}
	return resp, nil
}

// authorize adds the token to what goes to the endpoint itself.
func (c *Client) authorize(req *http.Request) {
	home, err := url.Parse(c.Endpoint)
	if c.Token != "" && err == nil && req.URL.Scheme == home.Scheme && req.URL.Host == home.Host {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
}

// retryAfter is what the header says, within bounds; 0 = not said.
func retryAfter(header string) time.Duration {
	wait, _ := retry.After(header)
	return min(wait, maxRetryAfter)
}

// statusError is an answer that is not a success.
type statusError struct {
	code  int
	after time.Duration
}

func (e statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code))
}

// final is an error that another attempt would not change.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// retry calls attempt until it succeeds, fails for good, or has failed too often in
// a row without progress, which is what attempt reports.
func (c *Client) retry(ctx context.Context, attempt func() (progress bool, err error)) error {
	for failures := 0; ; {
		progress, err := attempt()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if progress {
			failures = 0
		}
		status := statusError{}
		answered := errors.As(err, &status)
		if errors.As(err, new(final)) || answered && !retry.Temporary(status.code) {
			return err
		}
		if failures >= c.Retries {
			return fmt.Errorf("%w (%d attempts); try again later, what has arrived is kept", err, failures+1)
		}
		wait := retry.Backoff(c.Backoff, maxBackoff, failures)
		if answered && status.after > 0 {
			wait = status.after
		}
		failures++
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// explain says what to do about an answer, in the dataset's terms.
func (c *Client) explain(s Source, err error) error {
	status := statusError{}
	if !errors.As(err, &status) {
		return err
	}
	switch {
	case status.code == http.StatusUnauthorized && c.Token == "":
		return fmt.Errorf("%w: the dataset is private, gated or does not exist; check its name, or set HF_TOKEN", err)
	case status.code == http.StatusUnauthorized:
		return fmt.Errorf("%w: the token is not valid; check HF_TOKEN", err)
	case status.code == http.StatusForbidden:
		return fmt.Errorf("%w: accept the dataset's conditions at %s/datasets/%s and set HF_TOKEN to a token of "+
			"that account", err, c.Endpoint, s.repo())
	case status.code == http.StatusNotFound:
		return fmt.Errorf("%w: no such dataset, revision or path; look at %s/datasets/%s/tree/%s", err, c.Endpoint,
			s.repo(), defaultRevision)
	}
	return err
}
