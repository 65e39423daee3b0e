package rounds

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// next reads messages up to one of a kind, and is an error where another comes that must not.
func next(t *testing.T, x *conn, want kind, never ...kind) message {
	t.Helper()
	for {
		m, err := x.read()
		if err != nil {
			t.Fatalf("while message %d was waited for: %v", want, err)
		}
		for _, k := range never {
			if m.kind == k {
				t.Fatalf("message %d came before %d", k, want)
			}
		}
		if m.kind == want {
			return m
		}
	}
}

// The quorum is of those who are left: where a worker is lost, and the others have done their steps, the round closes
// then, and not when the next one has made its steps.
func TestTheQuorumIsOfThoseWhoAreLeft(t *testing.T) {
	f := newFixture(t, 8)
	f.c.run.Quorum = 0.5
	lost := f.welcomed()
	if err := lost.write(ready, encode(readyBody{Recipe: "hash"})); err != nil {
		t.Fatal(err)
	}
	f.noted(f.joins)
	slow := f.taking()
	if f.c.Over(2, 2) {
		t.Fatal("one of three is a quorum of a half")
	}
	lost.Close()
	next(t, slow, over)
}

// A worker that reads nothing of a large state is gone for that reason, and it is told.
func TestWhyAWorkerIsGivenUpIsTold(t *testing.T) {
	f := newFixture(t, 512)
	x := f.welcomed()
	if err := x.write(ready, encode(readyBody{Recipe: "hash"})); err != nil {
		t.Fatal(err)
	}
	f.noted(f.joins)
	stop := make(chan struct{})
	defer close(stop)
	go x.keepAlive(stop, func(error) {})
	if _, err := f.c.Begin(context.Background(), f.state, 0, 0); err != nil {
		t.Fatal(err)
	}
	f.noted("is gone: what it is sent it takes too slowly")
	f = newFixture(t, 8)
	f.welcomed()
	f.noted("is gone: nothing came of it for 3s")
}

// No round begins with a worker that is back and has not said where it stands: it may be within the one before, whose
// average it has not got.
func TestNoRoundBeginsWithWhoHasNotSaidWhereItStands(t *testing.T) {
	f := newFixture(t, 8)
	f.taking()
	f.c.Over(2, 2)
	if _, err := f.c.End(context.Background(), f.state, 2, 16); err != nil {
		t.Fatal(err)
	}
	again := f.authenticated()
	if err := again.write(hello, encode(helloBody{Name: "a test", Process: 1, Token: "t"})); err != nil {
		t.Fatal(err)
	}
	next(t, again, welcome)
	if _, err := f.c.Begin(context.Background(), f.state, 0, 2); err != nil {
		t.Fatal(err)
	}
	if err := again.write(ready, encode(readyBody{Recipe: "hash", Round: &beginBody{}})); err != nil {
		t.Fatal(err)
	}
	f.noted("takes part again with the next round")
	f.c.Over(2, 2)
	if _, err := f.c.End(context.Background(), f.state, 4, 16); err != nil {
		t.Fatal(err)
	}
	if _, err := f.c.Begin(context.Background(), f.state, 0, 4); err != nil {
		t.Fatal(err)
	}
	next(t, again, state, begin, average)
}

// The last word reaches a worker that does not read at once, and so does the word that it is refused: a worker that
// missed it would look for a run that is over.
func TestTheLastWordArrives(t *testing.T) {
	f := newFixture(t, 8)
	x := f.taking()
	ended := make(chan struct{})
	go func() {
		f.c.Close(strings.Repeat("\x00", 5000), true)
		close(ended)
	}()
	var why textBody
	if err := decode(next(t, x, leave).body, &why); err != nil || why.Text == "" || !why.Back {
		t.Errorf("%.20q, %t, %v", why.Text, why.Back, err)
	}
	for range 3 { // It hears the worker out, which has not heard it yet.
		time.Sleep(20 * time.Millisecond)
		if err := x.write(alive, nil); err != nil {
			t.Errorf("the connection ended with the worker on the line: %v", err)
		}
	}
	x.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("it waits for a worker that is gone")
	}
	f = newFixture(t, 8)
	x = f.welcomed()
	if err := x.write(ready, encode(readyBody{Recipe: "another"})); err != nil {
		t.Fatal(err)
	}
	next(t, x, refused)
}

