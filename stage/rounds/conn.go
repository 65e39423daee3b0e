package rounds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flynn/noise"
)

// protocol is what both sides must speak; it is part of what the handshake authenticates.
const protocol = "steplm rounds 2 "

// Times after which a connection is given up.
type times struct {
	handshake time.Duration // for all of it
	silence   time.Duration // in which nothing comes; each side is heard from three times in it
	write     time.Duration // for a record of at most 64 KiB to be taken
	back      time.Duration // in which a worker tries to come back to a run that it lost
	tell      time.Duration // after which it is said who is waited for at the end
	pause     time.Duration // before its second attempt, doubled before each one after it up to 16 times as long
}

var usual = times{handshake: 10 * time.Second, silence: 60 * time.Second, write: 30 * time.Second,
	tell: 2 * time.Second, back: BackFor, pause: time.Second}

// BackFor is how long a worker tries to come back to a run whose connection broke, or that was stopped.
const BackFor = 10 * time.Minute

// kind is a message's type.
type kind byte

const (
	hello    kind = iota + 1 // worker: its name; the first message
	welcome                  // coordinator: how the run was begun
	ready                    // worker: the hash of its recipe; it waits for the state, unless it has a round's
	refused                  // coordinator: why; the last message
	state                    // coordinator: where the run is
	begin                    // coordinator: a round, and the hash of what it begins with
	differs                  // worker: it has another state, and waits for the coordinator's
	progress                 // worker: its steps of a round
	over                     // coordinator: a round closes; who has done some of its steps sends its change
	change                   // worker: a round's
	average                  // coordinator: a round's
	alive                    // both: nothing
	leave                    // both: why it ends
	back                     // never sent: within a worker, that its connection is another one
)

// message is one that came.
type message struct {
	kind kind
	body []byte
}

// maxRecord is the most bytes of a message that one Noise record carries.
const maxRecord = noise.MaxMsgLen - 16

// headBytes are a message's kind and length, in the first record.
const headBytes = 9

// conn is an authenticated connection. One goroutine reads; any may write.
type conn struct {
	net.Conn
	times          times
	writing        sync.Mutex
	to, from       *noise.CipherState
	limit          func(kind) int64      // of a message's body that may come; below 0: none of the kind may
	sent, received atomic.Int64          // bytes, with all that surrounds messages
	gaveUp         atomic.Pointer[error] // why this side closed it; nil: it did not, or for no reason to tell
}

var suite = noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)

// ErrKey is a handshake with another key, or with none.
var ErrKey = errors.New("the other side has another key, or the run another name")

// handshake authenticates a connection within a deadline.
func handshake(c net.Conn, key Key, name string, first bool, t times) (*conn, error) {
	psk, err := key.of(name)
	if err != nil {
		return nil, err
	}
	h, err := noise.NewHandshakeState(noise.Config{CipherSuite: suite, Pattern: noise.HandshakeNN, Initiator: first,
		Prologue: []byte(protocol + name), PresharedKey: psk})
	if err != nil {
		return nil, err
	}
	x := &conn{Conn: c, times: t, limit: func(kind) int64 { return -1 }}
	if err := c.SetDeadline(time.Now().Add(t.handshake)); err != nil {
		return nil, err
	}
	write := func() error {
		out, a, b, err := h.WriteMessage(nil, nil)
		if err == nil {
			x.use(a, b, first)
			err = x.writeFrame(out)
		}
		return err
	}
	read := func() error {
		in, err := x.readFrame(handshakeBytes)
		if err != nil {
			return err
		}
		_, a, b, err := h.ReadMessage(nil, in)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrKey, err)
		}
		x.use(a, b, first)
		return nil
	}
	turns := []func() error{write, read}
	if !first {
		turns = []func() error{read, write}
	}
	for _, turn := range turns {
		if err := turn(); err != nil {
			return nil, err
		}
	}
	return x, c.SetDeadline(time.Time{})
}

// handshakeBytes are those of a handshake's message: a public key and a tag.
const handshakeBytes = 48

