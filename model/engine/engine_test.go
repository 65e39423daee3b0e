package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/generate"
	"steplm/model/sample"
)

// fragile is a device that fails when it is told to.
type fragile struct {
	gpu.Device
	broken atomic.Bool
}

var errBroken = errors.New("the device is broken")

func (f *fragile) Read(t gpu.Tensor, at int, words []uint32) error {
	if f.broken.Load() {
		return errBroken
	}
	return f.Device.Read(t, at, words)
}

// generator is one of a small model that speaks nonsense.
func generator(t *testing.T, d gpu.Device, c generate.Config) *generate.Generator {
	t.Helper()
	m, err := model.New(d, model.Plain(model.Config{Hidden: 16, FFN: 24, Layers: 2, Heads: 4, KVHeads: 2, Vocab: 50,
		MaxSeqLen: 64, NormEps: 1e-5, RopeTheta: 10000}, 2).ForInference())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	if err := m.Init(1, nil); err != nil {
		t.Fatal(err)
	}
	g, err := generate.New(m, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Free)
	return g
}

// running has an Engine run until the test ends, and returns how to wait for its end.
func running(t *testing.T, e *Engine) (cancel func(), ended func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	over := make(chan struct{})
	go func() {
		err = e.Run(ctx)
		close(over)
	}()
	t.Cleanup(func() { cancel(); <-over })
	return cancel, func() error {
		select {
		case <-over:
			return err
		case <-time.After(time.Minute):
			return errors.New("the engine does not end")
		}
	}
}

// heard is a job with what was heard of it.
type heard struct {
	*Job
	mu  sync.Mutex
	ids []uint32
}

func submit(ctx context.Context, e *Engine, r generate.Request) (*heard, error) {
	h := &heard{}
	before := r.Heard
	r.Heard = func(t generate.Token) bool {
		h.mu.Lock()
		h.ids = append(h.ids, t.ID)
		h.mu.Unlock()
		return before != nil && before(t)
	}
	jobs, err := e.Submit(ctx, r)
	if err == nil {
		h.Job = jobs[0]
	}
	return h, err
}

// end waits for a job and checks why it ended.
func (h *heard) end(t *testing.T, want generate.Finish, why error) {
	t.Helper()
	select {
	case <-h.Done():
	case <-time.After(time.Minute):
		t.Fatal("the job does not end")
	}
	if finish, err := h.Result(); finish != want || !errors.Is(err, why) {
		t.Errorf("ended with %q and %v, want %q and %v", finish, err, want, why)
	}
}

func request(i int) generate.Request {
	r := generate.Request{MaxTokens: 1 + i%17, Sample: sample.Config{Temperature: float64(i % 3), Seed: uint64(i)}}
	for j := range 1 + i*7%23 {
		r.Prompt = append(r.Prompt, uint32((i*31+j*j)%50))
	}
	return r
}

func start(t *testing.T, slots int, c Config) *Engine {
	t.Helper()
	return New(generator(t, gpu.NewHost(), generate.Config{Slots: slots, Chunk: 7}), c)
}

// Sixty-four goroutines ask at once, of few slots: each gets the tokens that it gets alone, and nothing is left behind.
func TestManyAtOnce(t *testing.T) {
	alone := start(t, 1, Config{Waiting: 10})
	many := start(t, 5, Config{Waiting: 64})
	running(t, alone)
	_, ended := running(t, many)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			together, err := submit(t.Context(), many, request(i))
			if err != nil {
				t.Error(err)
				return
			}
			together.end(t, generate.Length, nil)
			if together.Waited() < 0 || len(together.ids) != 1+i%17 {
				t.Errorf("request %d: %d tokens after %s", i, len(together.ids), together.Waited())
			}
			if i%4 != 0 {
				return
			}
			single, err := submit(t.Context(), alone, request(i))
			for errors.Is(err, ErrBusy) {
				time.Sleep(time.Millisecond)
				single, err = submit(t.Context(), alone, request(i))
			}
			if err != nil {
				t.Error(err)
				return
			}
			if single.end(t, generate.Length, nil); !slices.Equal(single.ids, together.ids) {
				t.Errorf("request %d: alone %v, with others %v", i, single.ids, together.ids)
			}
		})
	}
	all.Wait()
	if s := many.State(); s != (State{Slots: 5, Positions: 5 * 64}) {
		t.Errorf("left behind: %+v", s)
	}
	many.Close()
	if err := ended(); err != nil {
		t.Error(err)
	}
}

