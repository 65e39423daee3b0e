package rounds

import (
	"errors"
	"fmt"
	"net"
	"time"

	"steplm/internal/retry"
)

// At most so many connections are open: in their handshakes, and in all.
const (
	mostHandshakes = 16
	mostWorkers    = 64
)

// accept takes connections until a listener is closed. After another error, as of too many open files, it goes on.
func (c *Coordinator) accept(l net.Listener) {
	for failures := 0; ; {
		x, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			c.run.Log("no connection could be taken, which is tried again: %v", err)
			time.Sleep(retry.Backoff(100*time.Millisecond, time.Minute, failures))
			failures++
			continue
		}
		failures = 0
		c.mu.Lock()
		full := c.closed || c.pending >= mostHandshakes || c.pending+len(c.members) >= mostWorkers
		if !full {
			c.pending++
		}
		c.mu.Unlock()
		if full {
			x.Close()
			c.refuse(x.RemoteAddr(), errors.New("too many connections are open"))
			continue
		}
		go c.serve(x)
	}
}

// refuse tells of a connection that was refused: of the first 16, and then whenever their number has doubled.
func (c *Coordinator) refuse(from net.Addr, why error) {
	c.mu.Lock()
	c.refusal++
	n := c.refusal
	c.mu.Unlock()
	if n <= 16 || doubled(n) {
		c.run.Log("refused %s, the connection number %d that was: %v", from, n, why)
	}
}

// doubled reports whether a count that grows by one has doubled since it was last told of: of 1, 2, 4, 8 and so on.
func doubled(n int) bool { return n&(n-1) == 0 }

// serve is a connection's life.
func (c *Coordinator) serve(raw net.Conn) {
	m, err := c.admit(raw)
	c.mu.Lock()
	c.pending--
	if err == nil && c.closed {
		err = errors.New("the run is over")
	}
	if err == nil {
		c.enter(m)
		w := c.run.Welcome
		w.Process = m.process
		m.queue(welcome, encode(w)) // before anything that a round says to it
	}
	c.mu.Unlock()
	if err != nil {
		raw.Close()
		c.refuse(raw.RemoteAddr(), err)
		return
	}
	go m.keepAlive(m.quit, m.end)
	go m.send()
	c.part(m, c.hear(m))
}

// mostNumber bounds what a worker may say that its number was.
const mostNumber = 1 << 20

// enter gives a member its number: that which it had, unless another has it now. Where its last connection is there
// yet, as after one that broke without a word, the new one takes its place. It is called with the lock held.
func (c *Coordinator) enter(m *member) {
	for _, list := range []map[int]*member{c.members, c.away} {
		old := list[m.process]
		if old == nil || m.token == "" || old.token != m.token {
			continue
		}
		m.in, m.done, m.change = old.in, old.done, old.change // and where it stands it says itself
		old.replaced = true
		old.end(errReplaced)
		delete(list, m.process)
	}
	if _, taken := c.members[m.process]; taken || m.process < 1 || m.process > mostNumber || c.away[m.process] != nil {
		m.process = c.last + 1
	}
	c.last = max(c.last, m.process)
	c.members[m.process] = m
}

// admit authenticates a connection and hears who it is.
func (c *Coordinator) admit(raw net.Conn) (*member, error) {
	x, err := handshake(raw, c.key, c.run.Name, false, c.times)
	if err != nil {
		return nil, err
	}
	x.limit = c.sizes.toCoordinator(false, false)
	x.times.silence = c.times.handshake
	first, err := x.read()
	if err != nil {
		return nil, err
	}
	x.times.silence = c.times.silence
	var h helloBody
	if first.kind != hello {
		return nil, fmt.Errorf("a first message of kind %d", first.kind)
	}
	if err := decode(first.body, &h); err != nil {
		return nil, err
	}
	name := []rune(h.Name)
	m := newMember(x, fmt.Sprintf("%q at %s", string(name[:min(len(name), 60)]), raw.RemoteAddr()), h)
	x.limit = c.sizes.toCoordinator(true, false)
	return m, nil
}

// part takes leave of a member.
func (c *Coordinator) part(m *member, why error) {
	m.end(why)
	why = m.cause // which may be what broke the connection that nothing could be read of
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes[0] += m.sent.Load()
	c.bytes[1] += m.received.Load()
	if m.replaced {
		return
	}
	delete(c.members, m.process)
	if c.closed {
		return
	}
	if c.round != nil && m.in == c.round {
		m.why, c.away[m.process] = why.Error(), m
	}
	c.decide() // Fewer may be a quorum.
	c.run.Log("worker %d, %s, is gone: %v", m.process, m.name, why)
}
