package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/serve"
	"steplm/cmd/steplm/internal/speak"
	"steplm/data/datatest"
	"steplm/model/generate"
)

// site is a server that runs, in this process, on the host device.
type site struct {
	t    *testing.T
	url  string
	at   string
	key  string
	stop func() error // tells it to end, and waits
}

// limits are the defaults, but for time, of which tests have less.
func limits() serve.Limits {
	return serve.Limits{MaxBody: 1 << 20, MaxRequests: 256, MaxSequences: 64, MaxRequestSize: 100_000, MaxQueue: 256,
		MaxConnections: 512, QueueTime: time.Minute, RequestTime: time.Minute, ClientTime: 20 * time.Second,
		EndTime: 20 * time.Second}
}

// served serves a model until the test ends; change, unless nil, changes how.
func served(t *testing.T, dir, tok string, change func(*serve.Config, *generate.Config)) *site {
	t.Helper()
	f := speak.Flags{}
	f.Model, f.Tokenizer, f.Device, f.GPUShare, f.SecondsPerClass = dir, tok, "host", 1, 1
	v, err := f.Find(true)
	if err != nil {
		t.Fatal(err)
	}
	manner, err := v.Manner("")
	if err != nil {
		t.Fatal(err)
	}
	c, g := serve.Config{Limits: limits(), Name: "small", Path: dir, Voice: v, Manner: manner, Made: time.Now()},
		generate.Config{Slots: 8, Context: v.Context}
	if change != nil {
		change(&c, &g)
	}
	s, err := v.Open(t.Context(), g, speak.Work{}, true)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended, over := error(nil), make(chan struct{})
	go func() {
		defer close(over)
		ended = serve.New(s.Gen, c).Serve(ctx, l)
		s.Close()
	}()
	stop := func() error {
		cancel()
		select {
		case <-over:
			return ended
		case <-time.After(time.Minute):
			t.Fatal("the server does not end")
			return nil
		}
	}
	t.Cleanup(func() { stop() })
	return &site{t, "http://" + l.Addr().String(), l.Addr().String(), c.Key, stop}
}

// random serves an untrained model of 32 positions.
func random(t *testing.T, change func(*serve.Config, *generate.Config)) *site {
	t.Helper()
	return served(t, clitest.RandomModel(t, 280), "", change)
}

// stories serves stories260K.
func stories(t *testing.T, change func(*serve.Config, *generate.Config)) *site {
	t.Helper()
	return served(t, datatest.Path(t, "models/stories260K"), datatest.Path(t, "generate/tokenizer"), change)
}

// do sends a request and returns its answer.
func (s *site) do(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.key != "" {
		r.Header.Set("Authorization", "Bearer "+s.key)
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Error(err)
		return &http.Response{}, ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Error(err)
	}
	return answer, string(text)
}

// answer is any of the server's.
type answer struct {
	ID, Object, Model string
	Created           int64
	Choices           []choice
	Usage             *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
	Error *struct {
		Message, Type string
		Param, Code   *string
	}
}

type choice struct {
	Index          int
	Text           string
	Message, Delta struct{ Role, Content string }
	Finish         *string `json:"finish_reason"`
	LogProbs       *struct {
		Tokens        []string
		TokenLogProbs []*float64           `json:"token_logprobs"`
		TopLogProbs   []map[string]float64 `json:"top_logprobs"`
		TextOffset    []int                `json:"text_offset"`
		Content       []struct {
			Token   string
			LogProb float64
			Bytes   []byte `json:"-"`
			Top     []struct {
				Token   string
				LogProb float64
			} `json:"top_logprobs"`
		}
	}
}

func (c choice) finish() string {
	if c.Finish == nil {
		return ""
	}
	return *c.Finish
}

type object map[string]any

func text(t *testing.T, value any) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(value); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// ask posts a request that is to be answered.
func (s *site) ask(path string, request object) (a answer) {
	s.t.Helper()
	response, body := s.do("POST", path, text(s.t, request))
	if response.StatusCode != 200 || json.Unmarshal([]byte(body), &a) != nil {
		s.t.Errorf("%s %v: %d %s", path, request, response.StatusCode, body)
	}
	return a
}

// stream posts a request that is to be streamed, and returns every chunk.
func (s *site) stream(path string, request object) (list []answer) {
	s.t.Helper()
	request["stream"] = true
	response, body := s.do("POST", path, text(s.t, request))
	if kind := response.Header.Get("Content-Type"); response.StatusCode != 200 ||
		!strings.HasPrefix(kind, "text/event-stream") {
		s.t.Errorf("%s %v: %d, %s: %s", path, request, response.StatusCode, kind, body)
		return nil
	}
	parts := strings.Split(body, "\n\n")
	if len(parts) < 2 || parts[len(parts)-1] != "" || parts[len(parts)-2] != "data: [DONE]" {
		s.t.Errorf("the stream ends with %q", body[max(0, len(body)-200):])
		return nil
	}
	for _, part := range parts[:len(parts)-2] {
		var a answer
		line, ok := strings.CutPrefix(part, "data: ")
		if !ok || json.Unmarshal([]byte(line), &a) != nil {
			s.t.Errorf("the event %q", part)
		}
		list = append(list, a)
	}
	return list
}

// refused posts a request, or what is none, that is not to be done.
func (s *site) refused(status int, path, body string, parts ...string) answer {
	s.t.Helper()
	response, got := s.do("POST", path, body)
	return s.isError(response, got, status, parts...)
}

// isError checks that an answer is an error in OpenAI's form, whose message holds parts.
func (s *site) isError(response *http.Response, body string, status int, parts ...string) (a answer) {
	s.t.Helper()
	err := json.Unmarshal([]byte(body), &a)
	if err != nil || response.StatusCode != status || a.Error == nil || a.Error.Type == "" ||
		!strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		s.t.Errorf("want an error of %d, got %d: %s", status, response.StatusCode, body)
		return a
	}
	for _, part := range parts {
		if !strings.Contains(a.Error.Message, part) {
			s.t.Errorf("%q does not hold %q", a.Error.Message, part)
		}
	}
	return a
}