// A machine that vanished without a word does not answer the last one. It holds up the end for as long as an answer may
// take, and not for as long as a record may, and who is waited for is told.
func TestAVanishedMachineDoesNotHoldUpTheEnd(t *testing.T) {
	f := newFixtureAt(t, 8, times{handshake: time.Second, silence: time.Minute, write: time.Minute})
	f.taking() // which neither reads nor closes from here on
	begun := time.Now()
	f.c.Close("the run is over", false)
	if took := time.Since(begun); took > 20*time.Second || took < 200*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	f.noted(`waits for worker 1, "a test"`)
	// One that is sent much has time for it.
	f = newFixtureAt(t, 8, times{handshake: time.Second, silence: quick.silence, write: 20 * time.Second})
	x, ended := f.taking(), make(chan struct{})
	stop := make(chan struct{})
	defer close(stop)
	go x.keepAlive(stop, func(error) {})
	f.c.mu.Lock()
	for _, m := range f.c.members {
		m.queue(average, make([]byte, 64<<20))
	}
	f.c.mu.Unlock()
	go func() {
		f.c.Close("the run is over", false)
		close(ended)
	}()
	time.Sleep(1500 * time.Millisecond)
	x.limit = func(kind) int64 { return 128 << 20 }
	next(t, x, leave)
	x.Close()
	<-ended
}

// flaky is a listener that fails before it works.
type flaky struct {
	net.Listener
	failures int
}

func (l *flaky) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

// A coordinator that could not take a connection says so, and takes the next.
func TestListeningGoesOnAfterAnError(t *testing.T) {
	f := newFixture(t, 8)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.c.listener.Close()
	f.c.listener = &flaky{Listener: l, failures: 2}
	ended := make(chan struct{})
	go func() { f.c.accept(f.c.listener); close(ended) }()
	f.noted("too many open files")
	f.works()
	l.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("it goes on after the listener's end")
	}
}

// worker is one that was welcomed.
func (f *fixture) worker() *Worker {
	f.t.Helper()
	t := quick
	t.back, t.pause = 10*time.Second, 10*time.Millisecond
	w, err := dial(context.Background(), At(f.c.Addr().String()), f.key, "test", "a worker", t)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(w.Kill)
	w.Log = f.log
	return w
}

// A worker whose connection broke while it read its data, before it asks for the state, comes back like another.
func TestAConnectionMayBreakBeforeTheFirstRound(t *testing.T) {
	f := newFixture(t, 8)
	w := f.worker()
	w.line.conn.Close()
	w.Ready("hash", f.config, f.layouts)
	f.noted("takes part again with the next round")
	if _, err := f.c.Begin(context.Background(), f.state, 0, 0); err != nil {
		t.Fatal(err)
	}
	if j, err := w.Join(context.Background()); err != nil || j == nil {
		t.Errorf("%v, %v", j, err)
	}
}

// A worker that ends comes back no more, and says nothing of it.
func TestAWorkerThatEndsStaysAway(t *testing.T) {
	for range 20 {
		f := newFixture(t, 8)
		w := f.worker()
		w.Ready("hash", f.config, f.layouts)
		f.noted("joins with the next round")
		w.Close("it has done its work")
		for range w.line.in { // until it is closed
		}
		f.noted("it has done its work")
		f.mu.Lock()
		for _, n := range f.notes {
			if strings.Contains(n, "coming back") {
				t.Fatalf("it says: %s", n)
			}
		}
		f.mu.Unlock()
	}
}
