package rounds

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"steplm/stage/outer"
)

// Group is processes that a launcher started, as many from the first round to the last, and how bytes go among them:
// MPI, for one. All of them make the same calls.
type Group interface {
	// Rank is this process's number, from 0; Size how many there are.
	Rank() int
	Size() int
	// AllGather makes part r of recv, which has Size parts of send's length, what rank r sends.
	AllGather(send, recv []byte) error
}

// Among makes rounds with the processes of a group. It is an outer.Peers: every process makes all steps of a round, and
// has the changes of all, so that no average travels.
type Among struct{ Group Group }

// Join says that there is nobody to join.
func (a Among) Join(context.Context) (*outer.Joined, error) { return nil, nil }

// Begin compares the state with that of the others.
func (a Among) Begin(_ context.Context, s *outer.State, stage, step int) (int, error) {
	if err := s.Anchor(); err != nil {
		return step, err
	}
	hash, err := s.Hash()
	if err != nil {
		return step, err
	}
	mine := binary.LittleEndian.AppendUint64(hash[:], uint64(stage))
	mine = binary.LittleEndian.AppendUint64(mine, uint64(step))
	all := make([]byte, len(mine)*a.Group.Size())
	if err := a.Group.AllGather(mine, all); err != nil {
		return step, err
	}
	for rank := range a.Group.Size() {
		if !bytes.Equal(all[rank*len(mine):][:len(mine)], all[:len(mine)]) {
			return step, fmt.Errorf("the round that begins after step %d: process %d has another state than process 0",
				step, rank)
		}
	}
	return step, nil
}

// Over says that all steps of a round are made.
func (a Among) Over(int, int) bool { return false }

// End gathers the changes of all and combines them.
func (a Among) End(_ context.Context, s *outer.State, step int, tokens int64) (outer.Report, error) {
	start := time.Now()
	change, err := s.Change()
	if err != nil {
		return outer.Report{}, err
	}
	if int64(len(change)) > math.MaxInt/int64(a.Group.Size())-8 {
		return outer.Report{}, errors.New("the changes of all processes are larger than memory can be")
	}
	mine := append(binary.LittleEndian.AppendUint64(nil, uint64(tokens)), change...)
	all := make([]byte, len(mine)*a.Group.Size())
	if err := a.Group.AllGather(mine, all); err != nil {
		return outer.Report{}, err
	}
	r := outer.Report{Sent: int64(len(mine)), Received: int64(len(all) - len(mine)), Waited: time.Since(start)}
	var parts []outer.Part
	for rank := range a.Group.Size() {
		part := all[rank*len(mine):][:len(mine)]
		p := outer.Part{Tokens: int64(binary.LittleEndian.Uint64(part)), Change: part[8:]}
		parts = append(parts, p)
		r.Shares = append(r.Shares, outer.Share{Process: rank, Name: fmt.Sprintf("process %d", rank), Tokens: p.Tokens})
	}
	return r, s.Combine(step, parts)
}
