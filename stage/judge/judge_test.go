package judge

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"steplm/data/datatest"
)

const key = "sk-of-a+test/0123456789"

// server answers the nth request, from 1 on, as a test says.
func server(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) (address string,
	asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(int(asked.Add(1)), w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1", asked
}

// client asks a server, soon again.
func client(t *testing.T, address string, change func(*Config)) *Client {
	t.Helper()
	config := Config{BaseURL: address, Key: key, Model: "gpt-4", MaxTokens: 2048, Tries: 3, Timeout: 5 * time.Second,
		Backoff: time.Millisecond}
	if change != nil {
		change(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// says is a reply of OpenAI's interface.
func says(text string) string {
	quoted, _ := json.Marshal(text)
	return fmt.Sprintf(`{"choices": [{"message": {"role": "assistant", "content": %s}}], "usage": {"prompt_tokens": 12, `+
		`"completion_tokens": 3, "total_tokens": 15}}`, quoted)
}

// tokens are those of a JSON text, in order.
func tokens(t *testing.T, text []byte) (list []json.Token) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, token)
	}
}

// What reaches the judge is what FastChat sent, field by field in its order.
func TestRequestsAreFastChats(t *testing.T) {
	var cases []struct {
		Request json.RawMessage
		Reply   string
	}
	text, err := os.ReadFile(datatest.Path(t, "golden_mtbench/judge_requests.json"))
	if err == nil {
		err = json.Unmarshal(text, &cases)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range cases {
		var q request
		if err := json.Unmarshal(want.Request, &q); err != nil {
			t.Fatal(err)
		}
		var got []byte
		address, _ := server(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			got, _ = io.ReadAll(r.Body)
			if r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer "+key ||
				r.Header.Get("Content-Type") != "application/json" || r.Method != http.MethodPost {
				t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
			}
			io.WriteString(w, says(want.Reply))
		})
		reply, err := client(t, address, nil).Ask(t.Context(), q.Messages[0].Content, q.Messages[1].Content)
		if err != nil || reply != (Reply{want.Reply, 12, 3}) {
			t.Errorf("%+v, %v", reply, err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, want.Request); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(compact.Bytes(), got) || fmt.Sprint(tokens(t, got)) != fmt.Sprint(tokens(t, want.Request)) {
			t.Errorf("%s\nwant\n%s", got, &compact)
		}
	}
	if len(cases) != 4 {
		t.Errorf("%d requests", len(cases))
	}
}

// What a server does wrong once is overcome; what it always does wrong is an error that says what.
func TestServersThatMisbehave(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		again  bool // another try is made
		over   bool // where it always does so
		part   string
	}{
		"500":       {func(w http.ResponseWriter) { http.Error(w, "oops", 500) }, true, false, "answers 500"},
		"503 empty": {func(w http.ResponseWriter) { w.WriteHeader(503) }, true, false, "it says nothing"},
		"no JSON":   {func(w http.ResponseWriter) { io.WriteString(w, "{") }, true, false, "is no JSON"},
		"HTML": {func(w http.ResponseWriter) { io.WriteString(w, "<html>Sign in") }, true, false,
			"(it is text/html): <html>"},
		"no choices": {func(w http.ResponseWriter) { io.WriteString(w, `{"choices": []}`) }, true, false,
			"has no text"},
		"null": {func(w http.ResponseWriter) {
			io.WriteString(w, `{"choices": [{"message": {"content": null}}]}`)
		}, true, false, "has no text"},
		"an error with 200": {func(w http.ResponseWriter) {
			io.WriteString(w, `{"error": {"message": "upstream"}}`)
		}, true, false, "is an error"},
		"cut off": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, says("[[7]]"))
		}, true, true, "broke off"},
		"closed": {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, true, true, "cannot be asked"},
		"too long": {func(w http.ResponseWriter) {
			io.WriteString(w, says(strings.Repeat("x", mostReply)))
		}, true, false, "more than 8388608 bytes"},
		"429": {func(w http.ResponseWriter) { w.WriteHeader(429) }, true, false, "429 Too Many Requests"},
		"400": {func(w http.ResponseWriter) { http.Error(w, "too long", 400) }, false, false,
			"400 Bad Request: too long"},
		"401": {func(w http.ResponseWriter) { w.WriteHeader(401) }, false, true, "does not take the key"},
		"404": {func(w http.ResponseWriter) { w.WriteHeader(404) }, false, true, "no such model (gpt-4)"},
		"elsewhere": {func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(307) }, false, true,
			"elsewhere"},
		"no money": {func(w http.ResponseWriter) {
			w.WriteHeader(429)
			io.WriteString(w, `{"error": {"message": "You exceeded", "code": "insufficient_quota"}}`)
		}, false, true, "no money left: You exceeded"},
		"too busy": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(429)
		}, false, true, "asks to wait 24h"},
	} {
		for _, always := range []bool{false, true} {
			address, asked := server(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 1 || always {
					c.answer(w)
				} else {
					io.WriteString(w, says("[[7]]"))
				}
			})
			reply, err := client(t, address, nil).Ask(t.Context(), "s", "u")
			switch tries := asked.Load(); {
			case c.again && !always:
				if err != nil || reply.Text != "[[7]]" || tries != 2 {
					t.Errorf("%s once: %v, %v, %d tries", name, reply, err, tries)
				}
			default:
				want := int32(1)
				if c.again {
					want = 3
				}
				if err == nil || !strings.Contains(err.Error(), c.part) || tries != want || Over(err) != c.over ||
					strings.Contains(err.Error(), "\n") || len(err.Error()) > 600 {
					t.Errorf("%s: %v (over %t), %d tries, want %q", name, err, Over(err), tries, c.part)
				}
			}
		}
	}
}

