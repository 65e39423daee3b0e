package rounds

import (
	"errors"
	"io"
	"sync"
	"time"

	"steplm/stage/outer"
)

// member is a worker as the coordinator sees it.
type member struct {
	*conn
	process int
	name    string
	out     chan message  // what it is to be sent
	said    chan struct{} // closed once the last word is on its way
	quit    chan struct{}
	once    sync.Once
	cause   error  // of its end, once quit is closed
	token   string // by which it is known again
	back    bool   // it was there before

	// The coordinator's lock is over these.
	waits, has bool        // for the state; it
	in         *round      // that it began last; nil: none
	done       bool        // it has made that one's steps
	change     *outer.Part // of that one
	offer      *beginBody  // the round that it is in, unless that is the one that runs; nil: none
	early      *outer.Part // its change there
	replaced   bool        // by another connection of the same worker
	why        string      // it is gone
}

// share is its part of the round, or why there is none. It is called with the coordinator's lock held.
func (m *member) share(missing string) outer.Share {
	s := outer.Share{Process: m.process, Name: m.name, Why: missing}
	if m.change != nil {
		s.Tokens = m.change.Tokens
	}
	return s
}

// mostQueued is how many messages may wait for a member: about two rounds and a state.
const mostQueued = 12

func newMember(c *conn, name string, h helloBody) *member {
	return &member{conn: c, name: name, token: h.Token, back: h.Process > 0, process: h.Process,
		out: make(chan message, mostQueued), said: make(chan struct{}), quit: make(chan struct{})}
}

// queue hands a message to the goroutine that sends, and gives the member up where too many wait already.
func (m *member) queue(k kind, body []byte) {
	select {
	case m.out <- message{k, body}:
	default:
		m.end(errSlow)
	}
}

// send sends what is queued, until the member ends or has been sent the last word.
func (m *member) send() {
	for {
		select {
		case <-m.quit:
			return
		case x := <-m.out:
			if err := m.write(x.kind, x.body); err != nil {
				m.end(err)
			} else if x.kind == leave {
				close(m.said)
				return
			}
		}
	}
}

// end closes the connection. What it is called with first is why.
func (m *member) end(why error) {
	m.once.Do(func() {
		m.cause = why
		close(m.quit)
		m.Close()
	})
}

// discard takes what still comes, until the member closes its connection, for a while.
func (m *member) discard() {
	if m.SetReadDeadline(time.Now().Add(m.times.handshake)) == nil {
		_, _ = io.Copy(io.Discard, m.Conn)
	}
}

// errGone is the end of one that did not answer the last word.
var errGone = errors.New("it does not answer")

// errReplaced is the end of a connection in whose place another came.
var errReplaced = errors.New("it came back on another connection")

// offers reports whether it is in a round that begins like this one.
func (m *member) offers(next beginBody) bool { return m.offer != nil && *m.offer == next }
