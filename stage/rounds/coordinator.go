package rounds

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
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
	// Log hears, from any goroutine, who comes, goes and is refused.
	Log func(format string, args ...any)
	// Least is how long a closed round waits for changes at least; it waits as long as the round took, if that is
	// longer. 0: 15 seconds. For the quorum it waits 20 times as long.
	Least time.Duration
}

// At most so many connections are open: in their handshakes, and in all.
const (
	mostHandshakes = 16
	mostWorkers    = 64
)

// Coordinator is the first process of a run: it trains, and it averages. It is an outer.Peers.
type Coordinator struct {
	run      Run
	key      Key
	times    times
	listener net.Listener
	stop     func() error // announcing; nil: it is not
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

// round is one that runs.
type round struct {
	beginBody
	began time.Time
	own   bool // the coordinator has done its steps
	over  bool // closed
	took  time.Duration
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
		members: map[int]*member{}, away: map[int]*member{}}
	c.changed = sync.NewCond(&c.mu)
	if at := l.Addr().(*net.TCPAddr); !at.IP.IsLoopback() {
		if c.stop, err = announce(run.Name, at.Port); err != nil {
			run.Log("the local network is not told of %q, so that workers need its address: %v", run.Name, err)
		}
	}
	go c.accept()
	return c, nil
}

// Addr is where it listens.
func (c *Coordinator) Addr() net.Addr { return c.listener.Addr() }

func (c *Coordinator) accept() {
	for {
		x, err := c.listener.Accept()
		if err != nil {
			return // closed
		}
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
	if n <= 16 || n&(n-1) == 0 {
		c.run.Log("refused %s, the connection number %d that was: %v", from, n, why)
	}
}

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
	}
	c.mu.Unlock()
	if err != nil {
		raw.Close()
		c.refuse(raw.RemoteAddr(), err)
		return
	}
	stop := make(chan struct{})
	go m.keepAlive(stop)
	go m.send()
	w := c.run.Welcome
	w.Process = m.process
	m.queue(welcome, encode(w))
	err = c.hear(m)
	close(stop)
	c.part(m, err)
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
		m.wants, m.has, m.began, m.done, m.change = old.wants, old.has, old.began, old.done, old.change
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
	if c.round != nil && m.began == c.round.Step+1 {
		m.why, c.away[m.process] = why.Error(), m
	}
	c.changed.Broadcast()
	c.run.Log("worker %d, %s, is gone: %v", m.process, m.name, why)
}

// hear reads what a member sends, until that fails or it leaves.
func (c *Coordinator) hear(m *member) error {
	for {
		in, err := m.read()
		if err != nil {
			return err
		}
		if err := c.heard(m, in); err != nil {
			return err
		}
	}
}

func (c *Coordinator) heard(m *member, in message) error {
	switch in.kind {
	case alive:
		return nil
	case leave:
		var why textBody
		if err := decode(in.body, &why); err != nil {
			return err
		}
		return fmt.Errorf("it left: %.200q", why.Text)
	case ready:
		var r readyBody
		if err := decode(in.body, &r); err != nil {
			return err
		}
		if r.Recipe != c.run.Hash {
			err := fmt.Errorf("its recipe has the hash %.12q, this run's %.12q", r.Recipe, c.run.Hash)
			m.queue(refused, encode(textBody{Text: err.Error()}))
			return err
		}
		m.limit = c.sizes.toCoordinator(true, true)
		c.stands(m, r.Round)
	case differs:
		c.mu.Lock()
		m.has, m.began = false, 0
		c.decide()
		c.mu.Unlock()
		c.wants(m)
		c.run.Log("worker %d, %s, has another state, and takes the coordinator's with the next round", m.process,
			m.name)
	case progress:
		var p progressBody
		if err := decode(in.body, &p); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.round != nil && p.Step == c.round.Step && p.Done >= p.Steps {
			m.done = p.Step + 1
			c.decide()
		}
	case change:
		return c.changeOf(m, in.body)
	default:
		return fmt.Errorf("a message of kind %d", in.kind)
	}
	return nil
}

// stands hears where a worker stands: in the round that runs, in one that may run next, or nowhere yet.
func (c *Coordinator) stands(m *member, in *beginBody) {
	c.mu.Lock()
	how := "joins with the next round"
	if m.back {
		how = "is back, and takes part again with the next round"
	}
	if r := c.round; in != nil && r != nil && *in == r.beginBody {
		m.wants, m.has, m.began = false, true, r.Step+1
		if how = "is back in its round"; r.over {
			m.queue(over, encode(beginBody{Stage: r.Stage, Step: r.Step}))
		}
	} else {
		m.offer, m.wants, m.has, m.began, m.change = in, true, false, 0, nil
	}
	c.decide()
	c.mu.Unlock()
	c.run.Log("worker %d, %s, %s", m.process, m.name, how)
}

// wants has a member get the state before the next round begins.
func (c *Coordinator) wants(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.wants = true
	c.changed.Broadcast()
}

