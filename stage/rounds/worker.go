package rounds

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"steplm/model"
	"steplm/stage/outer"
)

// Worker is a process that joined a run. It is an outer.Peers. Its methods have one caller at a time.
type Worker struct {
	Welcome Welcome

	conn    *conn
	in      chan message
	failed  error // of reading, once in is closed
	stop    chan struct{}
	ended   error    // that was found between steps
	step    int      // at which the round began
	over    bool     // its round is closed
	average []byte   // its round's, which came already
	next    *message // that was read too far
	told    [2]int64 // bytes sent and received, up to the last report
}

// Dial joins a run at a coordinator's address. name is the run's, who how this process is called.
func Dial(ctx context.Context, addr string, key Key, name, who string) (*Worker, error) {
	return dial(ctx, addr, key, name, who, usual)
}

func dial(ctx context.Context, addr string, key Key, name, who string, t times) (*Worker, error) {
	if err := ValidName(name); err != nil {
		return nil, err
	}
	if _, err := key.of(name); err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: t.handshake}
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c, err := handshake(raw, key, name, true, t)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%s: %w: is it the key, and the name, of the run?", addr, err)
	}
	c.limit = sizes{}.toWorker
	if err := c.write(hello, encode(helloBody{who})); err != nil {
		raw.Close()
		return nil, err
	}
	m, err := c.read()
	w := &Worker{conn: c, in: make(chan message, 4), stop: make(chan struct{})}
	if err == nil && m.kind != welcome {
		err = fmt.Errorf("a message of kind %d in place of a welcome", m.kind)
	}
	if err == nil {
		err = json.Unmarshal(m.body, &w.Welcome)
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	go c.keepAlive(w.stop)
	return w, nil
}

// Ready says that this process has made the run's recipe, and asks for the state.
func (w *Worker) Ready(hash string, c outer.Config, layouts []model.Layout) error {
	w.conn.limit = sizesOf(c, layouts).toWorker
	go w.hear()
	return w.write(ready, encode(readyBody{hash}))
}

// hear hands on what comes; while nobody takes it, the coordinator waits.
func (w *Worker) hear() {
	defer close(w.in)
	for {
		m, err := w.conn.read()
		if err != nil {
			w.failed = err
			return
		}
		if m.kind == alive {
			continue
		}
		select {
		case w.in <- m:
		case <-w.stop:
			w.failed = net.ErrClosed
			return
		}
	}
}

func (w *Worker) write(k kind, body []byte) error {
	if err := w.conn.write(k, body); err != nil {
		return fmt.Errorf("%w: %w", outer.ErrLost, err)
	}
	return nil
}

// read waits for a message. One that ends the run is an error.
func (w *Worker) read(ctx context.Context) (message, error) {
	if w.ended != nil {
		return message{}, w.ended
	}
	if w.next != nil {
		m := *w.next
		w.next = nil
		return m, nil
	}
	select {
	case <-ctx.Done():
		return message{}, ctx.Err()
	case m, ok := <-w.in:
		return w.checked(m, ok)
	}
}

func (w *Worker) checked(m message, ok bool) (message, error) {
	if !ok {
		return m, fmt.Errorf("%w: %w", outer.ErrLost, w.failed)
	}
	if m.kind == refused || m.kind == leave {
		var why textBody
		if err := decode(m.body, &why); err != nil {
			return m, fmt.Errorf("%w: %w", outer.ErrLost, err)
		}
		return m, fmt.Errorf("%w: it says %.300q", outer.ErrLost, why.Text)
	}
	return m, nil
}

// Join waits for the state.
func (w *Worker) Join(ctx context.Context) (*outer.Joined, error) {
	for {
		m, err := w.read(ctx)
		if err != nil {
			return nil, err
		}
		if m.kind == state {
			return joined(m.body)
		}
	}
}

// joined reads a state, and checks its hash.
func joined(body []byte) (*outer.Joined, error) {
	var h stateHead
	snapshot, err := beheaded(body, &h)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(snapshot) != h.Sum {
		return nil, errors.New("the state that came has another hash than it should have")
	}
	return &outer.Joined{Stage: h.Stage, Step: h.Step, Snapshot: snapshot}, nil
}

