package rounds

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"steplm/stage/outer"
	"steplm/stage/reduce"
)

// Group is processes that a launcher started, as many from the first round to the last, and how bytes go among them:
// MPI, for one. All of them make the same calls.
type Group interface {
	// Rank is this process's number, from 0; Size how many there are.
	Rank() int
	Size() int
	// Host is the name of a rank's machine.
	Host(rank int) string
	// AllGather makes part r of recv, which has Size parts of send's length, what rank r sends.
	AllGather(send, recv []byte) error
}

// Among makes rounds with the processes of a group. It is an outer.Peers: every process makes all steps of a round, and
// has the changes of all, so that no average travels. A process without a state, as one that a resume adds, gets that
// of the lowest rank that has one.
//
// Whenever processes meet, each first says what for. So one that was told to stop is heard, and the others stop too,
// rather than wait for it.
type Among struct {
	group Group
	start int   // the step after which the first round begins; until then rank 0 trains alone
	over  bool  // a process has left: nobody meets any more
	sent  int64 // bytes to others since the last report
}

// NewAmong makes rounds with a group, the first after a step up to which rank 0 trains alone.
func NewAmong(g Group, start int) *Among { return &Among{group: g, start: start} }

// purpose is what a process comes to a meeting for.
type purpose byte

const (
	wants  purpose = iota // a state, since it has none
	begins                // a round
	ends                  // it
	leaves                // it is told to stop, or the run is over
)

// word is what a process says at a meeting.
type word struct {
	purpose      purpose
	stage, done  int64 // where a round begins
	tokens, size int64 // of a round that ends; of a state that is given
	hash         [sha256.Size]byte
}

const wordBytes = 1 + 4*8 + sha256.Size

func (w word) bytes() []byte {
	b := []byte{byte(w.purpose)}
	for _, n := range []int64{w.stage, w.done, w.tokens, w.size} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return append(b, w.hash[:]...)
}

func wordOf(b []byte) (w word) {
	w.purpose = purpose(b[0])
	for i, n := range []*int64{&w.stage, &w.done, &w.tokens, &w.size} {
		*n = int64(binary.LittleEndian.Uint64(b[1+8*i:]))
	}
	copy(w.hash[:], b[1+4*8:])
	return w
}

// Bytes is what each of n processes sends in a round whose change has so many bytes: the change, and two words, to
// every other one.
func Bytes(change int64, n int) int64 { return int64(n-1) * (change + 2*wordBytes) }

// name names a rank.
func (a *Among) name(rank int) string { return fmt.Sprintf("rank %d on %s", rank, a.group.Host(rank)) }

func (a *Among) gather(mine, all []byte) error {
	a.sent += int64(len(mine)) * int64(a.group.Size()-1)
	return a.group.AllGather(mine, all)
}

// meet hears what each process has come for. Where one leaves, all do: ErrLeft, unless this one has come for that.
func (a *Among) meet(mine word) ([]word, error) {
	if a.over {
		return nil, outer.ErrLeft
	}
	all := make([]byte, wordBytes*a.group.Size())
	if err := a.gather(mine.bytes(), all); err != nil {
		return nil, err
	}
	var words []word
	for rank := range a.group.Size() {
		w := wordOf(all[rank*wordBytes:])
		words = append(words, w)
		a.over = a.over || w.purpose == leaves
	}
	if a.over && mine.purpose != leaves {
		return nil, outer.ErrLeft
	}
	for rank, w := range words {
		if !a.over && (w.purpose == ends) != (mine.purpose == ends) {
			return nil, fmt.Errorf("%s and %s are not at the same place of a round", a.name(a.group.Rank()),
				a.name(rank))
		}
	}
	return words, nil
}

// giver is the lowest rank that has a state; -1: none has.
func giver(words []word) int {
	for rank, w := range words {
		if w.purpose == begins {
			return rank
		}
	}
	return -1
}

// wanting reports whether a process has no state.
func wanting(words []word) bool {
	for _, w := range words {
		if w.purpose == wants {
			return true
		}
	}
	return false
}