// What would wait beyond the limit is refused, all of it; what can never run is refused with its own reason.
func TestBusy(t *testing.T) {
	e := start(t, 2, Config{Waiting: 3})
	r := request(8)
	if _, err := e.Submit(t.Context(), r, r, r, r, r, r); !errors.Is(err, ErrBusy) {
		t.Errorf("six: %v", err)
	}
	first, err := e.Submit(t.Context(), r, r, r, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Submit(t.Context(), r, r); !errors.Is(err, ErrBusy) {
		t.Errorf("two more: %v", err)
	}
	if _, err := e.Submit(t.Context(), r); err != nil {
		t.Errorf("one more: %v", err)
	}
	if s := e.State(); s.Waiting != 5 {
		t.Errorf("%+v", s)
	}
	var long *generate.TooLong
	if _, err := e.Submit(t.Context(), r, generate.Request{Prompt: make([]uint32, 65)}); !errors.As(err, &long) {
		t.Errorf("a long one: %v", err)
	}
	running(t, e)
	for _, j := range first {
		<-j.Done()
	}
}

// forever is a request that ends only with its context, or when enough is closed.
func forever(enough <-chan struct{}) generate.Request {
	r := request(1)
	r.MaxTokens = 60
	r.Heard = func(generate.Token) bool {
		select {
		case <-enough:
			return true
		case <-time.After(10 * time.Millisecond):
			return false
		}
	}
	return r
}

// A job ends with its context, running or waiting, by the context's cause, and one that waits too long ends too.
func TestCancel(t *testing.T) {
	e := start(t, 1, Config{Waiting: 9, Wait: 50 * time.Millisecond})
	running(t, e)
	errGone := errors.New("the client is gone")
	runs, stop := context.WithCancelCause(t.Context())
	waits, give := context.WithCancelCause(t.Context())
	enough := make(chan struct{})
	first, err := submit(runs, e, forever(enough))
	if err != nil {
		t.Fatal(err)
	}
	second, err := submit(waits, e, request(2))
	if err != nil {
		t.Fatal(err)
	}
	third, err := submit(t.Context(), e, request(3))
	if err != nil {
		t.Fatal(err)
	}
	give(errGone)
	second.end(t, generate.Cancelled, errGone)
	third.end(t, generate.Cancelled, ErrWaited)
	if third.Waited() < 50*time.Millisecond {
		t.Errorf("it waited for %s", third.Waited())
	}
	stop(errGone)
	first.end(t, generate.Cancelled, errGone)
	if len(first.ids) == 0 || len(second.ids)+len(third.ids) > 0 {
		t.Errorf("heard %d, %d and %d tokens", len(first.ids), len(second.ids), len(third.ids))
	}
	last, err := submit(t.Context(), e, request(4))
	if err != nil {
		t.Fatal(err)
	}
	last.end(t, generate.Length, nil)
}

// An Engine that is closed ends what it has and takes no more; one that is cancelled ends at once.
func TestEnd(t *testing.T) {
	e := start(t, 1, Config{Waiting: 9})
	_, ended := running(t, e)
	enough := make(chan struct{})
	var jobs []*heard
	for range 3 {
		h, err := submit(t.Context(), e, forever(enough))
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, h)
	}
	e.Close()
	if _, err := submit(t.Context(), e, request(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("taken after the end: %v", err)
	}
	close(enough)
	for _, h := range jobs {
		h.end(t, generate.Stop, nil)
	}
	if err := ended(); err != nil {
		t.Error(err)
	}

	e = start(t, 1, Config{Waiting: 9})
	cancel, ended := running(t, e)
	first, err := submit(t.Context(), e, forever(nil))
	second, err2 := submit(t.Context(), e, request(2))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := ended(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	first.end(t, generate.Failed, ErrClosed)
	second.end(t, generate.Failed, ErrClosed)
	if s := e.State(); s.Running+s.Waiting+s.Used != 0 || !s.Closed {
		t.Errorf("left behind: %+v", s)
	}
}

// Where the device fails, everyone is told so, those too that come later.
func TestDeviceFails(t *testing.T) {
	d := &fragile{Device: gpu.NewHost()}
	e := New(generator(t, d, generate.Config{Slots: 1}), Config{Waiting: 9})
	_, ended := running(t, e)
	first, err := submit(t.Context(), e, forever(nil))
	second, err2 := submit(t.Context(), e, request(2))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	d.broken.Store(true)
	first.end(t, generate.Failed, errBroken)
	second.end(t, generate.Failed, errBroken)
	if err := ended(); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if _, err := submit(t.Context(), e, request(3)); !errors.Is(err, errBroken) {
		t.Errorf("a later one: %v", err)
	}
}

// Steps are told with how long they took.
func TestStepped(t *testing.T) {
	var n, took atomic.Int64
	e := start(t, 1, Config{Waiting: 1, Stepped: func(d time.Duration) { n.Add(1); took.Add(int64(d)) }})
	running(t, e)
	r := request(0)
	r.MaxTokens = 5
	h, err := submit(t.Context(), e, r)
	if err != nil {
		t.Fatal(err)
	}
	h.end(t, generate.Length, nil)
	if n.Load() < 4 || took.Load() <= 0 {
		t.Errorf("%d steps took %s", n.Load(), fmt.Sprint(time.Duration(took.Load())))
	}
}
