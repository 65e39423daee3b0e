package rounds

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage/outer"
)

// quick are times for tests.
var quick = times{handshake: 2 * time.Second, silence: 3 * time.Second, write: time.Second}

// fixture is a coordinator of a tiny model's run, with what it told.
type fixture struct {
	t       *testing.T
	c       *Coordinator
	key     Key
	config  outer.Config
	layouts []model.Layout
	state   *outer.State
	mu      sync.Mutex
	notes   []string
	joins   string // what is told when the last that was welcomed is ready
}

func testKey(t *testing.T, digit string) Key {
	t.Helper()
	k, err := NewKey(strings.Repeat(digit, 64))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newFixture(t *testing.T, hidden int) *fixture {
	t.Helper()
	return newFixtureAt(t, hidden, quick)
}

// newFixtureAt is newFixture with other times: once it listens they are read.
func newFixtureAt(t *testing.T, hidden int, at times) *fixture {
	t.Helper()
	l := model.Plain(model.Config{Hidden: hidden, FFN: 2 * hidden, Layers: 1, Heads: 1, KVHeads: 1, Vocab: 64,
		MaxSeqLen: 8, NormEps: 1e-5, RopeTheta: 1e4}, 1)
	l.Storage = model.FullStorage
	f := &fixture{t: t, key: testKey(t, "a"), layouts: []model.Layout{l},
		config: outer.Config{Every: 2, LR: 0.7, Momentum: 0.9, Wire: outer.WireF32}}
	m, err := model.New(gpu.NewHost(), l)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Init(1, nil); err != nil {
		t.Fatal(err)
	}
	f.state = outer.New(f.config)
	if err := f.state.Allocate(m); err != nil {
		t.Fatal(err)
	}
	f.c, err = listen("127.0.0.1:0", f.key, Run{Name: "test", Hash: "hash", Outer: f.config, Layouts: f.layouts,
		Quorum: 1, Least: 200 * time.Millisecond, Log: f.log,
		Welcome: Welcome{Recipe: []byte("{}"), Spec: []byte("{}")}}, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.c.Close("the test is over", false) })
	return f
}

func (f *fixture) log(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// noted waits until the coordinator has told of something.
func (f *fixture) noted(text string) {
	f.t.Helper()
	for begun := time.Now(); time.Since(begun) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		f.mu.Lock()
		for _, n := range f.notes {
			if strings.Contains(n, text) {
				f.mu.Unlock()
				return
			}
		}
		f.mu.Unlock()
	}
	f.t.Fatalf("the coordinator did not tell of %q, but %q", text, f.notes)
}

func (f *fixture) dial() net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.c.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

// authenticated is a connection of who has the key, and may then do what it wants.
func (f *fixture) authenticated() *conn {
	f.t.Helper()
	x, err := handshake(f.dial(), f.key, "test", true, quick)
	if err != nil {
		f.t.Fatal(err)
	}
	x.limit = sizesOf(f.config, f.layouts).toWorker
	return x
}

// welcomed is one that has said who it is.
func (f *fixture) welcomed() *conn {
	f.t.Helper()
	x := f.authenticated()
	if err := x.write(hello, encode(helloBody{Name: "a test", Token: "t"})); err != nil {
		f.t.Fatal(err)
	}
	m, err := x.read()
	if err != nil || m.kind != welcome {
		f.t.Fatalf("%v, %v", m.kind, err)
	}
	var w Welcome
	if err := decode(m.body, &w); err != nil {
		f.t.Fatal(err)
	}
	f.joins = fmt.Sprintf(`worker %d, "a test" at %s, joins with the next round`, w.Process, x.LocalAddr())
	return x
}

// taking is one that takes part in a round, which has begun.
func (f *fixture) taking() *conn {
	f.t.Helper()
	x := f.welcomed()
	if err := x.write(ready, encode(readyBody{Recipe: "hash"})); err != nil {
		f.t.Fatal(err)
	}
	f.noted(f.joins)
	if _, err := f.c.Begin(context.Background(), f.state, 0, 0); err != nil {
		f.t.Fatal(err)
	}
	for _, want := range []kind{state, begin} {
		if m, err := x.read(); err != nil || m.kind != want {
			f.t.Fatalf("%v, %v, want %v", m.kind, err, want)
		}
	}
	return x
}

// ended checks that the coordinator closes a connection, and has no worker left.
func (f *fixture) ended(c net.Conn) {
	f.t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		f.t.Fatal("the connection stays open")
	}
	for begun := time.Now(); f.members() > 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			f.t.Fatal("the worker stays")
		}
	}
}

func (f *fixture) members() int {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return len(f.c.members)
}

