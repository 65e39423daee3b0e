package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// events writes server-sent events: data, an empty line.
type events struct {
	p    *reply
	w    http.ResponseWriter
	sent bool // that this is a stream
}

// errGone is a client that can be told nothing any more.
var errGone = errors.New("the client is gone")

// send writes one event.
func (e *events) send(value any) error {
	text, err := encode(value)
	if err != nil {
		return err
	}
	return e.raw(bytes.TrimSuffix(text, []byte("\n")))
}

func (e *events) raw(text []byte) error {
	if err := e.p.patience(e.w); err != nil {
		return err
	}
	if !e.sent {
		e.sent = true
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no") // as proxies are told to pass each event on
		e.w.WriteHeader(http.StatusOK)
	}
	_, err := fmt.Fprintf(e.w, "data: %s\n\n", text)
	if err == nil {
		err = http.NewResponseController(e.w).Flush()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %w", errGone, errSlow)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// stream tells of texts as they come. An error before the first piece is an answer of its own, a later one an event.
func (p *reply) stream(ctx context.Context, w http.ResponseWriter) error {
	e := &events{p: p, w: w}
	err := p.pieces(ctx, e)
	if err == nil && p.asked.StreamOptions != nil && p.asked.StreamOptions.IncludeUsage {
		used := p.used()
		err = e.send(p.message([]any{}, &used, true))
	}
	if err == nil {
		err = e.raw([]byte("[DONE]"))
	}
	switch {
	case err == nil || errors.Is(err, errGone):
		return nil
	case !e.sent:
		return err
	}
	e.send(map[string]*apiError{"error": asAPI(err)}) // If that fails too, there is nobody to tell.
	return nil
}

// pieces sends what comes until all of it came.
func (p *reply) pieces(ctx context.Context, e *events) error {
	for _, c := range p.choices {
		go func() {
			<-c.job.Done()
			c.wake()
		}()
	}
	told, over := make([]bool, len(p.choices)), make([]bool, len(p.choices))
	for left := len(p.choices); left > 0; {
		select {
		case <-p.signal:
		case <-ctx.Done():
			return why(ctx)
		}
		for i, c := range p.choices {
			if over[i] {
				continue
			}
			some, ended, err := c.take()
			if err != nil {
				return err
			}
			list := p.parts(i, some, !told[i], ended)
			for _, part := range list {
				told[i] = true
				if err := e.send(p.message([]any{part}, nil, true)); err != nil {
					return err
				}
			}
			if ended {
				over[i] = true
				left--
			}
		}
	}
	return nil
}

// parts are the chunks of one choice for what has come: none for tokens whose text is held back, unless those are
// wanted themselves.
func (p *reply) parts(i int, some piece, first, ended bool) (list []any) {
	if some.text != "" || len(some.tokens) > 0 && p.tokens {
		list = append(list, p.form.part(i, some, first, ""))
		first, some = false, piece{}
	}
	if ended {
		list = append(list, p.form.part(i, some, first, p.choices[i].reason()))
	}
	return list
}
