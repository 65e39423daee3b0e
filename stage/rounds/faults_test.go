package rounds

import (
	"context"
	"testing"
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

// may be within the one before, whose average it has not got.
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
