// Package reducetest has groups of processes that are goroutines of one, so that what several processes do can be
// tested where there is no MPI.
//
// What Go cannot enforce: a member whose goroutine ends early must Leave, or the others wait for ever.
package reducetest

import (
	"errors"
	"fmt"
	"sync"
)

// ErrLeft is what a call returns when a member has left.
var ErrLeft = errors.New("another process has left")

// Local is a member of a group within one process.
type Local struct {
	rank int
	meet *meeting
	// Sent is how many bytes went to others.
	Sent int64
}

// meeting is where all members come together.
type meeting struct {
	mu     sync.Mutex
	moved  *sync.Cond
	sends  [][]byte
	came   int
	taken  int
	left   bool
	rounds int
}

// Group makes a group of n members.
func Group(n int) []*Local {
	m := &meeting{sends: make([][]byte, n)}
	m.moved = sync.NewCond(&m.mu)
	list := make([]*Local, n)
	for i := range list {
		list[i] = &Local{rank: i, meet: m}
	}
	return list
}

// Rank is reduce.Group's.
func (l *Local) Rank() int { return l.rank }

// Size is reduce.Group's.
func (l *Local) Size() int { return len(l.meet.sends) }

// Host is reduce.Group's.
func (l *Local) Host(rank int) string { return fmt.Sprintf("host%d", rank) }

// Leave ends the waiting of the others.
func (l *Local) Leave() {
	l.meet.mu.Lock()
	defer l.meet.mu.Unlock()
	l.meet.left = true
	l.meet.moved.Broadcast()
}

// AllToAll is reduce.Group's.
func (l *Local) AllToAll(send, recv []byte) error {
	part := len(send) / l.Size()
	l.Sent += int64(len(send) - part)
	return l.exchange(send, func(rank int, sent []byte) error {
		if len(sent) != len(send) {
			return fmt.Errorf("rank %d sends %d bytes, rank %d %d", rank, len(sent), l.rank, len(send))
		}
		copy(recv[rank*part:(rank+1)*part], sent[l.rank*part:])
		return nil
	})
}

// AllGather is reduce.Group's.
func (l *Local) AllGather(send, recv []byte) error {
	l.Sent += int64(len(send) * (l.Size() - 1))
	return l.exchange(send, func(rank int, sent []byte) error {
		if len(sent) != len(send) {
			return fmt.Errorf("rank %d sends %d bytes, rank %d %d", rank, len(sent), l.rank, len(send))
		}
		copy(recv[rank*len(send):(rank+1)*len(send)], sent)
		return nil
	})
}

// exchange shows all members what each sends.
func (l *Local) exchange(send []byte, take func(rank int, sent []byte) error) error {
	m := l.meet
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.taken > 0 && !m.left { // the round before is not over
		m.moved.Wait()
	}
	m.sends[l.rank] = append([]byte{}, send...)
	m.came++
	m.moved.Broadcast()
	for round := m.rounds; m.came < len(m.sends) && m.rounds == round && !m.left; {
		m.moved.Wait()
	}
	if m.came < len(m.sends) {
		return ErrLeft
	}
	var err error
	for rank, sent := range m.sends {
		err = errors.Join(err, take(rank, sent))
	}
	if m.taken++; m.taken == len(m.sends) {
		m.came, m.taken = 0, 0
		m.rounds++
	}
	m.moved.Broadcast()
	return err
}

// Together has each member of a group do something in a goroutine of its own, and waits for all. One whose error is not
// nil leaves.
func Together(ranks []*Local, do func(rank int) error) {
	var all sync.WaitGroup
	for i, l := range ranks {
		all.Go(func() {
			if do(i) != nil {
				l.Leave()
			}
		})
	}
	all.Wait()
}
