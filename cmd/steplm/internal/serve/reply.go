package serve

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"steplm/model/generate"
)

// usage counts tokens, as OpenAI has it: a prompt's once, however many texts follow on it.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// form is how a kind of request is answered.
type form interface {
	// whole is one choice, when all of it is there.
	whole(index int, all piece, finish string) any
	// part is one choice of a chunk. first is of its first chunk, finish of its last, and "" before.
	part(index int, some piece, first bool, finish string) any
	object(stream bool) string
	prefix() string // of its id
}

// reply is what a request is answered with, of all its choices.
type reply struct {
	s         *Server
	form      form
	asked     *asked
	choices   []*choice
	signal    chan struct{}
	tokens    bool // are told of, with their log-probabilities
	prompts   int  // tokens
	id        string
	created   int64
	began     time.Time
	requested []generate.Request
}

func (s *Server) reply(f form, a *asked) *reply {
	return &reply{s: s, form: f, asked: a, signal: make(chan struct{}, 1), id: f.prefix() + rand.Text(),
		created: time.Now().Unix(), began: time.Now()}
}

// add takes one text in; said is what its text begins with already.
func (p *reply) add(r generate.Request, stops []string, said string) {
	c := &choice{text: p.s.voice.Text(r.Prompt, stops), ends: r.Ends, signal: p.signal, some: piece{text: said}}
	r.Heard = c.heard
	p.choices, p.requested = append(p.choices, c), append(p.requested, r)
	p.tokens = p.tokens || r.LogProbs
}

// answer has the texts made and tells of them.
func (p *reply) answer(w http.ResponseWriter, r *http.Request) error {
	for _, one := range p.requested {
		if err := p.s.engine.Check(one); err != nil {
			return asWrong(err)
		}
	}
	ctx, done := context.WithTimeoutCause(r.Context(), p.s.RequestTime, errTime)
	defer done() // The engine lets go of what is not done.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.s.ending, func() { cancel(errStopped) })()
	jobs, err := p.s.engine.Submit(ctx, p.requested...)
	if err != nil {
		return err
	}
	p.requested = nil
	for i, c := range p.choices {
		c.job = jobs[i]
	}
	defer p.count()
	if p.asked.Stream {
		return p.stream(ctx, w)
	}
	return p.once(ctx, w)
}

// why is the reason for which a request's context ended. A client that is gone may have closed only its half of the
// connection, and is told.
func why(ctx context.Context) error {
	if err := context.Cause(ctx); err != context.Canceled {
		return err
	}
	return wrong("", "the client closed the connection before its answer: keep it open until then")
}

// once answers when everything is there.
func (p *reply) once(ctx context.Context, w http.ResponseWriter) error {
	list := make([]any, len(p.choices))
	for i, c := range p.choices {
		select {
		case <-c.job.Done():
		case <-ctx.Done():
			return why(ctx)
		}
		all, _, err := c.take()
		if err != nil {
			return err
		}
		list[i] = p.form.whole(i, all, c.reason())
	}
	used := p.used()
	if err := p.patience(w); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, p.message(list, &used, false))
	return nil
}

// patience gives the client its time to take what is written next.
func (p *reply) patience(w http.ResponseWriter) error {
	return http.NewResponseController(w).SetWriteDeadline(time.Now().Add(p.s.ClientTime))
}

// message is an answer, or a chunk of one.
func (p *reply) message(choices []any, used *usage, stream bool) map[string]any {
	m := map[string]any{"id": p.id, "object": p.form.object(stream), "created": p.created, "model": p.s.name,
		"choices": choices}
	if used != nil {
		m["usage"] = used
	}
	return m
}

// used counts the tokens so far.
func (p *reply) used() usage {
	u := usage{Prompt: p.prompts}
	for _, c := range p.choices {
		c.mu.Lock()
		u.Completion += c.added
		c.mu.Unlock()
	}
	u.Total = u.Prompt + u.Completion
	return u
}

// count tells the metrics what came of the request.
func (p *reply) count() {
	u := p.used()
	p.s.metrics.tokens.WithLabelValues("prompt").Add(float64(u.Prompt))
	p.s.metrics.tokens.WithLabelValues("completion").Add(float64(u.Completion))
	for _, c := range p.choices {
		c.mu.Lock()
		first := c.first
		c.mu.Unlock()
		if !first.IsZero() {
			p.s.metrics.first.Observe(first.Sub(p.began).Seconds())
		}
		select {
		case <-c.job.Done():
			finish, _ := c.job.Result()
			p.s.metrics.ended.WithLabelValues(string(finish)).Inc()
			p.s.metrics.waited.Observe(c.job.Waited().Seconds())
		default:
			p.s.metrics.ended.WithLabelValues(string(generate.Cancelled)).Inc()
		}
	}
}