// Begin waits for a round that begins with this process's state. Where that is another than the coordinator's, as
// after a growth on another kind of device, it takes the coordinator's.
func (w *Worker) Begin(ctx context.Context, s *outer.State, stage, step int) (int, error) {
	if err := s.Anchor(); err != nil {
		return step, err
	}
	for {
		m, err := w.read(ctx)
		if err != nil {
			return step, err
		}
		switch m.kind {
		case state:
			j, err := joined(m.body)
			if err != nil {
				return step, err
			}
			if j.Stage != stage {
				return step, fmt.Errorf("the run is in stage %d, and this process in stage %d: join again", j.Stage+1,
					stage+1)
			}
			if err := s.Restore(j.Snapshot, j.Step); err != nil {
				return step, err
			}
			step = j.Step
		case begin:
			var b beginBody
			if err := decode(m.body, &b); err != nil {
				return step, err
			}
			hash, err := s.Hash()
			if err != nil {
				return step, err
			}
			if b.Stage == stage && b.Step == step && b.Hash == hash {
				w.step, w.over, w.average = step, false, nil
				return step, nil
			}
			if err := w.write(differs, nil); err != nil {
				return step, err
			}
		}
	}
}

// Over tells the coordinator of a step, and reports whether it waits no longer.
func (w *Worker) Over(done, of int) bool {
	if w.write(progress, encode(progressBody{Step: w.step, Done: done, Steps: of})) != nil {
		return true // End says why
	}
	for !w.over && w.average == nil && w.next == nil {
		select {
		case m, ok := <-w.in:
			if m, err := w.checked(m, ok); err != nil {
				w.over, w.ended = true, err
			} else if !w.take(m) {
				w.next = &m
			}
		default:
			return false
		}
	}
	return true
}

// take takes what concerns the round that runs.
func (w *Worker) take(m message) bool {
	switch m.kind {
	case over:
		w.over = true
	case average:
		w.average = m.body
	default:
		return false
	}
	return true
}

// End sends this process's change, unless the average is there without it, and applies the average.
func (w *Worker) End(ctx context.Context, s *outer.State, step int, tokens int64) (r outer.Report, err error) {
	start := time.Now()
	if w.average == nil {
		mine, err := s.Change()
		if err != nil {
			return r, err
		}
		if err := w.write(change, headed(changeHead{Step: w.step, Tokens: tokens}, mine)); err != nil {
			return r, err
		}
		r.Shares = []outer.Share{{Process: w.Welcome.Process, Name: "this worker", Tokens: tokens}}
	} else {
		r.Missing = []outer.Share{{Process: w.Welcome.Process, Name: "this worker", Why: "it was too late"}}
	}
	for w.average == nil {
		m, err := w.read(ctx)
		if err != nil {
			return r, err
		}
		if !w.take(m) {
			return r, fmt.Errorf("%w: a message of kind %d while a round ends", outer.ErrLost, m.kind)
		}
	}
	r.Waited = time.Since(start)
	var h averageHead
	all, err := beheaded(w.average, &h)
	if err != nil {
		return r, err
	}
	if h.Step != w.step {
		return r, fmt.Errorf("an average of the round from step %d, this one is from step %d", h.Step, w.step)
	}
	if err := s.Apply(step, bytes.Clone(all)); err != nil {
		return r, err
	}
	hash, err := s.Hash()
	if err != nil {
		return r, err
	}
	if hash != h.Hash {
		return r, errors.New("after the round this process has other weights than the coordinator: a fault of one")
	}
	now := [2]int64{w.conn.sent.Load(), w.conn.received.Load()}
	r.Sent, r.Received = now[0]-w.told[0], now[1]-w.told[1]
	w.told = now
	return r, nil
}

// Close tells the coordinator why it leaves, and leaves.
func (w *Worker) Close(why string) {
	w.conn.write(leave, encode(textBody{why}))
	close(w.stop)
	w.conn.Close()
}

// Kill ends the connection without a word, as a machine that fails does.
func (w *Worker) Kill() { w.conn.Close() }
