package generate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/sample"
)

// small is a model with random weights, heads in groups, LoRA, bf16 or not, that speaks nonsense.
func small(t *testing.T, d gpu.Device, precision string, int8, tied bool) *model.Model {
	t.Helper()
	c := model.Config{Hidden: 48, FFN: 72, Layers: 3, Heads: 4, KVHeads: 2, Vocab: 70, MaxSeqLen: 64, NormEps: 1e-5,
		RopeTheta: 10000, Tied: tied}
	l := model.Plain(c, c.Layers)
	l.Storage = model.FullStorage
	if precision == model.BF16 {
		l.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
			Frozen: model.BF16}
	}
	l.LoRA = model.LoRALayout{Rank: 4, Alpha: 8, Targets: []string{"wq", "wo", "down"}}
	l.Blocks[0].Frozen, l.Blocks[0].Wrapped = true, true
	m, err := model.New(d, l.ForInference())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	g := rand.New(rand.NewPCG(5, 0))
	for _, p := range m.Params() {
		values := make([]float32, p.Weight.Elements())
		for i := range values {
			values[i] = float32(0.25 * g.NormFloat64())
			if len(p.Weight.Shape) == 1 {
				values[i]++
			}
		}
		if err := gpu.WriteF32(d, p.Weight, values); err != nil {
			t.Fatal(err)
		}
	}
	if int8 {
		l.Blocks[0].Int8, l.Blocks[1].Frozen, l.Blocks[1].Int8 = true, true, true
		l.Storage.Frozen = model.Int8
		if err := m.Apply(l.ForInference()); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// everySmall calls do with every kind of small model on every device.
func everySmall(t *testing.T, do func(t *testing.T, m *model.Model)) {
	eachDevice(t, func(t *testing.T, d gpu.Device) {
		for _, c := range []struct {
			precision  string
			int8, tied bool
		}{{model.F32, false, false}, {model.BF16, false, true}, {model.F32, true, true}} {
			t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { do(t, small(t, d, c.precision, c.int8, c.tied)) })
		}
	})
}

// someRequests are of unlike lengths and ways to choose.
func someRequests() (list []Request) {
	g := rand.New(rand.NewPCG(9, 0))
	for i := range 9 {
		r := Request{MaxTokens: 3 + 4*i, Ends: []uint32{69}, LogProbs: i%2 == 0}
		for range 1 + 3*i {
			r.Prompt = append(r.Prompt, g.Uint32N(70))
		}
		r.Sample = []sample.Config{{}, warm(uint64(i)), {Temperature: 0.8, TopK: 9, TopP: 0.95, MinP: 0.01,
			RepetitionPenalty: 1.2, Seed: 3}}[i%3]
		list = append(list, r)
	}
	return list
}

// said is all that was heard of a sequence.
type said struct {
	tokens []Token
	seq    *Sequence
}

// listen has a request's tokens noted.
func listen(t *testing.T, g *Generator, r Request) *said {
	t.Helper()
	s := &said{}
	heard := r.Heard
	r.Heard = func(x Token) bool {
		s.tokens = append(s.tokens, x)
		return heard != nil && heard(x)
	}
	s.seq = add(t, g, r)
	return s
}

func same(a, b *said) bool {
	return a.seq.Finish == b.seq.Finish && slices.Equal(a.seq.Tokens, b.seq.Tokens) &&
		slices.EqualFunc(a.tokens, b.tokens, func(x, y Token) bool {
			return x.ID == y.ID && math.Float64bits(x.LogProb) == math.Float64bits(y.LogProb)
		})
}

