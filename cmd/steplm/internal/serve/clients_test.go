package serve_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/serve"
	"steplm/model/generate"
)

// metric is the sum of a metric's lines whose labels hold a part.
func (s *site) metric(name, part string) (sum float64) {
	s.t.Helper()
	_, body := s.do("GET", "/metrics", "")
	found := false
	for _, m := range regexp.MustCompile(`(?m)^steplm_`+name+`(\{.*\})? (\S+)$`).FindAllStringSubmatch(body, -1) {
		if x, err := strconv.ParseFloat(m[2], 64); err == nil && strings.Contains(m[1], part) {
			sum, found = sum+x, true
		}
	}
	if !found && part == "" {
		s.t.Errorf("there is no metric %s", name)
	}
	return sum
}

// until waits for something to be so.
func (s *site) until(what string, so func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatal("it never is so: ", what)
		}
	}
}

// raw sends bytes on a connection of its own, closes its half of it if told to, and returns what is answered.
func (s *site) raw(half bool, parts ...string) (*http.Response, string) {
	s.t.Helper()
	c, err := net.Dial("tcp", s.at)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	for _, p := range parts {
		if _, err := io.WriteString(c, p); err != nil {
			s.t.Error(err)
		}
	}
	if half {
		c.(*net.TCPConn).CloseWrite()
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		s.t.Error(err)
		return &http.Response{}, ""
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Error(err)
	}
	return response, string(body)
}

func post(path, body string, length int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", path,
		length, body)
}

// long is a request that does not end by itself soon.
const long = `{"prompt": "Once upon a time", "max_tokens": 500, "n": 20, "ignore_eos": true, "stream": %t}`

// Clients that are slow, closed by half, gone, or speak no HTTP: each is told one thing, if anything can be told, and
// nobody else is the worse for it.
func TestClients(t *testing.T) {
	s := stories(t, func(c *serve.Config, g *generate.Config) { c.ClientTime, g.Slots = 500*time.Millisecond, 20 })
	to := func(text string) string { return strings.Replace(text, "Host: localhost", "Host: "+s.at, 1) }
	response, body := s.raw(false, to(post("/v1/completions", `{"prompt": `, 100)))
	s.isError(response, body, 408, "500ms", "11 bytes")
	response, body = s.raw(true, to(post("/v1/completions", `{"prompt": `, 100)))
	s.isError(response, body, 400, "ended after 11 bytes of 100")
	request := fmt.Sprintf(long, false)
	response, body = s.raw(true, to(post("/v1/completions", request, len(request))))
	s.isError(response, body, 400, "closed the connection", "keep it open")
	if response, body = s.raw(false, "what is this\r\n\r\n"); response.StatusCode != 400 {
		t.Errorf("no HTTP: %d %s", response.StatusCode, body)
	}
	s.until("nothing runs", func() bool { return s.metric("running", "") == 0 })

	// One goes in the middle of its stream.
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/completions",
		strings.NewReader(fmt.Sprintf(long, true)))
	if err != nil {
		t.Fatal(err)
	}
	streamed, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer streamed.Body.Close()
	if _, err := streamed.Body.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if n := s.metric("running", ""); n != 20 {
		t.Errorf("%g texts run", n)
	}
	cancel()
	s.until("what nobody waits for ends", func() bool { return s.metric("running", "") == 0 })
	if n := s.metric("texts_total", "cancelled"); n < 40 {
		t.Errorf("%g texts were cancelled", n)
	}
	if a := s.ask("/v1/completions", object{"prompt": "Once", "max_tokens": 3}); a.Usage.Completion != 3 {
		t.Errorf("%+v", a)
	}
}

