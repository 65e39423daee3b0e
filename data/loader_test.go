package data

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"steplm/data/datatest"
)

func newLoader(t testing.TB, s *Shards, o Options) *Loader {
	t.Helper()
	l, err := loaderOf(s, byteTokenizer{}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func next(t testing.TB, l *Loader) Batch {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, err := l.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Without shuffling, the inputs in a row are the stream, epoch after epoch, and
// the targets the same moved by one.
func TestLoaderLosesNothing(t *testing.T) {
	a, b := datatest.Texts("first", 9), datatest.Texts("second", 7)
	s := shardsOf(t, a, b)
	epoch := stream(append(slices.Clone(a), b...)...)
	for _, o := range []Options{
		{BatchSize: 1, SeqLen: 1}, {BatchSize: 1, SeqLen: 7}, {BatchSize: 3, SeqLen: 16, BlockWindows: 2},
		{BatchSize: 4, SeqLen: 5, BlockWindows: 9}, {BatchSize: 1, SeqLen: len(epoch) - 1},
		{BatchSize: 2, SeqLen: 64, BlockWindows: 1},
	} {
		l := newLoader(t, s, o)
		var inputs, targets []uint32
		for len(inputs) < 4*len(epoch) {
			batch := next(t, l)
			if len(batch.Inputs) != o.BatchSize*o.SeqLen || len(batch.Targets) != len(batch.Inputs) {
				t.Fatalf("%+v: %d inputs, %d targets", o, len(batch.Inputs), len(batch.Targets))
			}
			inputs, targets = append(inputs, batch.Inputs...), append(targets, batch.Targets...)
		}
		for i := range inputs {
			if inputs[i] != epoch[i%len(epoch)] || targets[i] != epoch[(i+1)%len(epoch)] {
				t.Fatalf("%+v: input %d is %d -> %d, want %d -> %d", o, i, inputs[i], targets[i], epoch[i%len(epoch)],
					epoch[(i+1)%len(epoch)])
			}
		}
	}
}

// Shuffling moves windows within their block only, and differently in each
// block and epoch.
func TestLoaderShufflesWithinBlocks(t *testing.T) {
	s := oneGroup(t, datatest.Texts("doc", 40))
	const seqLen, blockWindows = 16, 8
	epoch := int(streamLen(t, s))
	windows := (epoch - 1) / seqLen
	plain := newLoader(t, s, Options{BatchSize: 1, SeqLen: seqLen, BlockWindows: blockWindows})
	mixed := newLoader(t, s, Options{BatchSize: 1, SeqLen: seqLen, BlockWindows: blockWindows, Shuffle: true, Seed: 3})
	orders := map[string]int{}
	for start := 0; start < 2*windows; {
		n := min(blockWindows, windows-start%windows)
		if start >= windows {
			n = blockWindows // the carried ids move the second epoch's cuts
			if start+n > 2*windows {
				break
			}
		}
		var want, got []string
		for range n {
			want = append(want, fmt.Sprint(next(t, plain).Inputs))
			got = append(got, fmt.Sprint(next(t, mixed).Inputs))
		}
		var order []int
		for _, w := range got {
			i := slices.Index(want, w)
			if i < 0 {
				t.Fatalf("block at window %d: a window from elsewhere", start)
			}
			order = append(order, i)
		}
		orders[fmt.Sprint(order)]++
		start += n
	}
	if len(orders) < windows/blockWindows {
		t.Errorf("%d orders in %d blocks: %v", len(orders), 2*windows/blockWindows, orders)
	}
}

// oneGroup is a shard of one row group: reading order is row order.
func oneGroup(t testing.TB, texts []string) *Shards {
	t.Helper()
	path := filepath.Join(t.TempDir(), "0.parquet")
	if err := datatest.WriteShard(path, datatest.RowsOf(texts), datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func streamLen(t testing.TB, s *Shards) (n int64) {
	for _, d := range collect(t, s.Documents(Position{})) {
		n += int64(len(d.Text)) + 1
	}
	return n
}

// A cursor, also one that went through JSON, is followed by the batches that
// followed it the first time: inside blocks, at their ends, across shards and
// epochs, and for every cut of options.
func TestSeekIsExact(t *testing.T) {
	s := shardsOf(t, datatest.Texts("first", 9), datatest.Texts("second", 5), datatest.Texts("third", 8))
	rapid.Check(t, func(r *rapid.T) {
		o := Options{
			BatchSize:    rapid.IntRange(1, 5).Draw(r, "batch size"),
			SeqLen:       rapid.IntRange(1, 40).Draw(r, "sequence length"),
			BlockWindows: rapid.IntRange(1, 12).Draw(r, "block windows"),
			Seed:         rapid.Uint64().Draw(r, "seed"),
			Shuffle:      rapid.Bool().Draw(r, "shuffle"),
		}
		l := newLoader(t, s, o)
		defer l.Close()
		steps := rapid.IntRange(4, 60).Draw(r, "steps")
		cursors, stats := []Cursor{l.Cursor()}, []Stats{l.Stats()}
		var batches []Batch
		for range steps {
			batches = append(batches, next(t, l))
			cursors, stats = append(cursors, l.Cursor()), append(stats, l.Stats())
		}
		fresh := newLoader(t, s, o)
		defer fresh.Close()
		for _, again := range []*Loader{l, fresh} {
			at := rapid.IntRange(0, steps-1).Draw(r, "at")
			text, err := json.Marshal(cursors[at])
			if err != nil {
				r.Fatal(err)
			}
			var c Cursor
			if err := json.Unmarshal(text, &c); err != nil {
				r.Fatal(err)
			}
			if !cmp.Equal(c, cursors[at]) {
				r.Fatalf("through JSON %+v became %+v", cursors[at], c)
			}
			if err := again.Seek(c); err != nil {
				r.Fatal(err)
			}
			if !cmp.Equal(again.Cursor(), c) {
				r.Fatalf("after Seek the cursor is %+v, want %+v", again.Cursor(), c)
			}
			for i := at; i < min(steps, at+12); i++ {
				if d := cmp.Diff(batches[i], next(t, again)); d != "" {
					r.Fatalf("%+v: batch %d after seeking to %d differs: %s", o, i, at, d)
				}
				if !cmp.Equal(again.Cursor(), cursors[i+1]) || again.Stats() != stats[i+1] {
					r.Fatalf("%+v: after batch %d: cursor %+v, want %+v; stats %+v, want %+v", o, i, again.Cursor(),
						cursors[i+1], again.Stats(), stats[i+1])
				}
			}
		}
	})
}

// countingTokenizer counts what it encodes.
type countingTokenizer struct {
	byteTokenizer
	documents *atomic.Int64
}

func (c countingTokenizer) Encode(s string) ([]uint32, error) {
	c.documents.Add(1)
	return c.byteTokenizer.Encode(s)
}

// Far into a run, Seek must not read from the beginning.
func TestSeekReadsOneBlockAgain(t *testing.T) {
	s := shardsOf(t, slices.Repeat([]string{"0123456789abcde"}, 4000)) // 16 ids each
	o := Options{BatchSize: 1, SeqLen: 16, BlockWindows: 10, Shuffle: true}
	l := newLoader(t, s, o)
	for range 3257 {
		next(t, l)
	}
	c := l.Cursor()
	var documents atomic.Int64
	again, err := loaderOf(s, countingTokenizer{documents: &documents}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Seek(c); err != nil {
		t.Fatal(err)
	}
	next(t, again)
	again.Close()
	// A block is 10 documents; the reader is some blocks and chunks ahead.
	if n := documents.Load(); n > 3*10+4*chunkRows {
		t.Errorf("%d documents were tokenized for one batch", n)
	}
}

func TestSeekRefuses(t *testing.T) {
	s := shardsOf(t, datatest.Texts("doc", 20))
	o := Options{BatchSize: 2, SeqLen: 8, BlockWindows: 4, Shuffle: true, Seed: 1}
	l := newLoader(t, s, o)
	next(t, l)
	good := l.Cursor()
	for _, tt := range []struct {
		name   string
		change func(*Cursor)
		want   string
	}{
		{"zero", func(c *Cursor) { *c = Cursor{} }, "order 1, here it is 2"},
		{"another order", func(c *Cursor) { c.Order = 3 }, "order is 3, here it is 2"},
		{"data", func(c *Cursor) { c.Sources[0].Data = "abc" }, "filters) is abc"},
		{"sources", func(c *Cursor) { c.Sources = append(c.Sources, c.Sources[0]) },
			"number of sources is 2, here it is 1"},
		{"counts", func(c *Cursor) { c.Windows++ }, "handed out 2 windows, but it counts 3"},
		{"sequence length", func(c *Cursor) { c.SeqLen = 9 }, "sequence length is 9, here it is 8"},
		{"seed", func(c *Cursor) { c.Seed = 2 }, "seed is 2, here it is 1"},
		{"block", func(c *Cursor) { c.BlockWindows = 5 }, "windows per block"},
		{"shuffle", func(c *Cursor) { c.Shuffle = false }, "shuffling"},
		{"vocabulary", func(c *Cursor) { c.Vocab = 5 }, "vocabulary size"},
		{"tokenizer", func(c *Cursor) { c.Tokenizer = "abc" }, "tokenizer is abc"},
		{"shard", func(c *Cursor) { c.Sources[0].Shard = 1 }, "shard 1 of 1"},
		{"row", func(c *Cursor) { c.Sources[0].Row = 20 }, "row 20"},
		{"negative", func(c *Cursor) { c.Sources[0].Offset = -1 }, "token -1"},
	} {
		c := good
		c.Sources = slices.Clone(good.Sources)
		tt.change(&c)
		if err := l.Seek(c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v does not say %q", tt.name, err, tt.want)
		}
	}
	if !cmp.Equal(l.Cursor(), good) {
		t.Error("a refused cursor moved the loader")
	}
	next(t, l)

	// What only reading can show.
	for _, tt := range []struct {
		change func(*Cursor)
		want   string
	}{
		{func(c *Cursor) { c.Sources[0].Offset = 1 << 20 }, "another tokenizer"},
		{func(c *Cursor) { c.Sources[0].Window = 5 }, "window 5 of a block of 4"},
	} {
		c := good
		c.Sources = slices.Clone(good.Sources)
		tt.change(&c)
		if err := l.Seek(c); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the error stays
			if _, err := l.Next(context.Background()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		}
	}
	if err := l.Seek(good); err != nil {
		t.Fatal(err)
	}
	next(t, l) // and a good cursor ends it

	other := newLoader(t, shardsOf(t, datatest.Texts("doc", 21)), o)
	if err := other.Seek(good); err == nil || !strings.Contains(err.Error(), "file names, sizes, rows and footers") {
		t.Errorf("a cursor of other data: error %v", err)
	}
}

func TestLoaderRefuses(t *testing.T) {
	s := shardsOf(t, []string{"0123456789", "abcdef"}) // 18 ids
	for _, tt := range []struct {
		name string
		t    Tokenizer
		o    Options
		want string
	}{
		{"batch size", byteTokenizer{}, Options{BatchSize: 0, SeqLen: 4}, "batch size 0"},
		{"sequence length", byteTokenizer{}, Options{BatchSize: 1, SeqLen: 0}, "sequence length 0"},
		{"no end of text", noEOT{}, Options{BatchSize: 1, SeqLen: 4}, "end-of-text"},
		{"ids beyond", smallVocab{}, Options{BatchSize: 1, SeqLen: 4}, ""},
		{"too little", byteTokenizer{}, Options{BatchSize: 1, SeqLen: 18}, "18 tokens in all"},
		{"too little for the batch", byteTokenizer{}, Options{BatchSize: 3, SeqLen: 6, BlockWindows: 1},
			"18 tokens in all"},
	} {
		l, err := loaderOf(s, tt.t, tt.o)
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			_, err = l.Next(ctx)
			cancel()
			l.Close()
		}
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v does not say %q", tt.name, err, tt.want)
		}
	}
	if b := next(t, newLoader(t, s, Options{BatchSize: 1, SeqLen: 17})); len(b.Inputs) != 17 {
		t.Error("18 ids make one window of 17")
	}

	l, err := loaderOf(shardsOf(t, []string{"abc", "xyz"}), smallVocab{}, Options{BatchSize: 1, SeqLen: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Next(context.Background()); err == nil || !strings.Contains(err.Error(), "000.parquet") ||
		!strings.Contains(err.Error(), "row 1: token 1 has id 121, beyond the vocabulary of 121") {
		t.Errorf("an id beyond the vocabulary: error %v", err)
	}
}

func TestOnlyNullsIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.parquet")
	datatest.WriteColumn(t, path, slices.Repeat([]string{datatest.Null}, 20))
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoader(t, s, Options{BatchSize: 1, SeqLen: 4})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := l.Next(ctx); err == nil || !strings.Contains(err.Error(), "0 tokens") {
		t.Errorf("error %v", err)
	}
}

func TestStatsCountNulls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.parquet")
	datatest.WriteColumn(t, path, []string{datatest.Null, "0123456", datatest.Null, datatest.Null, "89abcde",
		datatest.Null})
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoader(t, s, Options{BatchSize: 1, SeqLen: 8}) // 16 ids an epoch: a window, then 8 carried
	next(t, l)
	if got, want := l.Stats(), (Stats{Rows: 6, Dropped: Dropped{Nulls: 4}, Documents: 2, Tokens: 8}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	for range 3 { // windows 1 and 2 make the second block, 3 the next
		next(t, l)
	}
	if got := l.Stats(); got.Tokens != 32 || got.Rows != got.Nulls+got.Documents || got.Rows <= 6 {
		t.Errorf("stats %+v after 32 tokens", got)
	}
}

// A cancelled Next or Skip loses nothing, whichever of them goes on.
func TestCancelledNextGoesOn(t *testing.T) {
	s := shardsOf(t, datatest.Texts("doc", 6))
	o := Options{BatchSize: 3, SeqLen: 16, BlockWindows: 2, Shuffle: true}
	want := newLoader(t, s, o)
	gate := make(chan struct{})
	l, err := loaderOf(s, gatedTokenizer{gate: gate}, o)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	cancelled := 0
	for range 60 {
		expected := next(t, want)
		for {
			ctx, cancel := context.WithCancel(context.Background())
			open := rng.IntN(6)
			go func() {
				for range open {
					select {
					case gate <- struct{}{}:
					case <-time.After(5 * time.Millisecond):
					}
				}
				cancel()
			}()
			before, skips := l.Cursor(), rng.IntN(2) == 0
			var got Batch
			var err error
			if skips {
				err = l.Skip(ctx)
			} else {
				got, err = l.Next(ctx)
			}
			<-ctx.Done()
			if errors.Is(err, context.Canceled) {
				cancelled++
				if !cmp.Equal(l.Cursor(), before) {
					t.Fatal("a cancelled Next moved the cursor")
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(expected, got); d != "" && !skips {
				t.Fatal(d)
			}
			break
		}
	}
	if cancelled == 0 {
		t.Error("no Next was cancelled: the test shows nothing")
	}
	close(gate)
	l.Close()
}

// gatedTokenizer encodes one text per value received.
type gatedTokenizer struct {
	byteTokenizer
	gate chan struct{}
}

func (g gatedTokenizer) Encode(s string) ([]uint32, error) {
	<-g.gate
	return g.byteTokenizer.Encode(s)
}

func TestCloseEndsTheGoroutine(t *testing.T) {
	s := shardsOf(t, datatest.Texts("doc", 30))
	before := runtime.NumGoroutine()
	for i := range 20 {
		l := newLoader(t, s, Options{BatchSize: 1, SeqLen: 8, BlockWindows: 1})
		for range i % 4 {
			next(t, l)
		}
		if i%2 == 0 {
			if err := l.Seek(l.Cursor()); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Next(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("Next after Close: error %v", err)
		}
		if err := l.Seek(l.Cursor()); !errors.Is(err, ErrClosed) {
			t.Errorf("Seek after Close: error %v", err)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// A shard that is damaged in the middle ends the run with its name, after the
// batches before it.
func TestLoaderReportsDamage(t *testing.T) {
	s := shardsOf(t, datatest.Texts("a", 30), datatest.Texts("b", 30))
	l := newLoader(t, s, Options{BatchSize: 1, SeqLen: 8, BlockWindows: 2})
	if err := datatest.WriteShard(s.Files[1], datatest.RowsOf(datatest.Texts("b", 31)),
		datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		if _, err := l.Next(context.Background()); err != nil {
			if !strings.Contains(err.Error(), "001.parquet") {
				t.Errorf("error %v", err)
			}
			break
		}
	}
	if n < 50 {
		t.Errorf("only %d batches came before the damaged shard", n)
	}
}
