package rounds

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"time"

	"steplm/model"
	"steplm/stage/outer"
)

// Worker is a process that joined a run. It is an outer.Peers. Its methods have one caller at a time.
type Worker struct {
	Welcome Welcome
	// Log hears, from any goroutine, of a connection that broke and of one that came in its place.
	Log func(format string, args ...any)

	line    *line
	step    int       // at which the round began
	stage   int       // in which
	over    bool      // its round is closed
	ended   error     // that was found between steps
	average []byte    // its round's, which came already
	next    []message // that were read too far, oldest first
	told    [2]int64  // bytes sent and received, up to the last report
}

// Address finds where a run's coordinator listens.
type Address func(context.Context) (string, error)

// At is an address that is known.
func At(addr string) Address { return func(context.Context) (string, error) { return addr, nil } }

// Dial joins a run at its coordinator's address. name is the run's, who how this process is called. Where the
// connection breaks later on, the worker looks for the address again and comes back, as long as BackFor.
func Dial(ctx context.Context, at Address, key Key, name, who string) (*Worker, error) {
	return dial(ctx, at, key, name, who, usual)
}

func dial(ctx context.Context, at Address, key Key, name, who string, t times) (*Worker, error) {
	if err := ValidName(name); err != nil {
		return nil, err
	}
	if _, err := key.of(name); err != nil {
		return nil, err
	}
	w := &Worker{Log: func(string, ...any) {}}
	l := &line{at: at, key: key, name: name, times: t, hello: helloBody{Name: who, Token: rand.Text()},
		in: make(chan message, 4)}
	l.ended, l.kill = context.WithCancel(context.Background())
	c, welcome, err := l.connect(ctx)
	if err != nil {
		l.kill()
		return nil, err
	}
	l.log = func(format string, args ...any) { w.Log(format, args...) }
	l.conn, l.run, l.hello.Process = c, welcome, welcome.Process
	w.line, w.Welcome = l, welcome
	return w, nil
}

// Addr is where the coordinator is.
func (w *Worker) Addr() net.Addr { return w.line.now().RemoteAddr() }

// RejoinFor says for how long a connection that broke is made anew, in place of BackFor. It comes before Ready.
func (w *Worker) RejoinFor(d time.Duration) { w.line.times.back = d }

// Ready says that this process has made the run's recipe, and asks for the state. Where the connection broke
// meanwhile, it is said on the one that comes in its place.
func (w *Worker) Ready(hash string, c outer.Config, layouts []model.Layout) {
	w.line.recipe, w.line.sizes = hash, sizesOf(c, layouts)
	w.line.conn.limit = w.line.sizes.toWorker
	_ = w.line.write(ready, encode(readyBody{Recipe: hash}))
	go w.line.hear()
}

// read waits for a message. One that ends the run is an error.
func (w *Worker) read(ctx context.Context) (message, error) {
	if w.ended != nil {
		return message{}, w.ended
	}
	if len(w.next) > 0 {
		m := w.next[0]
		w.next = w.next[1:]
		return m, nil
	}
	select {
	case <-ctx.Done():
		return message{}, ctx.Err()
	case m, ok := <-w.line.in:
		return w.checked(m, ok)
	}
}

func (w *Worker) checked(m message, ok bool) (message, error) {
	if !ok {
		return m, fmt.Errorf("%w: %w", outer.ErrLost, w.line.failed)
	}
	if m.kind == refused || m.kind == leave {
		var why textBody
		if err := decode(m.body, &why); err != nil {
			return m, fmt.Errorf("%w: %w", outer.ErrLost, err)
		}
		return m, fmt.Errorf("%w: it says %.300q", outer.ErrLost, why.Text)
	}
	return m, nil
}

// Join waits for the state.
func (w *Worker) Join(ctx context.Context) (*outer.Joined, error) {
	for {
		m, err := w.read(ctx)
		if err != nil {
			return nil, err
		}
		if m.kind == state {
			return joined(m.body)
		}
	}
}

// joined reads a state, and checks its hash.
func joined(body []byte) (*outer.Joined, error) {
	var h stateHead
	snapshot, err := beheaded(body, &h)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(snapshot) != h.Sum {
		return nil, errors.New("the state that came has another hash than it should have")
	}
	return &outer.Joined{Stage: h.Stage, Step: h.Step, Snapshot: snapshot}, nil
}

// takeState takes a state that came, and gives the step at which the run is.
func (w *Worker) takeState(s *outer.State, stage int, body []byte) (step int, err error) {
	j, err := joined(body)
	if err != nil {
		return 0, err
	}
	if j.Stage != stage {
		return 0, &outer.Rejoined{Joined: *j}
	}
	return j.Step, s.Restore(j.Snapshot, j.Step)
}