// Join gets the state of the processes that have one; nil: none has, and all begin.
func (a *Among) Join(context.Context) (*outer.Joined, error) {
	if a.start > 0 && a.group.Rank() == 0 {
		return nil, nil // The others wait for its state, until the first round begins.
	}
	words, err := a.meet(word{purpose: wants})
	if err != nil {
		return nil, err
	}
	from := giver(words)
	if from < 0 {
		a.sent = 0
		return nil, nil
	}
	snapshot, err := a.state(from, nil)
	if err != nil {
		return nil, err
	}
	return &outer.Joined{Stage: int(words[from].stage), Step: int(words[from].done), Snapshot: snapshot}, nil
}

// A state is sent in pieces of at most statePiece bytes, of which all processes' room for one takes at most stateRoom.
const (
	statePiece = 4 << 20
	stateRoom  = 64 << 20
)

// state is the snapshot of a rank, in every process.
func (a *Among) state(from int, mine []byte) ([]byte, error) {
	n := a.group.Size()
	head, heads := word{size: int64(len(mine)), hash: sha256.Sum256(mine)}, make([]byte, n*wordBytes)
	if err := a.gather(head.bytes(), heads); err != nil {
		return nil, err
	}
	head = wordOf(heads[from*wordBytes:])
	if a.group.Rank() != from {
		mine = make([]byte, head.size)
	}
	most := min(statePiece, max(1, stateRoom/n))
	room, all := make([]byte, most), make([]byte, n*most)
	for at := int64(0); at < head.size; at += int64(most) {
		piece := mine[at:min(at+int64(most), head.size)]
		copy(room, piece)
		if err := a.gather(room[:len(piece)], all[:n*len(piece)]); err != nil {
			return nil, err
		}
		copy(piece, all[from*len(piece):])
	}
	if sha256.Sum256(mine) != head.hash {
		return nil, fmt.Errorf("the state that came from %s has another hash than it should have", a.name(from))
	}
	return mine, nil
}

// Begin gives the state to who has none, and compares those of all.
func (a *Among) Begin(_ context.Context, s *outer.State, stage, step int) (int, error) {
	if err := s.Anchor(); err != nil {
		return step, err
	}
	for {
		hash, err := s.Hash()
		if err != nil {
			return step, err
		}
		words, err := a.meet(word{purpose: begins, stage: int64(stage), done: int64(s.Done()), hash: hash})
		if err != nil {
			return step, err
		}
		if !wanting(words) {
			return step, a.same(words)
		}
		var snapshot []byte
		from := giver(words)
		if a.group.Rank() == from {
			if snapshot, err = s.Snapshot(); err != nil {
				return step, err
			}
		}
		if _, err := a.state(from, snapshot); err != nil {
			return step, err
		}
	}
}

// same is an error where a round begins with different states.
func (a *Among) same(words []word) error {
	for rank, w := range words {
		if w != words[0] {
			return fmt.Errorf("the round that begins after step %d: %s has another state than %s", words[0].done,
				a.name(rank), a.name(0))
		}
	}
	return nil
}

// Over says that all steps of a round are made.
func (a *Among) Over(int, int) bool { return false }

// SetPace tells a group that keeps a watch over its processes what this one does next.
func (a *Among) SetPace(p reduce.Pace) {
	if g, ok := a.group.(interface{ SetPace(reduce.Pace) }); ok {
		g.SetPace(p)
	}
}

// End gathers the changes of all and combines them.
func (a *Among) End(_ context.Context, s *outer.State, step int, tokens int64) (outer.Report, error) {
	start := time.Now()
	words, err := a.meet(word{purpose: ends, tokens: tokens})
	if err != nil {
		return outer.Report{}, err
	}
	r := outer.Report{Step: step, Waited: time.Since(start)}
	var all []int64
	for rank, w := range words {
		all = append(all, w.tokens)
		r.Shares = append(r.Shares, outer.Share{Process: rank, Name: a.name(rank), Tokens: w.tokens})
	}
	if err := s.Exchange(step, all, a.gather); err != nil {
		return r, err
	}
	r.Sent, r.Received, a.sent = a.sent, a.sent, 0 // as much from each as to each
	return r, nil
}

// Leave tells the others that this process goes no further: the run is over, or it was told to stop. They leave, too.
func (a *Among) Leave() error {
	if _, err := a.meet(word{purpose: leaves}); err != nil && !errors.Is(err, outer.ErrLeft) {
		return err
	}
	return nil
}