// A client that takes nothing of its answer is let go, and what it asked for ends.
func TestClientThatReadsNothing(t *testing.T) {
	s := stories(t, func(c *serve.Config, g *generate.Config) { c.ClientTime, g.Slots = 300*time.Millisecond, 20 })
	c, err := net.Dial("tcp", s.at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(1024); err != nil {
		t.Fatal(err)
	}
	// An answer of about 16 megabytes, of which the system keeps some.
	body := `{"prompt": "Once", "max_tokens": 505, "ignore_eos": true, "n": 20, "logprobs": 20, "stream": true}`
	request := strings.Replace(post("/v1/completions", body, len(body)), "Host: localhost", "Host: "+s.at, 1)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	s.until("it is let go", func() bool {
		return s.metric("texts_total", "cancelled") > 0 && s.metric("running", "")+s.metric("waiting", "") == 0
	})
}

// More than there is room for is told to come later, in time.
func TestBusy(t *testing.T) {
	s := stories(t, func(c *serve.Config, g *generate.Config) {
		g.Slots, c.MaxQueue, c.MaxSequences, c.MaxRequests, c.QueueTime = 1, 2, 2, 3, 300*time.Millisecond
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	slow := func(n int) {
		r, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/completions", strings.NewReader(fmt.Sprintf(
			`{"prompt": "Once", "max_tokens": 505, "n": %d, "ignore_eos": true, "stream": true}`, n)))
		if err != nil {
			t.Error(err)
			return
		}
		if response, err := http.DefaultClient.Do(r); err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	}
	all.Go(func() { slow(1) })
	s.until("one runs", func() bool { return s.metric("running", "") == 1 })
	response, body := s.do("POST", "/v1/completions", `{"prompt": "a"}`)
	s.isError(response, body, 503, "300ms")
	if response.Header.Get("Retry-After") == "" {
		t.Errorf("%v", response.Header)
	}
	all.Go(func() { slow(2) })
	s.until("two wait", func() bool { return s.metric("waiting", "") == 2 })
	response, body = s.do("POST", "/v1/completions", `{"prompt": "a"}`)
	s.isError(response, body, 429, "2 sequences of at most 2")
	if response.Header.Get("Retry-After") == "" {
		t.Errorf("%v", response.Header)
	}
}

// What takes too long ends: an answer of its own, or an event of a stream.
func TestTime(t *testing.T) {
	s := stories(t, func(c *serve.Config, g *generate.Config) { g.Slots, c.RequestTime = 4, 400*time.Millisecond })
	request := object{"prompt": "Once", "max_tokens": 505, "n": 30, "ignore_eos": true}
	response, body := s.do("POST", "/v1/completions", text(t, request))
	s.isError(response, body, 503, "took too long")
	request["stream"] = true
	response, body = s.do("POST", "/v1/completions", text(t, request))
	if response.StatusCode != 200 || !strings.Contains(body, `data: {"error":{"message":"the request took too long`) ||
		strings.Contains(body, "[DONE]") {
		t.Errorf("%d: %s", response.StatusCode, body[max(0, len(body)-300):])
	}
}

// A server that is told to end lets what runs end and takes nothing more; what takes too long it ends itself.
func TestEnd(t *testing.T) {
	for _, patience := range []time.Duration{20 * time.Second, 100 * time.Millisecond} {
		s := stories(t, func(c *serve.Config, _ *generate.Config) { c.EndTime = patience })
		tokens, whole := 60, patience > time.Second
		if !whole {
			tokens = 500
		}
		type said struct {
			status int
			body   string
		}
		answers := make(chan said, 2)
		for _, stream := range []bool{false, true} {
			go func() {
				response, body := s.do("POST", "/v1/completions", text(t, object{"prompt": "Once", "max_tokens": tokens,
					"n": 4, "ignore_eos": true, "stream": stream}))
				answers <- said{response.StatusCode, body}
			}()
		}
		s.until("both run", func() bool { return s.metric("running", "") == 8 })
		err := s.stop()
		for range 2 {
			a := <-answers
			ended := strings.Contains(a.body, "the server is ending")
			if whole && (ended || a.status != 200) || !whole && !ended {
				t.Errorf("within %s: %d %s", patience, a.status, a.body[max(0, len(a.body)-300):])
			}
		}
		if whole && err != nil || !whole && !errors.Is(err, serve.ErrCut) {
			t.Errorf("within %s: %v", patience, err)
		}
		if _, err := http.Get(s.url + "/health"); err == nil {
			t.Error("it answers after its end")
		}
	}
}