// A server that says when to come back is believed, by everybody.
func TestRetryAfter(t *testing.T) {
	var mu sync.Mutex
	var refused time.Time
	address, asked := server(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case n == 1:
			refused = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
			return
		case time.Since(refused) > 200*time.Millisecond && time.Since(refused) < 900*time.Millisecond:
			t.Errorf("request %d came %s after it was too much", n, time.Since(refused))
		}
		io.WriteString(w, says("yes"))
	})
	var waits []time.Duration
	c := client(t, address, func(c *Config) {
		c.Waiting = func(wait time.Duration, why error) {
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, wait)
		}
	})
	if _, err := c.Ask(t.Context(), "s", "u"); err != nil || asked.Load() != 2 || time.Since(refused) < time.Second {
		t.Errorf("%v after %d requests, %s", err, asked.Load(), time.Since(refused))
	}
	if len(waits) != 1 || waits[0] != time.Second {
		t.Errorf("waits %v", waits)
	}
	asked.Store(0)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 3 {
				if _, err := c.Ask(t.Context(), "s", "u"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// No more requests begin in a minute than are allowed.
func TestPerMinute(t *testing.T) {
	address, _ := server(t, func(_ int, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, says("yes")) })
	c := client(t, address, func(c *Config) { c.PerMinute = 600 })
	began := time.Now()
	for range 4 {
		if _, err := c.Ask(t.Context(), "s", "u"); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 290*time.Millisecond {
		t.Errorf("four requests at 600 a minute took %s", took)
	}
}

// A server that says nothing is given up after the time that it has, and one that is not there at once; where the
// context ends, what was asked is waited for.
func TestStalls(t *testing.T) {
	end := make(chan struct{})
	address, asked := server(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	})
	defer close(end)
	c := client(t, address, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	if _, err := c.Ask(t.Context(), "s", "u"); err == nil || !strings.Contains(err.Error(), "no reply from") ||
		!Over(err) ||
		asked.Load() != 3 {
		t.Errorf("%v after %d tries", err, asked.Load())
	}
	c = client(t, "http://127.0.0.1:1/v1", nil)
	if _, err := c.Ask(t.Context(), "s", "u"); err == nil || !strings.Contains(err.Error(), "cannot be asked") ||
		!Over(err) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	address, asked = server(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		cancel()
		time.Sleep(50 * time.Millisecond)
		io.WriteString(w, says("late"))
	})
	c = client(t, address, nil)
	if reply, err := c.Ask(ctx, "s", "u"); err != nil || reply.Text != "late" {
		t.Errorf("%v, %v", reply, err)
	}
	if _, err := c.Ask(ctx, "s", "u"); !errors.Is(err, context.Canceled) || asked.Load() != 1 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

// Whatever a server does with the key, it is in no error and no reply.
func TestKeyIsNeverTold(t *testing.T) {
	spellings := []string{key, "Bearer " + key, url.QueryEscape(key), base64.StdEncoding.EncodeToString([]byte(key)),
		"k\x00" + key, "\t" + key + "\n"}
	answers := []func(w http.ResponseWriter, text string){
		func(w http.ResponseWriter, text string) { io.WriteString(w, says("your key is "+text)) },
		func(w http.ResponseWriter, text string) { io.WriteString(w, text) },
		func(w http.ResponseWriter, text string) {
			w.Header().Set("Content-Type", url.QueryEscape(text))
			io.WriteString(w, "x")
		},
		func(w http.ResponseWriter, text string) {
			http.Error(w, strings.Repeat("x", 280)+text, http.StatusUnauthorized)
		},
		func(w http.ResponseWriter, text string) {
			w.WriteHeader(400)
			json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"message": "bad key " + text}})
		},
		func(w http.ResponseWriter, text string) {
			w.WriteHeader(400)
			json.NewEncoder(w).Encode(map[string]any{"detail": text})
		},
		func(w http.ResponseWriter, text string) {
			w.Header().Set("Location", "http://127.0.0.1/?key="+url.QueryEscape(text))
			w.WriteHeader(302)
		},
		func(w http.ResponseWriter, text string) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				io.WriteString(connection, "HTTP/1.1 "+text+"\r\n\r\n")
				connection.Close()
			}
		},
	}
	for i, answer := range answers {
		for _, text := range spellings {
			address, _ := server(t, func(_ int, w http.ResponseWriter, _ *http.Request) { answer(w, text) })
			told := ""
			c := client(t, address, func(c *Config) {
				c.Tries, c.Waiting = 2, func(_ time.Duration, why error) { told += why.Error() }
			})
			reply, err := c.Ask(t.Context(), "s", "u")
			told += reply.Text + fmt.Sprint(err)
			for _, spelled := range []string{key, url.QueryEscape(key),
				base64.StdEncoding.EncodeToString([]byte(key))} {
				if strings.Contains(told, spelled) {
					t.Errorf("answer %d with %q: %s", i, text, told)
				}
			}
			if i == 0 && !strings.Contains(reply.Text, "[key]") {
				t.Errorf("%q", reply.Text)
			}
		}
	}
}

func TestConfigsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"not an address":     func(c *Config) { c.BaseURL = "localhost:8000" },
		"a user":             func(c *Config) { c.BaseURL = "https://me:secret-0123@example.org/v1" },
		"a query":            func(c *Config) { c.BaseURL = "https://example.org/v1?key=" + key },
		"has the key":        func(c *Config) { c.BaseURL = "https://example.org/" + key },
		"5 characters":       func(c *Config) { c.Key = "EMPTY" },
		"has blanks":         func(c *Config) { c.Key = "sk-012345 6789" },
		"0 tries":            func(c *Config) { c.Tries = 0 },
		"not an address\x00": func(c *Config) { c.BaseURL = "http://\x7f" + key },
	} {
		config := Config{BaseURL: "https://example.org/v1", Key: key, Model: "m", MaxTokens: 1, Tries: 1, Timeout: 1}
		change(&config)
		_, err := New(config)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, "\x00")) ||
			strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for address, want := range map[string]bool{"http://example.org/v1": true, "https://example.org/v1": false,
		"http://127.0.0.1:8000/v1": false, "http://localhost/v1": false, "http://[::1]/v1": false,
		"http://10.0.0.1/": true} {
		if got := client(t, address, nil).Exposed(); got != want {
			t.Errorf("%s: exposed %t", address, got)
		}
	}
}
