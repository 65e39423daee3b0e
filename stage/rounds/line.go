package rounds

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"steplm/internal/retry"
)

// line is a worker's way to its coordinator: one connection after the other, each in the place of one that broke.
type line struct {
	at     Address
	key    Key
	name   string
	times  times
	hello  helloBody
	log    func(format string, args ...any)
	run    Welcome // that it was welcomed to first
	recipe string  // its hash
	sizes  sizes

	in     chan message // closed once there is no connection, and will be none
	failed error        // why, then
	leaves atomic.Bool  // the worker has said, or says, its last word
	ended  context.Context
	kill   context.CancelFunc

	mu      sync.Mutex
	conn    *conn      // that is or was
	round   *beginBody // that the worker is in; nil: none
	earlier [2]int64   // bytes of the connections before
}

// connect makes a connection, and is welcomed.
func (l *line) connect(ctx context.Context) (_ *conn, w Welcome, err error) {
	addr, err := l.at(ctx)
	if err != nil {
		return nil, w, err
	}
	d := net.Dialer{Timeout: l.times.handshake}
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, w, err
	}
	defer func() {
		if err != nil {
			raw.Close()
		}
	}()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	c, err := handshake(raw, l.key, l.name, true, l.times)
	if err != nil {
		return nil, w, fmt.Errorf("%s: %w: is it the key, and the name, of the run?", addr, err)
	}
	c.limit = sizes{}.toWorker
	if err := c.write(hello, encode(l.hello)); err != nil {
		return nil, w, err
	}
	m, err := c.read()
	if err == nil && m.kind != welcome {
		err = fmt.Errorf("a message of kind %d in place of a welcome", m.kind)
	}
	if err == nil {
		err = json.Unmarshal(m.body, &w)
	}
	if err != nil {
		return nil, w, fmt.Errorf("%s: %w", addr, err)
	}
	go c.keepAlive(l.ended.Done(), c.giveUp)
	return c, w, nil
}

// isIn says which round the worker is in; nil: none.
func (l *line) isIn(round *beginBody) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.round = round
}

func (l *line) now() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

func (l *line) write(k kind, body []byte) error {
	c := l.now()
	err := c.write(k, body)
	if err != nil {
		c.giveUp(err) // so that it is not waited for
	}
	return err
}

// bytes are those sent and received by all its connections.
func (l *line) bytes() [2]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return [2]int64{l.earlier[0] + l.conn.sent.Load(), l.earlier[1] + l.conn.received.Load()}
}

// leave ends it with a last word.
func (l *line) leave(why string) {
	l.leaves.Store(true)
	_ = l.write(leave, words(why, false)) // if it is there
	l.end()
}

// end closes it for good.
func (l *line) end() {
	l.kill()
	l.now().Close()
}

// hear hands on what comes; while nobody takes it, the coordinator waits. Where a connection breaks it makes another.
func (l *line) hear() {
	defer close(l.in)
	defer func() { l.now().Close() }() // also one that was made as the line ended
	for {
		final, broke := l.listen()
		if final || l.leaves.Load() || l.ended.Err() != nil {
			l.failed = broke
			return
		}
		if err := l.comeBack(l.ended, broke); err != nil {
			l.failed = err
			return
		}
		if !l.hand(message{kind: back}) {
			l.failed = net.ErrClosed
			return
		}
	}
}

// hand hands a message on, unless the line ends first.
func (l *line) hand(m message) bool {
	select {
	case l.in <- m:
		return true
	case <-l.ended.Done():
		return false
	}
}

// listen hands on what comes of a connection until it breaks, or until its last message, which is final.
func (l *line) listen() (final bool, broke error) {
	c := l.now()
	for {
		m, err := c.read()
		if err != nil {
			c.Close()
			return false, err
		}
		var why textBody
		switch {
		case m.kind == alive:
			continue
		case m.kind == leave && decode(m.body, &why) == nil && why.Back:
			c.Close()
			return false, fmt.Errorf("the coordinator says %.300q", why.Text)
		}
		last := m.kind == leave || m.kind == refused
		if last {
			c.Close() // which the coordinator waits for
		}
		if !l.hand(m) {
			return true, net.ErrClosed
		}
		if last {
			return true, errors.New("it is over")
		}
	}
}

// comeBack makes a connection in the place of one that broke.
func (l *line) comeBack(ctx context.Context, broke error) error {
	l.log("the connection to the run's first process broke (%v): coming back to it is tried for %s", broke,
		l.times.back)
	ctx, cancel := context.WithTimeout(ctx, l.times.back)
	defer cancel()
	for failures := 0; ; failures++ {
		err := l.again(ctx)
		if err == nil {
			l.log("back with the run as worker %d", l.hello.Process)
			return nil
		}
		if errors.Is(err, errOther) {
			return err
		}
		if doubled(failures + 1) {
			l.log("not back yet: %v", err)
		}
		pause := retry.Jitter(retry.Backoff(l.times.pause, 16*l.times.pause, failures))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w; it did not come back within %s: %w", broke, l.times.back, err)
		}
	}
}

// errOther is a coordinator that began another run.
var errOther = errors.New("at its address is another run now, or the same one with more steps: join it anew")

// again makes a connection, and says where this worker stands.
func (l *line) again(ctx context.Context) error {
	c, w, err := l.connect(ctx)
	if err != nil {
		return err
	}
	if !bytes.Equal(w.Recipe, l.run.Recipe) {
		c.Close()
		return errOther
	}
	c.limit = l.sizes.toWorker
	l.mu.Lock()
	r := readyBody{Recipe: l.recipe, Round: l.round}
	l.mu.Unlock()
	if err := c.write(ready, encode(r)); err != nil {
		c.Close()
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.earlier[0] += l.conn.sent.Load()
	l.earlier[1] += l.conn.received.Load()
	l.conn, l.hello.Process = c, w.Process
	return nil
}
