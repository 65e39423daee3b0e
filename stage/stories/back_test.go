package stories

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage/outer"
	"steplm/stage/record"
	"steplm/stage/rounds"
)

// proxy is a network between a worker and its coordinator, which can be cut.
type proxy struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	open     []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to}
	t.Cleanup(func() { l.Close(); p.cut() })
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			to := p.to
			p.mu.Unlock()
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			p.mu.Lock()
			p.open = append(p.open, a, b)
			p.mu.Unlock()
			for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
				go func() {
					io.Copy(way[0], way[1])
					way[0].Close()
				}()
			}
		}
	}()
	return p
}

// lead has new connections go to an address.
func (p *proxy) lead(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// cut ends all connections; new ones may come.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		c.Close()
	}
	p.open = nil
}

// A worker whose connection breaks within a round comes back by itself. Where that round still runs it has its share of
// it, with whatever it had sent, and nobody is missed in any.
func TestAWorkerComesBackInItsRound(t *testing.T) {
	for _, point := range []string{"step 4", "step 5"} { // within the round from step 3, and as its change is sent
		p := newParty(t, withRounds(t, outer.WireInt4, model.FullStorage), 1)
		way := newProxy(t, p.c.Addr().String())
		once := make(chan struct{})
		p.joinAt(context.Background(), rounds.At(way.listener.Addr().String()), func(s *story) {
			s.Hook = func(at string) {
				if at == point {
					way.cut()
					close(once)
					p.noted("is back in its round")
				}
			}
		}, nil)
		p.host(func(s *story) {
			s.Hook = func(at string) {
				if at == point {
					<-once
					p.noted("is back in its round")
				}
			}
		})
		p.ended.Wait()
		sameWeights(t, finalWeights(t, p.stories[0]), finalWeights(t, p.stories[1]))
		for _, r := range roundsOf(t, p.stories[1]) {
			if len(r.Shares) != 2 || len(r.Missing) != 0 {
				t.Errorf("cut at %s: the round that ends with step %d: %+v", point, r.Step, r)
			}
		}
	}
}

// A worker that comes back when the others are further, even in another stage, takes their state and goes on with them.
func TestAWorkerComesBackLater(t *testing.T) {
	for cutAt, backAt := range map[string]int{"step 4": 7, "step 2": 5} { // in stage 2, and across the growth
		p := newParty(t, withRounds(t, outer.WireInt8, model.FullStorage), 1)
		way := newProxy(t, p.c.Addr().String())
		gone, further := make(chan struct{}), make(chan struct{})
		p.joinAt(context.Background(), rounds.At(way.listener.Addr().String()), func(s *story) {
			s.Hook = func(at string) {
				if at == cutAt {
					way.lead("127.0.0.1:1") // where nobody listens
					way.cut()
					close(gone)
					<-further
				}
			}
		}, nil)
		p.host(func(s *story) {
			s.Hook = func(at string) {
				if at == cutAt {
					<-gone
					p.noted("is gone")
				}
			}
			s.Event = func(e record.Event) {
				if r, ok := e.(record.Round); ok && r.Step == backAt {
					way.lead(p.c.Addr().String())
					close(further)
					p.noted("is back, and takes part again")
				}
			}
		})
		p.ended.Wait()
		sameWeights(t, finalWeights(t, p.stories[0]), finalWeights(t, p.stories[1]))
		missed, shared := 0, 0
		for _, r := range roundsOf(t, p.stories[1]) {
			missed += len(r.Missing)
			if r.Step > backAt && len(r.Shares) == 2 {
				shared++
			}
		}
		if missed != 1 || shared == 0 {
			t.Errorf("cut at %s: missed in %d rounds, in %d after it came back", cutAt, missed, shared)
		}
	}
}