// What a sequence becomes, to the last bit of its log-probabilities, does not depend on what runs beside it, on how its
// prompt is cut, or on where in the cache it lies: alone, all together, and coming and going.
func TestBatchIsSingle(t *testing.T) {
	everySmall(t, func(t *testing.T, m *model.Model) {
		var alone []*said
		one := generator(t, m, Config{Slots: 1, Chunk: 64})
		for _, r := range someRequests() {
			alone = append(alone, listen(t, one, r))
			run(t, one)
		}
		together := generator(t, m, Config{Slots: 9, Chunk: 5})
		var all []*said
		for _, r := range someRequests() {
			all = append(all, listen(t, together, r))
		}
		run(t, together)
		few := generator(t, m, Config{Slots: 3, Chunk: 11, Positions: 150})
		var late []*said
		requests := someRequests()
		for len(late) < len(requests) {
			s := &said{}
			r := requests[len(late)]
			r.Heard = func(x Token) bool { s.tokens = append(s.tokens, x); return false }
			var err error
			if s.seq, err = few.Add(r); errors.Is(err, ErrFull) {
				err = few.Step()
			} else {
				late = append(late, s)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		run(t, few)
		for i := range alone {
			if !same(alone[i], all[i]) || !same(alone[i], late[i]) {
				t.Errorf("request %d: alone %v, together %v, in turns %v", i, alone[i].seq.Tokens, all[i].seq.Tokens,
					late[i].seq.Tokens)
			}
		}
		if slots, positions := few.Room(); slots != 3 || positions != 150 || len(few.free.free) != 1 {
			t.Errorf("%d slots and %d positions are free in %d parts", slots, positions, len(few.free.free))
		}
	})
}

// Heard is a prompt with its log-probabilities, which are those of scoring it, then what is added.
func TestEcho(t *testing.T) {
	everySmall(t, func(t *testing.T, m *model.Model) {
		g := generator(t, m, Config{Slots: 3, Chunk: 4})
		prompt := []uint32{3, 60, 11, 42, 5, 5, 17}
		s := listen(t, g, Request{Prompt: prompt, MaxTokens: 2, Echo: true, LogProbs: true, Top: 2})
		silent := listen(t, g, Request{Prompt: prompt, MaxTokens: 2, Echo: true})
		read := listen(t, g, Request{Prompt: prompt, Echo: true, LogProbs: true})
		run(t, g)
		var ids []uint32
		text := append(slices.Clone(prompt), s.seq.Tokens...)
		for i, x := range s.tokens {
			ids = append(ids, x.ID)
			if x.Prompt != (i < len(prompt)) || x.Known != (i > 0) {
				t.Errorf("token %d is %+v", i, x)
			}
			if i == 0 {
				continue
			}
			logits, err := g.Logits(text[:i])
			if err != nil {
				t.Fatal(err)
			}
			want, top := sample.Top(logits, x.ID, 2)
			most := 1e-3
			if m.Storage.Precision == model.BF16 { // whose roundings differ where GPUs decode
				most = 0.05
			}
			near := func(a, b float64) bool { return math.Abs(a-b) < most }
			if !near(x.LogProb, want) || len(x.Top) != 2 || x.Top[0].ID != top[0].ID ||
				!near(x.Top[1].LogProb, top[1].LogProb) {
				t.Errorf("token %d is %+v, scoring gives %g and %v", i, x, want, top)
			}
			if x.ID == x.Top[0].ID && x.LogProb != x.Top[0].LogProb {
				t.Errorf("token %d has %v, as the likeliest one %v", i, x.LogProb, x.Top[0].LogProb)
			}
		}
		if !slices.Equal(ids, text) || len(s.seq.Tokens) != 2 {
			t.Errorf("heard %v of %v", ids, text)
		}
		if len(silent.tokens) != len(text) || silent.tokens[3].ID != prompt[3] || silent.tokens[3].Known {
			t.Errorf("without log-probabilities %+v", silent.tokens)
		}
		if len(read.tokens) != len(prompt) || read.seq.Finish != Length ||
			read.tokens[6].LogProb != s.tokens[6].LogProb {
			t.Errorf("only read: %s, %+v", read.seq.Finish, read.tokens)
		}
	})
}

// Why sequences end: length, the context, an end, a stop, cancelled; and what comes with it.
func TestFinish(t *testing.T) {
	m := small(t, gpu.NewHost(), model.F32, false, false)
	g := generator(t, m, Config{Slots: 4, Context: 20})
	prompt := []uint32{1, 2, 3}
	free := listen(t, g, Request{Prompt: prompt, MaxTokens: 12})
	run(t, g)
	tokens := free.seq.Tokens
	end := tokens[4]
	at := slices.Index(tokens, end)
	ended := listen(t, g, Request{Prompt: prompt, MaxTokens: 12, Ends: []uint32{end}})
	ignored := listen(t, g, Request{Prompt: prompt, MaxTokens: 12, Ends: []uint32{end}, IgnoreEnd: true})
	later := listen(t, g, Request{Prompt: prompt, MaxTokens: 12, MinTokens: 12, Ends: []uint32{end}})
	stopped := listen(t, g, Request{Prompt: prompt, MaxTokens: 12, Heard: func(x Token) bool {
		return x.ID == tokens[2]
	}})
	run(t, g)
	full := listen(t, g, Request{Prompt: prompt, MaxTokens: 1000})
	cancelled := listen(t, g, Request{Prompt: prompt, MaxTokens: 1000})
	var inside *said
	inside = listen(t, g, Request{Prompt: prompt, MaxTokens: 1000, Heard: func(Token) bool {
		g.Cancel(inside.seq)
		return false
	}})
	for range 3 {
		if err := g.Step(); err != nil {
			t.Fatal(err)
		}
	}
	g.Cancel(cancelled.seq)
	g.Cancel(cancelled.seq) // once more does nothing
	run(t, g)
	for _, c := range []struct {
		name   string
		s      *said
		finish Finish
		n      int
	}{
		{"length", free, Length, 12}, {"end", ended, End, at + 1}, {"an end that is ignored", ignored, Length, 12},
		{"no end before", later, Length, 12}, {"stop", stopped, Stop, slices.Index(tokens, tokens[2]) + 1},
		{"the context", full, Length, 18}, {"cancelled", cancelled, Cancelled, 3},
		{"cancelled inside", inside, Cancelled, 1},
	} {
		if c.s.seq.Finish != c.finish || len(c.s.seq.Tokens) != c.n || len(c.s.tokens) != c.n {
			t.Errorf("%s: %s after %d tokens, want %s after %d", c.name, c.s.seq.Finish, len(c.s.seq.Tokens), c.finish,
				c.n)
		}
	}
	if slices.Contains(later.seq.Tokens, end) || !slices.Equal(ignored.seq.Tokens, tokens) {
		t.Errorf("%v, %v", later.seq.Tokens, ignored.seq.Tokens)
	}
	if slots, positions := g.Room(); slots != 4 || positions != 80 {
		t.Errorf("%d slots, %d positions are left", slots, positions)
	}
}

func TestRefusals(t *testing.T) {
	m := small(t, gpu.NewHost(), model.F32, false, false)
	for _, c := range []Config{{Slots: 0}, {Slots: 1, Context: 65}, {Slots: 1, Context: -1}, {Slots: 1, Positions: -1},
		{Slots: 1, Chunk: -1}} {
		if g, err := New(m, c); err == nil {
			g.Free()
			t.Errorf("%+v is taken", c)
		}
	}
	g := generator(t, m, Config{Slots: 2, Context: 20, Positions: 30})
	var long *TooLong
	if _, err := g.Add(Request{Prompt: make([]uint32, 21)}); !errors.As(err, &long) || long.Tokens != 21 ||
		long.Most != 20 {
		t.Errorf("a prompt of 21 tokens: %v", err)
	}
	for name, r := range map[string]Request{"no prompt": {}, "an unknown id": {Prompt: []uint32{70}},
		"a negative length": {Prompt: []uint32{1}, MaxTokens: -1}, "a negative top": {Prompt: []uint32{1}, Top: -1},
		"a temperature": {Prompt: []uint32{1}, Sample: sample.Config{Temperature: -1}}} {
		if _, err := g.Add(r); err == nil || errors.Is(err, ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
	add(t, g, Request{Prompt: make([]uint32, 10), MaxTokens: 11})
	if _, err := g.Add(Request{Prompt: make([]uint32, 11)}); !errors.Is(err, ErrFull) {
		t.Errorf("no positions are left: %v", err)
	}
	add(t, g, Request{Prompt: make([]uint32, 10), MaxTokens: 1})
	if _, err := g.Add(Request{Prompt: []uint32{1}}); !errors.Is(err, ErrFull) {
		t.Errorf("no slots are left: %v", err)
	}
	run(t, g)
}

// A model whose numbers are none fails the sequence, and the Generator goes on.
func TestDiverged(t *testing.T) {
	m := small(t, gpu.NewHost(), model.F32, false, false)
	nan := float32(math.NaN())
	row := make([]float32, m.Hidden)
	for i := range row {
		row[i] = nan
	}
	if err := gpu.WriteRows(m.Device(), m.Embed.Weight, 7, row); err != nil {
		t.Fatal(err)
	}
	g := generator(t, m, Config{Slots: 2})
	bad, good := add(t, g, Request{Prompt: []uint32{1, 7}, MaxTokens: 3}), add(t, g, Request{Prompt: []uint32{1, 6},
		MaxTokens: 3, Sample: sample.Config{}})
	run(t, g)
	var diverged *sample.NotFinite
	if bad.Finish != Failed || !errors.As(bad.Err, &diverged) || good.Finish != Length {
		t.Errorf("%s, %v; the other %s", bad.Finish, bad.Err, good.Finish)
	}
}

// Positions are taken and given in any order, and none is lost.
func TestExtents(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 0))
	e := newExtents(100)
	var taken []extent
	for range 5000 {
		if x, ok := e.take(1 + g.IntN(30)); ok && g.IntN(2) == 0 {
			for _, y := range taken {
				if x.first < y.first+y.n && y.first < x.first+x.n {
					t.Fatalf("%v and %v overlap", x, y)
				}
			}
			taken = append(taken, x)
		} else if ok {
			e.give(x)
		}
		if len(taken) > 0 && g.IntN(2) == 0 {
			i := g.IntN(len(taken))
			e.give(taken[i])
			taken = slices.Delete(taken, i, i+1)
		}
		n := e.left()
		for _, y := range taken {
			n += y.n
		}
		if n != 100 {
			t.Fatalf("%d positions of 100", n)
		}
	}
	for _, y := range taken {
		e.give(y)
	}
	if len(e.free) != 1 || e.free[0] != (extent{0, 100}) {
		t.Errorf("%v is left", e.free)
	}
}
