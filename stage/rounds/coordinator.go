package rounds

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"steplm/model"
	"steplm/stage/outer"
)

// Run is what a coordinator tells and checks of its run.
type Run struct {
	Name    string
	Welcome Welcome // but for the process's number
	Hash    string  // the recipe's
	Outer   outer.Config
	Layouts []model.Layout // by stage
	// Quorum is the share of processes, above 0 and at most 1, that must have done a round's steps before it closes.
	Quorum float64
	// Last is the highest number that a worker of the run had before it was resumed: who is new gets a higher one.
	Last int
	// Log hears, from any goroutine, who comes, goes and is refused.
	Log func(format string, args ...any)
	// Least is how long a closed round waits for changes at least; it waits as long as the round took, if that is
	// longer. 0: 15 seconds. For the quorum it waits 20 times as long.
	Least time.Duration
}

// Coordinator is the first process of a run: it trains, and it averages. It is an outer.Peers.
type Coordinator struct {
	run      Run
	key      Key
	times    times
	listener net.Listener
	stop     func() // announcing; nil: it is not
	sizes    sizes

	mu      sync.Mutex
	changed *sync.Cond // of all below
	members map[int]*member
	last    int // member's number
	pending int // handshakes
	refusal int // so many, of which not all are told
	closed  bool
	round   *round
	away    map[int]*member // by number, of those that began the round that runs and are gone
	bytes   [2]int64        // sent and received by connections that are closed
	told    [2]int64        // of all, up to the last report
}

// Listen opens a run to others. It needs a key.
func Listen(addr string, key Key, run Run) (*Coordinator, error) {
	return listen(addr, key, run, usual)
}

func listen(addr string, key Key, run Run, t times) (*Coordinator, error) {
	if err := ValidName(run.Name); err != nil {
		return nil, err
	}
	if _, err := key.of(run.Name); err != nil {
		return nil, err
	}
	if !(run.Quorum > 0 && run.Quorum <= 1) {
		return nil, fmt.Errorf("a quorum of %g: it must be above 0 and at most 1", run.Quorum)
	}
	run.Least = cmp.Or(run.Least, 15*time.Second)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Coordinator{run: run, key: key, times: t, listener: l, sizes: sizesOf(run.Outer, run.Layouts),
		members: map[int]*member{}, away: map[int]*member{}, last: run.Last}
	c.changed = sync.NewCond(&c.mu)
	if at := l.Addr().(*net.TCPAddr); !at.IP.IsLoopback() {
		if c.stop, err = announce(run.Name, at.Port); err != nil {
			run.Log("the local network is not told of %q as yet, so that workers need its address: %v", run.Name, err)
		}
	}
	go c.accept(l)
	return c, nil
}

// Addr is where it listens.
func (c *Coordinator) Addr() net.Addr { return c.listener.Addr() }

// Join says that there is nobody to join.
func (c *Coordinator) Join(context.Context) (*outer.Joined, error) { return nil, nil }

// Begin gives who waits for it the state, and begins a round for all who have it.
func (c *Coordinator) Begin(_ context.Context, s *outer.State, stage, step int) (int, error) {
	if err := s.Anchor(); err != nil {
		return step, err
	}
	hash, err := s.Hash()
	if err != nil {
		return step, err
	}
	c.mu.Lock()
	next := beginBody{Stage: stage, Step: s.Done(), Hash: hash}
	waiting := slices.ContainsFunc(c.inOrder(), func(m *member) bool { return m.waits && !m.offers(next) })
	c.mu.Unlock()
	var snapshot []byte
	if waiting {
		if snapshot, err = s.Snapshot(); err != nil {
			return step, err
		}
		snapshot = headed(stateHead{Stage: stage, Step: s.Done(), Sum: sha256.Sum256(snapshot)}, snapshot)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Where a resume goes on within a round, the others make all steps of it.
	c.round = &round{beginBody: next, began: time.Now()}
	clear(c.away)
	for _, m := range c.inOrder() {
		c.take(m, snapshot)
	}
	return step, nil
}

// take takes a member into the round that begins, if it has the state, or gets it now. It is called with the lock held.
func (c *Coordinator) take(m *member, snapshot []byte) {
	early, begun := m.early, m.waits && m.offers(c.round.beginBody)
	m.offer, m.early, m.change, m.done = nil, nil, nil, false
	switch {
	case begun: // by itself
		m.change, m.done = early, early != nil
	case m.waits && snapshot != nil:
		m.queue(state, snapshot)
	case !m.has:
		return
	}
	m.waits, m.has, m.in = false, true, c.round
	if !begun {
		m.queue(begin, encode(c.round.beginBody))
	}
}

// inOrder lists the members by number. It is called with the lock held.
func (c *Coordinator) inOrder() []*member { return byNumber(c.members) }

func byNumber(members map[int]*member) []*member {
	return slices.SortedFunc(maps.Values(members), func(a, b *member) int { return cmp.Compare(a.process, b.process) })
}

// Over reports whether the round has closed without this process.
func (c *Coordinator) Over(done, of int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done >= of {
		c.round.own = true
		c.decide()
	}
	return c.round.over
}

// End waits for the others' changes, averages, and tells them.
func (c *Coordinator) End(ctx context.Context, s *outer.State, step int, tokens int64) (outer.Report, error) {
	start := time.Now()
	parts, report, err := c.gather(ctx)
	if err != nil {
		return report, err
	}
	report.Step, report.Waited = step, time.Since(start)
	report.Shares = append([]outer.Share{{Name: "coordinator", Tokens: tokens}}, report.Shares...)
	all, err := s.Average(step, tokens, parts)
	if err != nil {
		return report, err
	}
	hash, err := s.Hash()
	if err != nil {
		return report, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	body := headed(averageHead{Step: c.round.Step, Hash: hash}, all)
	for _, m := range c.inOrder() {
		if m.in == c.round {
			m.queue(average, body)
		}
	}
	c.round = nil
	report.Sent, report.Received = c.since()
	return report, nil
}

// since is the bytes sent and received since it was last asked. It is called with the lock held.
func (c *Coordinator) since() (sent, received int64) {
	now := c.bytes
	for _, m := range c.members {
		now[0] += m.sent.Load()
		now[1] += m.received.Load()
	}
	sent, received = now[0]-c.told[0], now[1]-c.told[1]
	c.told = now
	return sent, received
}

// Close tells the others why it ends, and whether it may come back, which they then wait for; and ends.
func (c *Coordinator) Close(why string, back bool) {
	if c.stop != nil {
		c.stop()
	}
	c.listener.Close()
	c.mu.Lock()
	c.closed = true
	list := c.inOrder()
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), c.times.write)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range list {
		m.queue(leave, words(why, back))
		all.Go(func() { c.hearOut(ctx, m) })
	}
	all.Wait()
}

// hearOut waits until a member closes its connection, as each does once it has heard the last word: what came of it
// after this side had closed could undo that. Once that word is on its way, one that does not answer within the time of
// a handshake is gone, as a machine that was switched off.
func (c *Coordinator) hearOut(ctx context.Context, m *member) {
	said, tell, late := m.said, time.After(c.times.tell), (<-chan time.Time)(nil)
	for {
		select {
		case <-m.quit:
			return
		case <-said:
			said, late = nil, time.After(c.times.handshake)
		case <-tell:
			c.run.Log("waits for worker %d, %s, to hear that this process ends", m.process, m.name)
		case <-late:
			m.end(errGone)
		case <-ctx.Done():
			m.end(errSlow)
		}
	}
}
