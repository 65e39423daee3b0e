package likelihood

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/hf"
	"steplm/stage/eval"
)

// open loads stories260K, of 512 positions and 512 ids.
func open(t *testing.T, d gpu.Device) *model.Model {
	t.Helper()
	m, err := hf.Open(d, datatest.Path(t, "models/stories260K"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	return m
}

// made makes a Scorer, and compares what it allocates with its plan.
func made(t *testing.T, m *model.Model, c Config) *Scorer {
	t.Helper()
	specs, err := Specs(m.Layout, c)
	if err != nil {
		t.Fatal(err)
	}
	ledger := m.Device().Ledger()
	before := ledger.Total()
	s, err := New(m, c)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ledger.Total()-before, gpu.Plan(specs).Total(); got != want {
		t.Errorf("%d bytes are allocated, planned were %d", got, want)
	}
	t.Cleanup(func() {
		live := ledger.Total()
		s.Free()
		if got, want := live-ledger.Total(), gpu.Plan(specs).Total(); got != want {
			t.Errorf("%d bytes are freed of %d", got, want)
		}
	})
	return s
}

// answer asks all, each of which must be heard once.
func answer(t *testing.T, s *Scorer, requests []Request) []Answer {
	t.Helper()
	answers, heard := make([]Answer, len(requests)), make([]int, len(requests))
	if err := s.Score(t.Context(), requests, func(i int, a Answer) error {
		answers[i] = a
		heard[i]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, n := range heard {
		if n != 1 {
			t.Fatalf("request %d is heard %d times", i, n)
		}
	}
	return answers
}

// requests are questions with choices, some of one token, some equal, some the beginning of others, and texts alone.
func requests() (list []Request) {
	r := rand.New(rand.NewPCG(4, 4))
	ids := func(n int) []uint32 {
		x := make([]uint32, n)
		for i := range x {
			x[i] = uint32(3 + r.IntN(500))
		}
		return x
	}
	for i := range 5 {
		question := ids(3 + 7*i)
		choice := ids(5)
		list = append(list, Request{question, choice}, Request{question, choice[:1]}, Request{question, ids(1)},
			Request{question, choice}, Request{question, slices.Concat(choice, ids(3))}, Request{question, ids(9)},
			Request{slices.Concat(question, choice[:2]), choice[2:]})
	}
	return append(list, Request{ids(1), ids(1)}, Request{ids(1), ids(40)}, Request{ids(40), ids(1)})
}

// Answers are those of a window each, to all bits the same however few run side by side, and in whatever order.
func TestScore(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m := open(t, d)
		all := requests()
		if d.Name() == gpu.NewHost().Name() { // which is slow
			all = all[:7]
		}
		got := answer(t, made(t, m, Config{}), all)
		a, err := model.NewActivations(d, m.Layout, model.Size{Batch: 1, SeqLen: 64})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Free()
		window := eval.OnDevice(m, a)
		for i, r := range all {
			want, err := eval.ScoreContinuation(window, r.Context, r.Continuation)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got[i].LogLikelihood-want) > 1e-3 {
				t.Errorf("request %d: %g, want %g", i, got[i].LogLikelihood, want)
			}
			likeliest, err := eval.ContinueText(t.Context(), window, r.Context, len(r.Continuation), nil)
			if err != nil {
				t.Fatal(err)
			}
			if greedy := slices.Equal(likeliest, r.Continuation); greedy != got[i].Greedy {
				t.Errorf("request %d: greedy is %t, want %t", i, got[i].Greedy, greedy)
			}
		}
		order := rand.New(rand.NewPCG(5, 5)).Perm(len(all))
		var mixed []Request
		for _, i := range order {
			mixed = append(mixed, all[i])
		}
		for _, c := range []Config{{Context: 48, Rows: 3}, {Context: 48, Rows: 64, Positions: 48}} {
			s := made(t, m, c)
			s.picks = 2
			for j, x := range answer(t, s, mixed) {
				if x != got[order[j]] {
					t.Errorf("%+v: request %d: %v, want %v", c, order[j], x, got[order[j]])
				}
			}
		}
	})
}

// The likeliest continuation is greedy, and what a prefix needs is read once.
func TestSharedPrefixes(t *testing.T) {
	all := requests()
	rows := 0
	for _, g := range groupsOf(all) {
		held := []uint32{}
		for _, c := range g.chains {
			held = append(held[:c.at], c.ids...) // what lies before it is there
			rows += len(c.ids)
			for _, w := range c.wants {
				r := all[w.request]
				whole := slices.Concat(r.Context, r.Continuation)
				if w.position < c.at || w.position >= c.at+len(c.ids) || whole[w.position+1] != w.target ||
					!slices.Equal(held[:w.position+1], whole[:w.position+1]) {
					t.Fatalf("request %d: position %d is asked for in a chain at %d", w.request, w.position, c.at)
				}
			}
		}
	}
	apart := 0
	for _, r := range all {
		apart += len(r.Context) + len(r.Continuation) - 1
	}
	// A question is read once, then its choices: 4, 0, 0, 0 and 3 tokens more, 8, and 0.
	want := 1 + 40 + 40
	for i := range 5 {
		want += 3 + 7*i + 7 + 8
	}
	if rows > want+3*4 || rows >= apart {
		t.Errorf("%d tokens are read, %d with prefixes apart, at least %d", rows, apart, want)
	}
}

func TestScoreRefuses(t *testing.T) {
	m := open(t, gpu.NewHost())
	s := made(t, m, Config{Context: 16, Rows: 8, Positions: 16})
	none := func(int, Answer) error { return nil }
	for want, r := range map[string]Request{
		"a continuation of 0 tokens after a context of 1": {[]uint32{1}, nil},
		"a continuation of 1 tokens after a context of 0": {nil, []uint32{1}},
		"the one after it have room for 17":               {make([]uint32, 9), make([]uint32, 9)},
		"id 512 at position 1 is not below":               {[]uint32{1, 512}, []uint32{1}},
	} {
		err := s.Score(t.Context(), []Request{{[]uint32{1}, []uint32{2}}, r}, none)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "request 1") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Score(stopped, []Request{{[]uint32{1}, []uint32{2}}}, none); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	full := errors.New("full")
	if err := s.Score(t.Context(), []Request{{[]uint32{1}, []uint32{2}}}, func(int, Answer) error { return full }); err != full {
		t.Errorf("whoever hears it fails: %v", err)
	}
	for want, c := range map[string]Config{"must be 1 to the model's 512": {Context: 513}, "there must be 1 token": {Rows: -1},
		"a cache of 10 positions": {Context: 16, Positions: 10}} {
		if _, err := New(m, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}