// use takes a finished handshake's ciphers, the first of which are the initiator's.
func (c *conn) use(a, b *noise.CipherState, first bool) {
	if a == nil {
		return
	}
	if c.to, c.from = a, b; !first {
		c.to, c.from = b, a
	}
}

// writeFrame sends a record behind its length.
func (c *conn) writeFrame(record []byte) error {
	out := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(record)), uint16(len(record)))
	n, err := c.Conn.Write(append(out, record...))
	c.sent.Add(int64(n))
	return err
}

// readFrame reads a record of at most so many bytes.
func (c *conn) readFrame(most int) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > most {
		return nil, fmt.Errorf("a record of %d bytes, at most %d may come", n, most)
	}
	record := make([]byte, n)
	read, err := io.ReadFull(c.Conn, record)
	c.received.Add(int64(2 + read))
	return record, err
}

var errSlow = errors.New("what it is sent it takes too slowly, or not at all")

// write sends a message. Who takes a record of it too slowly, or is not there to take it, is given up.
func (c *conn) write(k kind, body []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	head := binary.BigEndian.AppendUint64([]byte{byte(k)}, uint64(len(body)))
	for piece := head; ; {
		n := min(len(body), maxRecord-len(piece))
		record, err := c.to.Encrypt(nil, nil, append(piece, body[:n]...))
		if err != nil {
			return err
		}
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.times.write)); err != nil {
			return err
		}
		if err := c.writeFrame(record); errors.Is(err, os.ErrDeadlineExceeded) {
			return errSlow
		} else if err != nil {
			return err
		}
		if body, piece = body[n:], nil; len(body) == 0 {
			return nil
		}
	}
}

// read waits for a message. A longer one than may come is refused before memory is taken for it.
func (c *conn) read() (message, error) {
	first, err := c.readRecord()
	if err != nil {
		return message{}, err
	}
	if len(first) < headBytes {
		return message{}, fmt.Errorf("a message of %d bytes, which has no head", len(first))
	}
	m, n := message{kind: kind(first[0])}, int64(binary.BigEndian.Uint64(first[1:]))
	if most := c.limit(m.kind); n < 0 || n > most {
		return m, fmt.Errorf("a message of kind %d with %d bytes, at most %d may come", m.kind, n, most)
	}
	rest := first[headBytes:]
	m.body = make([]byte, 0, n)
	for {
		if int64(len(m.body)+len(rest)) > n {
			return m, fmt.Errorf("a message of kind %d is longer than the %d bytes it says", m.kind, n)
		}
		if m.body = append(m.body, rest...); int64(len(m.body)) == n {
			return m, nil
		}
		if rest, err = c.readRecord(); err != nil {
			return m, err
		}
		if len(rest) == 0 {
			return m, errors.New("an empty record within a message")
		}
	}
}

// readRecord reads and opens a record.
func (c *conn) readRecord() ([]byte, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.times.silence)); err != nil {
		return nil, err
	}
	in, err := c.readFrame(noise.MaxMsgLen)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("nothing came of it for %s", c.times.silence)
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("its connection ended: %w", err)
	case err != nil && c.gaveUp.Load() != nil:
		return nil, *c.gaveUp.Load()
	case err != nil:
		return nil, err
	}
	out, err := c.from.Decrypt(nil, nil, in)
	if err != nil {
		return nil, fmt.Errorf("a record that the key does not open: %w", err)
	}
	return out, nil
}

// giveUp closes the connection for a reason, of which hears who reads.
func (c *conn) giveUp(why error) {
	c.gaveUp.CompareAndSwap(nil, &why)
	c.Close()
}

// keepAlive says something three times in the silence that the other side bears, until stop closes or it fails.
func (c *conn) keepAlive(stop <-chan struct{}, failed func(error)) {
	tick := time.NewTicker(c.times.silence / 3)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if err := c.write(alive, nil); err != nil {
				failed(err)
				return
			}
		}
	}
}
