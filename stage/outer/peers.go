package outer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLost is the connection to a run's coordinator that ended.
var ErrLost = errors.New("the run's coordinator is gone")

// ErrLeft is a round that is not made, since another process of a group was told to stop.
var ErrLeft = errors.New("another process was told to stop")

// Peers are the other processes of a run that has rounds.
type Peers interface {
	// Join waits for the state that a process begins with which joins a run; nil: it is the first.
	Join(ctx context.Context) (*Joined, error)
	// Begin waits until a round may begin, with the same state in all processes, and gives the step at which it does;
	// with an error, that at which this process is by then.
	Begin(ctx context.Context, s *State, stage, step int) (at int, err error)
	// Over is told, after each of a round's steps, how many are done of how many, and says whether the others wait no
	// longer for more.
	Over(done, of int) bool
	// End makes the round's outer step at a step, after this process has seen so many tokens in it. A process that lost
	// the others meanwhile is then where they are.
	End(ctx context.Context, s *State, step int, tokens int64) (Report, error)
}

// Joined is where a process joins a run.
type Joined struct {
	Stage, Step int // 0-based
	Snapshot    []byte
}

// Rejoined is a process that lost the others and is with them again, in another stage than it trains.
type Rejoined struct{ Joined }

func (r *Rejoined) Error() string {
	return fmt.Sprintf("the others are in stage %d now", r.Stage+1)
}

// Report says what became of a round.
type Report struct {
	Step           int     // at which the run is now
	Shares         []Share // that the average is of
	Missing        []Share // of processes that began it: lost, or too late
	Sent, Received int64   // bytes of this process's connections since the round before
	Waited         time.Duration
}

// Share is a process's part of a round.
type Share struct {
	Process int    // 0: the coordinator
	Name    string // its host and address, for people
	Tokens  int64
	Why     string // it is missing
}
