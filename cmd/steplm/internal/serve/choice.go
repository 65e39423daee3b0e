package serve

import (
	"slices"
	"sync"
	"time"

	"steplm/model/engine"
	"steplm/model/generate"
)

// choice is one text on its way from the engine, which never waits for it, to a client: what was not taken yet is kept,
// of which there is as much as the text may have tokens.
type choice struct {
	job    *engine.Job
	text   *generate.Text
	ends   []uint32
	signal chan<- struct{} // of the request's choices together; has room for one

	mu    sync.Mutex
	some  piece // not taken
	added int   // tokens
	first time.Time
	err   error // of making text
}

// piece is a part of a text.
type piece struct {
	text   string
	tokens []generate.Token
}

// heard takes a token, in the engine's goroutine.
func (c *choice) heard(t generate.Token) (stop bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.some.tokens = append(c.some.tokens, t)
	if !t.Prompt {
		if c.added++; c.added == 1 {
			c.first = time.Now()
		}
		if !slices.Contains(c.ends, t.ID) { // it is no part of the text
			var more string
			more, stop, c.err = c.text.Add(t.ID)
			c.some.text += more
		}
	}
	c.wake()
	return stop || c.err != nil
}

func (c *choice) wake() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// take returns what has come since it was called last, and whether that was all.
func (c *choice) take() (p piece, ended bool, err error) {
	select {
	case <-c.job.Done():
		ended = true
		_, err = c.job.Result()
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p, c.some = c.some, piece{}
	if c.err != nil {
		return p, true, failure(500, unavailable, "", "what the model says is no text: %s", c.err)
	}
	if ended && err == nil {
		var rest string
		rest, err = c.text.Rest()
		p.text += rest
	}
	return p, ended, err
}

// reason is why a text ended, as OpenAI says it.
func (c *choice) reason() string {
	if finish, _ := c.job.Result(); finish == generate.Length {
		return "length"
	}
	return "stop"
}