// changeOf takes a member's change for the round that runs, if it is of it.
func (c *Coordinator) changeOf(m *member, body []byte) error {
	var h changeHead
	rest, err := beheaded(body, &h)
	if err != nil {
		return err
	}
	c.mu.Lock()
	stage := -1
	if c.takesPart(m, h.Step) {
		stage = c.round.Stage
	} else if m.offer != nil && m.offer.Step == h.Step {
		stage = m.offer.Stage
	}
	c.mu.Unlock()
	if stage < 0 || stage >= len(c.run.Layouts) { // it came too late, and is missed there
		return nil
	}
	if h.Tokens < 1 || h.Tokens > math.MaxInt64/mostWorkers/2 {
		return fmt.Errorf("a change after %d tokens", h.Tokens)
	}
	if err := outer.CheckChange(c.run.Outer, c.run.Layouts[stage], rest); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	part := &outer.Part{Tokens: h.Tokens, Change: rest}
	if c.takesPart(m, h.Step) {
		m.change, m.done = part, h.Step+1
		c.decide()
	} else if m.offer != nil && m.offer.Step == h.Step {
		m.early = part
	}
	return nil
}

// takesPart reports whether a member began the round that runs, and that is the one from a step. It is called with the
// lock held.
func (c *Coordinator) takesPart(m *member, step int) bool {
	return c.round != nil && c.round.Step == step && m.began == step+1
}

// decide closes the round once the quorum has done its steps. It is called with the lock held.
func (c *Coordinator) decide() {
	r := c.round
	c.changed.Broadcast()
	if r == nil || r.over {
		return
	}
	in, done := 1, 0
	if r.own {
		done++
	}
	for _, m := range c.away {
		if m.change != nil {
			in, done = in+1, done+1
		}
	}
	for _, m := range c.members {
		if m.began == r.Step+1 {
			in++
			if m.done == r.Step+1 {
				done++
			}
		}
	}
	if float64(done) >= c.run.Quorum*float64(in)-1e-9 {
		c.close()
	}
}

// close closes the round: who has not sent its change is to send what it has. It is called with the lock held.
func (c *Coordinator) close() {
	r := c.round
	r.over, r.took = true, time.Since(r.began)
	for _, m := range c.members {
		if m.began == r.Step+1 && m.change == nil {
			m.queue(over, encode(beginBody{Stage: r.Stage, Step: r.Step}))
		}
	}
}

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
	waiting := slices.ContainsFunc(c.inOrder(), func(m *member) bool { return m.wants && !m.offers(next) })
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
		m.change = nil
		if m.wants && m.offers(next) { // It has begun it already.
			m.wants, m.has, m.began, m.change = false, true, next.Step+1, m.early
			if m.offer, m.early = nil, nil; m.change != nil {
				m.done = m.began
			}
			continue
		}
		m.offer, m.early = nil, nil
		if m.wants && snapshot != nil {
			m.wants, m.has = false, true
			m.queue(state, snapshot)
		}
		if m.has && !m.wants {
			m.began = next.Step + 1
			m.queue(begin, encode(next))
		}
	}
	return step, nil
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
		if m.began == c.round.Step+1 {
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

// gather waits until every member that began the round has sent its change, is gone, or is too late.
func (c *Coordinator) gather(ctx context.Context) (parts []outer.Part, report outer.Report, err error) {
	wake := func() { c.mu.Lock(); defer c.mu.Unlock(); c.changed.Broadcast() }
	defer context.AfterFunc(ctx, wake)()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round.own = true // or closed without it: either way it waits for the others now
	c.decide()
	var deadline time.Time
	patience := 20 * max(c.run.Least, time.Since(c.round.began))
	last := time.Now().Add(patience)
	defer time.AfterFunc(patience, wake).Stop()
	for {
		if ctx.Err() != nil {
			return nil, report, ctx.Err()
		}
		if !c.round.over && !time.Now().Before(last) {
			c.close()
		}
		if c.round.over && deadline.IsZero() {
			wait := max(c.run.Least, c.round.took)
			deadline = time.Now().Add(wait)
			defer time.AfterFunc(wait, wake).Stop()
		}
		late := !deadline.IsZero() && !time.Now().Before(deadline)
		missing := slices.DeleteFunc(c.inOrder(), func(m *member) bool {
			return m.began != c.round.Step+1 || m.change != nil
		})
		if len(missing) == 0 || late {
			for _, m := range byNumber(c.away) {
				if m.change == nil {
					report.Missing = append(report.Missing, m.share(m.why))
				}
			}
			for _, m := range missing {
				report.Missing = append(report.Missing, m.share("it was too late"))
			}
			break
		}
		c.changed.Wait()
	}
	both := maps.Clone(c.members)
	maps.Copy(both, c.away) // who sent its change and went has a share
	for _, m := range byNumber(both) {
		if m.began == c.round.Step+1 && m.change != nil {
			parts = append(parts, *m.change)
			report.Shares = append(report.Shares, m.share(""))
		}
	}
	return parts, report, nil
}

// Workers is how many take part, or wait for the state.
func (c *Coordinator) Workers() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if m.has || m.wants {
			n++
		}
	}
	return n
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
	var all sync.WaitGroup
	for _, m := range list {
		m.queue(leave, encode(textBody{why, back}))
		all.Add(1)
		go func() {
			defer all.Done()
			m.drain(c.times.write)
		}()
	}
	all.Wait()
}
