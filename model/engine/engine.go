package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"steplm/model/generate"
)

// Config bounds what an Engine holds.
type Config struct {
	Waiting int                      // sequences that may wait for their turn
	Wait    time.Duration            // how long one may; 0: as long as its context
	Stepped func(took time.Duration) // is told of every step, in the Engine's goroutine; may be nil
}

// The errors of an Engine that does not take, or does not go on with, what is right by itself.
var (
	ErrBusy   = errors.New("too much is waiting already")
	ErrWaited = errors.New("no slot came free in time")
	ErrClosed = errors.New("the engine is ending")
)

// Engine continues the sequences of many goroutines, see the package.
type Engine struct {
	Config
	gen  *generate.Generator
	wake chan struct{} // has something when Run may be asleep and there is something to do

	mu      sync.Mutex
	waiting []*Job
	running []*Job
	free    int   // positions of the cache
	closed  error // why nothing more is taken; nil: something is
}

// New makes an Engine of a Generator, which belongs to it until Run has returned.
func New(g *generate.Generator, c Config) *Engine {
	_, free := g.Room()
	return &Engine{Config: c, gen: g, wake: make(chan struct{}, 1), free: free}
}

// State is how much an Engine does at a moment.
type State struct {
	Waiting, Running int // sequences
	Slots            int // of which Running is at most
	Used, Positions  int // of the cache
	Closed           bool
}

// State returns the present one.
func (e *Engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return State{len(e.waiting), len(e.running), e.gen.Slots, e.gen.Positions - e.free, e.gen.Positions,
		e.closed != nil}
}

// Check returns the error that Submit has for a request whose turn can never come.
func (e *Engine) Check(r generate.Request) error { return e.gen.Check(r) }

// Submit has sequences continued, in this order, all or none. A sequence ends with its context. The error is ErrBusy
// where more would wait than may, ErrClosed, or that of a request which is wrong.
func (e *Engine) Submit(ctx context.Context, list ...generate.Request) ([]*Job, error) {
	var jobs []*Job
	for _, r := range list {
		if err := e.gen.Check(r); err != nil {
			return nil, err
		}
		jobs = append(jobs, &Job{ctx: ctx, request: r, came: time.Now(), done: make(chan struct{})})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed != nil {
		return nil, e.closed
	}
	// Those that can begin at once do not wait.
	idle := max(0, e.gen.Slots-len(e.running))
	if len(e.waiting)+len(jobs) > e.Waiting+idle {
		return nil, fmt.Errorf("%w: %d sequences of at most %d", ErrBusy, len(e.waiting), e.Waiting)
	}
	e.waiting = append(e.waiting, jobs...)
	e.rouse()
	return jobs, nil
}

// Close has the Engine take nothing more, and Run return when all that was taken has ended.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.close(ErrClosed)
	e.rouse()
}

func (e *Engine) close(why error) {
	if e.closed == nil {
		e.closed = why
	}
}

func (e *Engine) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run continues sequences until Close was called and none is left, until the context ends, which is the error then, or
// until the device fails. Whatever is left ends with that error.
func (e *Engine) Run(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return e.fail(ErrClosed, err)
		}
		left, closed := e.take()
		if left == 0 && closed {
			return nil
		}
		if left == 0 {
			select {
			case <-e.wake:
			case <-ctx.Done():
			}
			continue
		}
		began := time.Now()
		if err := e.gen.Step(); err != nil {
			return e.fail(err, err)
		}
		if e.Stepped != nil {
			e.Stepped(time.Since(began))
		}
		e.settle()
	}
}

// fail ends all there is with one error, and returns another.
func (e *Engine) fail(told, err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.close(told)
	for _, j := range e.running {
		e.gen.Cancel(j.seq)
		j.end(generate.Failed, told)
	}
	for _, j := range e.waiting {
		j.end(generate.Failed, told)
	}
	e.running, e.waiting = nil, nil
	_, e.free = e.gen.Room()
	return err
}

// take ends what nobody wants any more, and has begin what there is room for. It returns how many run.
func (e *Engine) take() (left int, closed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = slices.DeleteFunc(e.running, func(j *Job) bool {
		gone := j.ctx.Err() != nil
		if gone {
			e.gen.Cancel(j.seq)
			j.end(generate.Cancelled, context.Cause(j.ctx))
		}
		return gone
	})
	e.waiting = slices.DeleteFunc(e.waiting, func(j *Job) bool {
		gone := j.ctx.Err() != nil
		if gone {
			j.end(generate.Cancelled, context.Cause(j.ctx))
		}
		return gone
	})
	now := time.Now()
	e.begin(now)
	e.waiting = slices.DeleteFunc(e.waiting, func(j *Job) bool {
		late := e.Wait > 0 && now.Sub(j.came) > e.Wait
		if late {
			j.end(generate.Cancelled, fmt.Errorf("%w: it waited for %s", ErrWaited, e.Wait))
		}
		return late
	})
	_, e.free = e.gen.Room()
	return len(e.running), e.closed != nil && len(e.waiting) == 0
}

// begin has those begin whose turn it is.
func (e *Engine) begin(now time.Time) {
	n := 0
	for ; n < len(e.waiting); n++ {
		j := e.waiting[n]
		seq, err := e.gen.Add(j.request)
		if errors.Is(err, generate.ErrFull) {
			break // Nobody is overtaken: a long text's turn would never come.
		}
		j.began = now
		if err != nil {
			j.end(generate.Failed, err)
			continue
		}
		j.seq = seq
		e.running = append(e.running, j)
	}
	e.waiting = slices.Delete(e.waiting, 0, n)
}

// settle ends the jobs whose sequences ended.
func (e *Engine) settle() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = slices.DeleteFunc(e.running, func(j *Job) bool {
		ended := j.seq.Finish != ""
		if ended {
			j.end(j.seq.Finish, j.seq.Err)
		}
		return ended
	})
	_, e.free = e.gen.Room()
}