// Begin waits for a round that begins with this process's state. Where that is another than the coordinator's, as
// after a growth on another kind of device, it takes the coordinator's.
func (w *Worker) Begin(ctx context.Context, s *outer.State, stage, step int) (int, error) {
	if err := s.Anchor(); err != nil {
		return step, err
	}
	for {
		m, err := w.read(ctx)
		if err != nil {
			return step, err
		}
		switch m.kind {
		case state:
			at, err := w.takeState(s, stage, m.body)
			if err != nil {
				return step, err
			}
			step = at
		case begin:
			var b beginBody
			if err := decode(m.body, &b); err != nil {
				return step, err
			}
			hash, err := s.Hash()
			if err != nil {
				return step, err
			}
			if b.Stage == stage && b.Step == step && b.Hash == hash {
				w.step, w.stage, w.over, w.average = step, stage, false, nil
				w.line.isIn(&b)
				return step, nil
			}
			if err := w.line.write(differs, nil); err != nil {
				continue // The connection is another one soon, and brings the state.
			}
		}
	}
}

// Over tells the coordinator of a step, and reports whether it waits no longer.
func (w *Worker) Over(done, of int) bool {
	// Without a connection the step counts all the same: what the round came to is sent once there is one.
	_ = w.line.write(progress, encode(progressBody{Step: w.step, Done: done, Steps: of}))
	for !w.over && w.average == nil && !w.isAway() {
		select {
		case m, ok := <-w.line.in:
			if m, err := w.checked(m, ok); err != nil {
				w.over, w.ended = true, err
			} else if !w.take(m) {
				w.next = append(w.next, m)
			}
		default:
			return false
		}
	}
	return true
}

// isAway reports whether what was read too far is a state: the others are in another round.
func (w *Worker) isAway() bool {
	for _, m := range w.next {
		if m.kind == state {
			return true
		}
	}
	return false
}

// take takes what concerns the round that runs.
func (w *Worker) take(m message) bool {
	switch m.kind {
	case over:
		w.over = true
	case average:
		w.average = m.body
	case back:
	default:
		return false
	}
	return true
}

// End sends this process's change, unless the average is there without it, and applies the average. Where the
// connection breaks meanwhile it is sent again; where the others have ended the round without it, their state is taken.
func (w *Worker) End(ctx context.Context, s *outer.State, step int, tokens int64) (r outer.Report, err error) {
	start := time.Now()
	defer w.line.isIn(nil)
	var mine []byte
	if w.average == nil && !w.isAway() {
		if mine, err = s.Change(); err != nil {
			return r, err
		}
		mine = headed(changeHead{Step: w.step, Tokens: tokens}, mine)
		_ = w.line.write(change, mine) // Where that fails, it is sent once there is a connection.
		r.Shares = []outer.Share{{Process: w.Welcome.Process, Name: "this worker", Tokens: tokens}}
	}
	r.Step = step
	for w.average == nil {
		m, err := w.read(ctx)
		if err != nil {
			return r, err
		}
		switch {
		case m.kind == back:
			_ = w.line.write(change, mine) // likewise
		case m.kind == state:
			if r.Step, err = w.takeState(s, w.stage, m.body); err != nil {
				return r, err
			}
			r.Shares, r.Missing = nil, w.missing("its connection broke")
			return w.reported(r, start), nil
		case !w.take(m):
			return r, fmt.Errorf("%w: a message of kind %d while a round ends", outer.ErrLost, m.kind)
		}
	}
	if mine == nil {
		r.Missing = w.missing("it was too late")
	}
	if err := w.apply(s, step); err != nil {
		return r, err
	}
	return w.reported(r, start), nil
}

func (w *Worker) missing(why string) []outer.Share {
	return []outer.Share{{Process: w.Welcome.Process, Name: "this worker", Why: why}}
}

// apply makes the outer step with the average.
func (w *Worker) apply(s *outer.State, step int) error {
	var h averageHead
	all, err := beheaded(w.average, &h)
	if err != nil {
		return err
	}
	if h.Step != w.step {
		return fmt.Errorf("an average of the round from step %d, this one is from step %d", h.Step, w.step)
	}
	if err := s.Apply(step, bytes.Clone(all)); err != nil {
		return err
	}
	hash, err := s.Hash()
	if err != nil {
		return err
	}
	if hash != h.Hash {
		return errors.New("after the round this process has other weights than the coordinator: a fault of one")
	}
	return nil
}

// reported adds time and bytes to a report.
func (w *Worker) reported(r outer.Report, start time.Time) outer.Report {
	r.Waited = time.Since(start)
	now := w.line.bytes()
	r.Sent, r.Received = now[0]-w.told[0], now[1]-w.told[1]
	w.told = now
	return r
}

// Close tells the coordinator why it leaves, and leaves.
func (w *Worker) Close(why string) { w.line.leave(why) }

// Kill ends the connection without a word and for good, as a machine that fails does.
func (w *Worker) Kill() { w.line.end() }