// works checks that an honest worker still gets in, and that the coordinator makes a round.
func (f *fixture) works() {
	f.t.Helper()
	w, err := dial(context.Background(), At(f.c.Addr().String()), f.key, "test", "honest", quick)
	if err != nil {
		f.t.Fatal(err)
	}
	w.Close("it was to see whether it gets in")
	f.noted(`"honest"`)
}

// Nothing listens without a key, with a weak one, or with one that others can read.
func TestNothingListensWithoutAKey(t *testing.T) {
	run := Run{Name: "test", Quorum: 1, Log: t.Logf}
	if c, err := Listen("127.0.0.1:0", Key{}, run); !errors.Is(err, ErrNoKey) || c != nil {
		t.Errorf("without a key it listens: %v", err)
	}
	t.Setenv(KeyVariable, "x")
	os.Unsetenv(KeyVariable)
	if _, err := ReadKey(""); !errors.Is(err, ErrNoKey) {
		t.Errorf("without the variable: %v", err)
	}
	t.Setenv(KeyVariable, "short")
	if _, err := ReadKey(""); err == nil || !strings.Contains(err.Error(), "5 characters") {
		t.Errorf("a weak key: %v", err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(strings.Repeat("a", 64)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := ReadKey(path)
	if runtime.GOOS != "windows" && (err == nil || !strings.Contains(err.Error(), "chmod 600")) {
		t.Errorf("a key that others can read: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err := ReadKey(path); err != nil || !bytes.Equal(k.secret, testKey(t, "a").secret) {
		t.Errorf("a good file: %v", err)
	}
	for _, name := range []string{"", "A", "a b", "a.b", strings.Repeat("a", 41)} {
		if ValidName(name) == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
}

// Another key, or the key with another name, gets no answer; both sides say so, and the run goes on.
func TestAnotherKeyIsRefused(t *testing.T) {
	f := newFixture(t, 8)
	for _, c := range []struct {
		key  Key
		name string
	}{{testKey(t, "b"), "test"}, {f.key, "other"}} {
		_, err := dial(context.Background(), At(f.c.Addr().String()), c.key, c.name, "x", quick)
		if err == nil || !strings.Contains(err.Error(), "is it the key") {
			t.Errorf("it is told %v", err)
		}
	}
	f.noted("number 2 that was: " + ErrKey.Error())
	if f.members() != 0 {
		t.Error("it is a worker")
	}
	f.works()
}

// recorded copies what is written.
type recorded struct {
	net.Conn
	all bytes.Buffer
}

func (r *recorded) Write(b []byte) (int, error) { r.all.Write(b); return r.Conn.Write(b) }

// What a worker once sent, played again, gets nothing but the coordinator's side of a handshake.
func TestReplayIsRefused(t *testing.T) {
	f := newFixture(t, 8)
	r := &recorded{Conn: f.dial()}
	x, err := handshake(r, f.key, "test", true, quick)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.write(hello, encode(helloBody{Name: "recorded", Token: "t"})); err != nil {
		t.Fatal(err)
	}
	x.limit = sizes{}.toWorker
	if _, err := x.read(); err != nil {
		t.Fatal(err)
	}
	x.Close()
	f.noted(`"recorded" at`)
	again := f.dial()
	if _, err := again.Write(r.all.Bytes()); err != nil {
		t.Fatal(err)
	}
	f.noted("a record that the key does not open")
	answer, _ := io.ReadAll(again)
	if len(answer) != 2+handshakeBytes || f.members() != 0 {
		t.Errorf("%d bytes came back, the handshake has %d; %d workers", len(answer), 2+handshakeBytes, f.members())
	}
	f.works()
}

// Bytes that are no handshake, or too many for one, end the connection; so does silence. No more than so many wait at
// once.
func TestGarbageAndSilenceAreBounded(t *testing.T) {
	f := newFixture(t, 8)
	g := rand.New(rand.NewPCG(1, 1))
	for i := range 20 {
		c, junk := f.dial(), make([]byte, 1+g.IntN(4000))
		for j := range junk {
			junk[j] = byte(g.IntN(256))
		}
		if i == 0 { // a length within a handshake's, and nothing that belongs there
			binary.BigEndian.PutUint16(junk, handshakeBytes)
		}
		c.Write(junk)
		c.(*net.TCPConn).CloseWrite()
		f.ended(c)
	}
	f.noted("a record of")
	f.mu.Lock()
	told := len(f.notes)
	f.mu.Unlock()
	if told != 16 { // the first 16, and then 32
		t.Errorf("20 refusals are told in %d lines", told)
	}
	var silent []net.Conn
	for range mostHandshakes + 4 {
		silent = append(silent, f.dial())
	}
	begun := time.Now()
	for _, c := range silent {
		f.ended(c)
	}
	if took := time.Since(begun); took > quick.handshake+5*time.Second {
		t.Errorf("silent connections stayed for %s", took)
	}
	f.works()
}

// Who has the key is held to what a run can need: a message that says it is larger ends the connection before memory is
// taken for it; so does one of a kind that may not come now, one longer than it says, and a record that was changed.
func TestMessagesAreBounded(t *testing.T) {
	f := newFixture(t, 8)
	big := func(k kind, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{byte(k)}, n) }
	record := func(x *conn, plain []byte) {
		sealed, err := x.to.Encrypt(nil, nil, plain)
		if err != nil {
			t.Fatal(err)
		}
		x.writeFrame(sealed)
	}
	for name, send := range map[string]func() *conn{
		"hello of 1 TiB": func() *conn {
			x := f.authenticated()
			record(x, big(hello, 1<<40))
			return x
		},
		"hello of 2^63": func() *conn {
			x := f.authenticated()
			record(x, big(hello, 1<<63))
			return x
		},
		"change in place of hello": func() *conn {
			x := f.authenticated()
			x.write(change, []byte("{}"))
			return x
		},
		"change before ready": func() *conn {
			x := f.welcomed()
			x.write(change, []byte("{}\n"))
			return x
		},
		"change of 1 TiB": func() *conn {
			x := f.taking()
			record(x, big(change, 1<<40))
			return x
		},
		"state from a worker": func() *conn {
			x := f.taking()
			x.write(state, nil)
			return x
		},
		"unknown kind": func() *conn {
			x := f.taking()
			x.write(kind(200), nil)
			return x
		},
		"no head": func() *conn {
			x := f.authenticated()
			record(x, []byte{1, 2})
			return x
		},
		"longer than it says": func() *conn {
			x := f.authenticated()
			record(x, append(big(hello, 1), 1, 2, 3))
			return x
		},
		"a record that was changed": func() *conn {
			x := f.welcomed()
			sealed, err := x.to.Encrypt(nil, nil, big(alive, 0))
			if err != nil {
				t.Fatal(err)
			}
			sealed[3] ^= 1
			x.writeFrame(sealed)
			return x
		},
		"a record again": func() *conn {
			x := f.welcomed()
			sealed, err := x.to.Encrypt(nil, nil, big(alive, 0))
			if err != nil {
				t.Fatal(err)
			}
			x.writeFrame(sealed)
			x.writeFrame(sealed)
			return x
		},
		"hello that is no JSON": func() *conn {
			x := f.authenticated()
			x.write(hello, []byte("hello"))
			return x
		},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f.ended(send())
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
	f.works()
}

// Changes that cannot be of the round end the connection or are left out: of another size, not finite, of no tokens, of
// another round. The round is made without them.
func TestBadChangesAreLeftOut(t *testing.T) {
	for name, body := range map[string]func(good []byte) []byte{
		"short":     func(b []byte) []byte { return headed(changeHead{Tokens: 8}, b[:len(b)-4]) },
		"no head":   func(b []byte) []byte { return b },
		"no tokens": func(b []byte) []byte { return headed(changeHead{}, b) },
		"of 2^62":   func(b []byte) []byte { return headed(changeHead{Tokens: 1 << 62}, b) },
		"not finite": func(b []byte) []byte {
			copy(b[8:], []byte{0, 0, 0x80, 0x7f})
			return headed(changeHead{Tokens: 8}, b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 8)
			x := f.taking()
			if err := x.write(change, body(make([]byte, f.config.WireBytes(f.layouts[0])))); err != nil {
				t.Fatal(err)
			}
			f.ended(x)
			f.c.Over(2, 2)
			r, err := f.c.End(context.Background(), f.state, 2, 16)
			if err != nil || len(r.Shares) != 1 || len(r.Missing) != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			f.works()
		})
	}
	f := newFixture(t, 8)
	x := f.taking()
	if err := x.write(change, headed(changeHead{Step: 7, Tokens: 8}, nil)); err != nil {
		t.Fatal(err)
	}
	f.c.Over(2, 2)
	stop := make(chan struct{})
	defer close(stop)
	go x.keepAlive(stop, func(error) {})
	r, err := f.c.End(context.Background(), f.state, 2, 16)
	if err != nil || len(r.Shares) != 1 || len(r.Missing) != 1 || r.Missing[0].Why != "it was too late" {
		t.Errorf("of another round: %+v, %v", r, err)
	}
}

// A worker with another recipe is told so and refused.
func TestAnotherRecipeIsRefused(t *testing.T) {
	f := newFixture(t, 8)
	x := f.welcomed()
	if err := x.write(ready, encode(readyBody{Recipe: "another"})); err != nil {
		t.Fatal(err)
	}
	f.noted("its recipe has the hash")
	f.ended(x)
}

// A worker that reads nothing of what it is sent is given up, and holds up nobody: neither the round, nor memory.
func TestSlowReaderIsGivenUp(t *testing.T) {
	f := newFixture(t, 512) // a state of some 19 MB, more than a socket's buffers hold
	x := f.welcomed()
	if err := x.write(ready, encode(readyBody{Recipe: "hash"})); err != nil {
		t.Fatal(err)
	}
	f.noted(f.joins)
	stop := make(chan struct{})
	defer close(stop)
	go x.keepAlive(stop, func(error) {})
	begun := time.Now()
	for step := 0; step < 40 && f.members() > 0; step += 2 {
		if _, err := f.c.Begin(context.Background(), f.state, 0, step); err != nil {
			t.Fatal(err)
		}
		f.c.Over(2, 2)
		if _, err := f.c.End(context.Background(), f.state, step+2, 16); err != nil {
			t.Fatal(err)
		}
	}
	if f.members() != 0 {
		t.Error("it is still there")
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it held the run up for %s", took)
	}
	f.noted("is gone")
}

// A worker of which nothing is heard is lost after a while; one that says it is alive is not.
func TestSilentWorkerIsLost(t *testing.T) {
	f := newFixture(t, 8)
	x, y := f.welcomed(), f.welcomed()
	stop := make(chan struct{})
	defer close(stop)
	go y.keepAlive(stop, func(error) {})
	f.noted("is gone")
	time.Sleep(quick.silence / 2)
	if f.members() != 1 {
		t.Errorf("%d workers are left, want 1", f.members())
	}
	x.Close()
}

// A worker takes no state with another hash, and none larger than its model's.
func TestWorkerChecksTheState(t *testing.T) {
	body := headed(stateHead{Stage: 0, Step: 4}, []byte("weights"))
	if _, err := joined(body); err == nil || !strings.Contains(err.Error(), "another hash") {
		t.Errorf("a state with another hash: %v", err)
	}
	f := newFixture(t, 8)
	w := &Worker{next: []message{{state, body}}}
	if at, err := w.Begin(context.Background(), f.state, 0, 7); at != 7 || err == nil {
		t.Errorf("after it the worker is at step %d, was at 7, and says %v", at, err)
	}
	s := sizes{change: 100, state: 1000}
	for k, want := range map[kind]int64{state: 1000 + smallBody, average: 100 + smallBody, change: -1, hello: -1} {
		if n := s.toWorker(k); n != want {
			t.Errorf("kind %d: at most %d bytes, want %d", k, n, want)
		}
	}
}

// A worker that comes back has its number again, and its new connection the place of one that seems to live, if it has
// its secret; another that says it were that worker is a new one, and the first stays. What it says of its round is not
// trusted: of a stage that there is not, or of another round, its change is left out.
func TestAWorkerIsKnownByItsSecret(t *testing.T) {
	f := newFixture(t, 8)
	first := f.taking()
	enter := func(token string) (*conn, int) {
		x := f.authenticated()
		if err := x.write(hello, encode(helloBody{Name: "a test", Process: 1, Token: token})); err != nil {
			t.Fatal(err)
		}
		m, err := x.read()
		var w Welcome
		if err == nil {
			err = decode(m.body, &w)
		}
		if err != nil {
			t.Fatal(err)
		}
		return x, w.Process
	}
	other, n := enter("another")
	if n != 2 || f.members() != 2 {
		t.Fatalf("who has another secret is number %d of %d", n, f.members())
	}
	for _, round := range []beginBody{{Stage: 99, Step: 0}, {Stage: -1, Step: 0}, {Stage: 0, Step: 0}} {
		if err := other.write(ready, encode(readyBody{Recipe: "hash", Round: &round})); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, f.config.WireBytes(f.layouts[0]))
		if err := other.write(change, headed(changeHead{Step: 0, Tokens: 8}, body)); err != nil {
			t.Fatal(err)
		}
	}
	again, n := enter("t")
	if n != 1 {
		t.Fatalf("who comes back is number %d", n)
	}
	hash, err := f.state.Hash()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.write(ready, encode(readyBody{Recipe: "hash", Round: &beginBody{Hash: hash}})); err != nil {
		t.Fatal(err)
	}
	f.noted("is back in its round")
	for err == nil { // until its end: what the coordinator said before may be there yet
		_, err = first.read()
	}
	body := make([]byte, f.config.WireBytes(f.layouts[0]))
	if err := again.write(change, headed(changeHead{Step: 0, Tokens: 8}, body)); err != nil {
		t.Fatal(err)
	}
	f.c.Over(2, 2)
	r, err := f.c.End(context.Background(), f.state, 2, 16)
	if err != nil || len(r.Shares) != 2 || r.Shares[1].Process != 1 || r.Shares[1].Tokens != 8 || len(r.Missing) != 0 {
		t.Errorf("the round: %+v, %v", r, err)
	}
}
