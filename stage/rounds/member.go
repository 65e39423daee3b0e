package rounds

import (
	"errors"
	"sync"
	"time"

	"steplm/stage/outer"
)

// member is a worker as the coordinator sees it.
type member struct {
	*conn
	process int
	name    string
	out     chan message // what it is to be sent
	quit    chan struct{}
	once    sync.Once
	written sync.WaitGroup
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

var errSlow = errors.New("it takes what it is sent too slowly")

func newMember(c *conn, name string, h helloBody) *member {
	return &member{conn: c, name: name, token: h.Token, back: h.Process > 0, process: h.Process,
		out: make(chan message, mostQueued), quit: make(chan struct{})}
}

// queue hands a message to the goroutine that sends, and gives the member up where too many wait already.
func (m *member) queue(k kind, body []byte) {
	m.written.Add(1)
	select {
	case <-m.quit:
		m.written.Done()
	case m.out <- message{k, body}:
	default:
		m.written.Done()
		m.end(errSlow)
	}
}

// send sends what is queued, until the member ends.
func (m *member) send() {
	for {
		select {
		case <-m.quit:
			return
		case x := <-m.out:
			if err := m.write(x.kind, x.body); err != nil {
				m.end(err)
			}
			m.written.Done()
		}
	}
}

// end closes the connection, once.
func (m *member) end(error) {
	m.once.Do(func() {
		close(m.quit)
		m.Close()
	})
}

// drain waits, for a while, until all that is queued was sent, and ends.
func (m *member) drain(most time.Duration) {
	sent := make(chan struct{})
	go func() { m.written.Wait(); close(sent) }()
	select {
	case <-sent:
	case <-m.quit:
	case <-time.After(most):
	}
	m.end(nil)
}

// errReplaced is the end of a connection in whose place another came.
var errReplaced = errors.New("it came back on another connection")

// offers reports whether it is in a round that begins like this one.
func (m *member) offers(next beginBody) bool { return m.offer != nil && *m.offer == next }