// A coordinator that is stopped and resumed finds its workers again, which waited for it, wherever in a round each was.
func TestWorkersWaitForTheCoordinator(t *testing.T) {
	for _, point := range []string{"step 4", "step 5"} {
		p := newParty(t, withRounds(t, outer.WireF32, model.FullStorage), 1)
		addr := p.c.Addr().String()
		p.join(context.Background(), nil, nil)
		ctx, stop := context.WithCancel(context.Background())
		host := p.hosting()
		host.Hook = func(at string) {
			if at == point {
				stop()
			}
		}
		if err := host.run(ctx, gpu.NewHost()); err == nil {
			t.Fatal("it was not stopped")
		}
		p.c.Close("it was stopped", true)
		p.listen(addr)
		host.Peers, host.Hook = p.c, nil
		p.noted("worker 1, ")
		p.begin(context.Background(), host, nil, func(error) { p.c.Close("the run is over", false) })
		p.ended.Wait()
		sameWeights(t, finalWeights(t, p.stories[0]), finalWeights(t, host))
		var ends []int
		for _, r := range roundsOf(t, host) {
			ends = append(ends, r.Step)
			if len(r.Shares) != 2 || len(r.Missing) != 0 {
				t.Errorf("stopped at %s: the round that ends with step %d: %+v", point, r.Step, r)
			}
		}
		if want := []int{2, 3, 5, 7, 8}; !slices.Equal(ends, want) {
			t.Errorf("stopped at %s: rounds that end with %v, want %v", point, ends, want)
		}
	}
}

// A coordinator that comes back from an older checkpoint, of an earlier stage too, takes its workers back there: what
// they did since is done again, and is in their metrics once.
func TestWorkersGoBackWithTheCoordinator(t *testing.T) {
	for _, from := range []string{"step-3", "step-5"} { // before the growth, and a round before
		p := newParty(t, withRounds(t, outer.WireF32, model.FullStorage), 1)
		addr := p.c.Addr().String()
		p.join(context.Background(), nil, nil)
		ctx, stop := context.WithCancel(context.Background())
		host := p.hosting()
		host.Keep = 0
		host.Hook = func(at string) {
			if at == "step 8" {
				stop()
			}
		}
		if err := host.run(ctx, gpu.NewHost()); err == nil {
			t.Fatal("it was not stopped")
		}
		p.c.Close("it was stopped", true)
		if err := checkpoint.SetLatest(filepath.Join(host.Dir, "checkpoints"), from); err != nil {
			t.Fatal(err)
		}
		p.listen(addr)
		host.Peers, host.Hook = p.c, nil
		p.noted("worker 1, ")
		p.begin(context.Background(), host, nil, func(error) { p.c.Close("the run is over", false) })
		p.ended.Wait()
		worker := p.stories[0]
		sameWeights(t, finalWeights(t, worker), finalWeights(t, host))
		curve, err := record.ReadCurve(worker.Dir)
		if err != nil || !slices.Equal(curve.Steps, []int{1, 2, 3, 4, 5, 6, 7, 8}) {
			t.Errorf("back from %s: the worker's steps are %v, %v", from, curve.Steps, err)
		}
		growths := 0
		for _, e := range curve.Events {
			if _, ok := e.Event.(record.Growth); ok {
				growths++
			}
		}
		if growths != 1 {
			t.Errorf("back from %s: the worker tells of %d growths, want 1", from, growths)
		}
	}
}

// A worker whose coordinator does not come back saves what it has and ends, after the time that it is told to wait.
func TestAWorkerGivesUp(t *testing.T) {
	p := newParty(t, withRounds(t, outer.WireF32, model.FullStorage), 1)
	p.rejoin = 300 * time.Millisecond
	p.join(context.Background(), nil, outer.ErrLost)
	host := p.hosting()
	ctx, stop := context.WithCancel(context.Background())
	host.Hook = func(at string) {
		if at == "step 4" {
			stop()
		}
	}
	if err := host.run(ctx, gpu.NewHost()); err == nil {
		t.Fatal("it was not stopped")
	}
	p.c.Close("it was stopped", true)
	p.ended.Wait()
	if name, _, err := record.LastCheckpoint(p.stories[0].Dir); err != nil || name == "" {
		t.Errorf("its last checkpoint is %q, %v", name, fmt.Sprint(err))
	}
}
