package data

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/data/datatest"
	"steplm/data/internal/permute"
	"steplm/data/internal/shard"
)

// manyGroups is three shards of row groups of 4 rows.
func manyGroups(t testing.TB) *Shards {
	t.Helper()
	return shardsOf(t, datatest.Texts("first", 37), datatest.Texts("second", 20), datatest.Texts("third", 29))
}

func TestOrderIsAPermutationOfShardsAndGroups(t *testing.T) {
	s := manyGroups(t)
	orders := map[string]bool{}
	shards := map[string]bool{}
	for seed := range uint64(3) {
		for epoch := range 4 {
			got := s.order(seed, epoch)
			if again := s.order(seed, epoch); !slices.Equal(got, again) {
				t.Fatal("the same seed and epoch gave two orders")
			}
			orders[fmt.Sprint(got)] = true
			var runs []int // a shard's groups follow each other
			for _, u := range got {
				if len(runs) == 0 || runs[len(runs)-1] != u.Shard {
					runs = append(runs, u.Shard)
				}
			}
			if len(runs) != 3 {
				t.Fatalf("shards are mixed: %v", got)
			}
			shards[fmt.Sprint(runs)] = true
			if epoch == 0 && !slices.Equal(runs, s.Order(seed)) {
				t.Errorf("seed %d: order %v, but Order says %v", seed, runs, s.Order(seed))
			}
			slices.SortFunc(got, func(a, b shard.Unit) int { return 100*(a.Shard-b.Shard) + a.Group - b.Group })
			if !slices.Equal(got, s.units()) {
				t.Fatalf("not a permutation: %v", got)
			}
		}
	}
	if len(orders) != 12 || len(shards) < 3 {
		t.Errorf("%d orders and %d orders of shards of 12 seeds and epochs", len(orders), len(shards))
	}
	// A changed constant would make every saved cursor wrong.
	if got, want := fmt.Sprint(s.order(42, 1)[:8]), "[{0 4} {0 6} {0 2} {0 5} {0 0} {0 9} {0 7} {0 1}]"; got != want {
		t.Errorf("order(42, 1) = %s, was %s", got, want)
	}
}

// An epoch reads each row once, in another order than the one before.
func TestEpochsReshuffle(t *testing.T) {
	s := manyGroups(t)
	o := Options{BatchSize: 1, SeqLen: 8, BlockWindows: 16, Shuffle: true, Seed: 5}
	l := newLoader(t, s, o)
	epoch := streamLen(t, s)
	var seen [3][]string // windows by epoch
	for {
		b := next(t, l)
		e := l.Stats().Epoch
		if e == 3 {
			break
		}
		seen[e] = append(seen[e], fmt.Sprint(b.Inputs))
	}
	for e, windows := range seen {
		if n := int64(len(windows)); n < epoch/8-1 || n > epoch/8+1 {
			t.Errorf("epoch %d has %d windows of 8, the text has %d ids", e, n, epoch)
		}
		if e > 0 && slices.Equal(windows, seen[e-1]) {
			t.Errorf("epoch %d is in the order of the one before", e)
		}
	}
}

// ids counts what batches hold.
func ids(batches []Batch) map[uint32]int {
	m := map[uint32]int{}
	for _, b := range batches {
		for _, id := range b.Inputs {
			m[id]++
		}
	}
	return m
}

// Processes that each take their own batches and skip the others' together see what one sees, and with any cursor of
// one each goes on, as another number of processes does.
func TestRanksAreDisjointAndComplete(t *testing.T) {
	s := manyGroups(t)
	o := Options{BatchSize: 2, SeqLen: 8, BlockWindows: 7, Shuffle: true, Seed: 9}
	whole := newLoader(t, s, o)
	for _, world := range []int{1, 2, 3, 5} { // The next number goes on where the one before stood.
		at := whole.Cursor()
		var ranks []*Loader
		for range world {
			l := newLoader(t, s, o)
			if err := l.Seek(at); err != nil {
				t.Fatal(err)
			}
			ranks = append(ranks, l)
		}
		for batch := range 200 {
			want := next(t, whole)
			for r, l := range ranks {
				if batch%world == r {
					if got := next(t, l); !slices.Equal(got.Inputs, want.Inputs) ||
						!slices.Equal(got.Targets, want.Targets) || !slices.Equal(got.Begins, want.Begins) {
						t.Fatalf("%d processes, batch %d: rank %d's is not the one process's", world, batch, r)
					}
				} else if err := l.Skip(t.Context()); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(whole.Cursor(), l.Cursor()); d != "" {
					t.Fatalf("%d processes, batch %d: rank %d's cursor differs: %s", world, batch, r, d)
				}
			}
			if d := cmp.Diff(whole.Stats(), ranks[0].Stats()); world == 1 && d != "" {
				t.Fatalf("batch %d: other counts: %s", batch, d)
			}
		}
	}
}

// A Skip that was cancelled loses nothing.
func TestASkipThatIsCancelledLosesNothing(t *testing.T) {
	s := manyGroups(t)
	o := Options{BatchSize: 2, SeqLen: 8, BlockWindows: 7, Shuffle: true, Seed: 9}
	whole, l := newLoader(t, s, o), newLoader(t, s, o)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	next(t, whole)
	if err := l.Skip(gone); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if err := l.Skip(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := next(t, l), next(t, whole); !slices.Equal(got.Inputs, want.Inputs) {
		t.Errorf("%v, want %v", got.Inputs, want.Inputs)
	}
}

// However many goroutines tokenize, the batches are the same.
func TestWorkersChangeNothing(t *testing.T) {
	s := manyGroups(t)
	o := Options{BatchSize: 3, SeqLen: 16, BlockWindows: 5, Shuffle: true}
	one := newLoader(t, s, o)
	o.Workers = 4
	four := newLoader(t, s, o)
	for i := range 100 {
		if a, b := next(t, one), next(t, four); !slices.Equal(a.Inputs, b.Inputs) {
			t.Fatalf("batch %d differs", i)
		}
	}
}

func TestMixture(t *testing.T) {
	a, b, c := oneGroup(t, slices.Repeat([]string{"aaaaaaa"}, 50)), oneGroup(t, slices.Repeat([]string{"bbbbbbb"}, 20)),
		oneGroup(t, slices.Repeat([]string{"ccccccc"}, 400))
	sources := []Source{{Shards: a, Weight: 7}, {Shards: b, Weight: 1}, {Shards: c, Weight: 2}}
	o := Options{BatchSize: 4, SeqLen: 8, BlockWindows: 6, Shuffle: true, Seed: 1}
	mix := func() *Loader {
		l, err := NewMixture(sources, byteTokenizer{}, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	l := mix()
	var cursors []Cursor
	var batches []Batch
	for step := range 250 {
		cursors = append(cursors, l.Cursor())
		batches = append(batches, next(t, l))
		n := int64(o.BatchSize * (step + 1))
		for i, share := range []float64{0.7, 0.1, 0.2} {
			if got := float64(l.Cursor().Sources[i].Windows); got < share*float64(n)-1 || got > share*float64(n)+1 {
				t.Fatalf("after %d windows %v are of source %d", n, got, i)
			}
		}
	}
	counts := ids(batches)
	if counts['a'] != 7*counts['b'] || counts['c'] != 2*counts['b'] || counts['b'] != 7*100 {
		t.Errorf("ids %v", counts)
	}
	stats, each := l.Stats(), l.SourceStats()
	if stats.Tokens != 8000 || stats.Epoch < 10 || each[1].Tokens != 800 || each[0].Epoch != stats.Epoch ||
		each[2].Epoch != 0 ||
		stats.Rows != each[0].Rows+each[1].Rows+each[2].Rows {
		t.Errorf("counts %+v, of each source %+v", stats, each)
	}
	for at := 0; at < len(cursors); at += 37 {
		again := mix()
		if err := again.Seek(cursors[at]); err != nil {
			t.Fatal(err)
		}
		for i := at; i < min(at+9, len(batches)); i++ {
			if got := next(t, again); !slices.Equal(got.Inputs, batches[i].Inputs) {
				t.Fatalf("from batch %d, batch %d differs", at, i)
			}
		}
	}
	sources[1].Weight = 1.5
	if err := mix().Seek(cursors[3]); err == nil || !strings.Contains(err.Error(), "weight of a source") {
		t.Errorf("another weight: error %v", err)
	}
	for _, w := range []float64{0, -1, 1e-12} {
		sources[1].Weight = w
		if _, err := NewMixture(sources, byteTokenizer{}, o); err == nil ||
			!strings.Contains(err.Error(), "a weight of") {
			t.Errorf("weight %g: error %v", w, err)
		}
	}
	if _, err := NewMixture(nil, byteTokenizer{}, o); err == nil {
		t.Error("no source was accepted")
	}
	sources[1].Weight, sources[1].Shards = 1, oneGroup(t, []string{"b"})
	small := mix()
	for i := 0; ; i++ {
		if _, err := small.Next(t.Context()); err != nil {
			if !strings.Contains(err.Error(), "2 tokens in all") {
				t.Errorf("error %v", err)
			}
			break
		} else if i > 5 {
			t.Fatal("a source without a window was accepted")
		}
	}
}

// A document stays on its side, whatever is beside it.
func TestHoldout(t *testing.T) {
	open := func(s *Shards, f Filter) []string {
		held, err := OpenWith(s.pattern, OpenOptions{Filter: f})
		if err != nil {
			t.Fatal(err)
		}
		return textsOf(collect(t, held.Documents(Position{})))
	}
	few, many := shardsOf(t, datatest.Texts("first", 200)), shardsOf(t, datatest.Texts("zero", 90),
		datatest.Texts("first", 200), datatest.Texts("second", 110))
	side := map[string]bool{}
	for _, held := range []bool{false, true} {
		for _, text := range open(few, Filter{Holdout: 0.1, HeldOut: held}) {
			side[text] = held
		}
	}
	if len(side) != 200 {
		t.Fatalf("%d documents of 200 on either side", len(side))
	}
	all := map[string]bool{}
	held := open(many, Filter{Holdout: 0.1, HeldOut: true})
	train := open(many, Filter{Holdout: 0.1})
	for _, text := range held {
		all[text] = true
	}
	for _, text := range train {
		all[text] = false
	}
	if len(held) < 20 || len(held) > 60 || len(held)+len(train) != 400 {
		t.Errorf("%d held out and %d not, of 400", len(held), len(train))
	}
	for text, h := range side {
		if all[text] != h {
			t.Errorf("%q changed sides", text)
		}
	}
	if !slices.Equal(slices.Sorted(maps.Keys(side)), slices.Sorted(slices.Values(datatest.Texts("first", 200)))) {
		t.Error("documents were lost")
	}
	for _, f := range []Filter{{Holdout: -0.1}, {Holdout: 1}, {HeldOut: true}} {
		if _, err := OpenWith(few.pattern, OpenOptions{Filter: f}); err == nil ||
			!strings.Contains(err.Error(), "held out") {
			t.Errorf("%+v: error %v", f, err)
		}
	}
}

func TestPermutationIsABijection(t *testing.T) {
	for n := range 70 {
		order := permute.Permutation(5, 0, int64(n), n)
		slices.Sort(order)
		for i, v := range order {
			if i != v {
				t.Fatalf("n=%d: sorted, position %d holds %d", n, i, v)
			}
		}
	}
}

func TestPermutationIsPureAndKeyed(t *testing.T) {
	base := permute.Permutation(1, 2, 3, 1024)
	if !slices.Equal(base, permute.Permutation(1, 2, 3, 1024)) {
		t.Error("the same key gave two orders")
	}
	for name, other := range map[string][]int{
		"seed":          permute.Permutation(2, 2, 3, 1024),
		"epoch":         permute.Permutation(1, 3, 3, 1024),
		"block":         permute.Permutation(1, 2, 4, 1024),
		"epoch<->block": permute.Permutation(1, 3, 2, 1024),
		"seed<->epoch":  permute.Permutation(2, 1, 3, 1024),
		"all zero":      permute.Permutation(0, 0, 0, 1024),
	} {
		fixed := 0
		for i := range base {
			if base[i] == other[i] {
				fixed++
			}
		}
		if fixed > 12 { // 1 is expected of independent orders
			t.Errorf("%s: %d of 1024 places agree", name, fixed)
		}
	}
	if slices.IsSorted(base) {
		t.Error("nothing was shuffled")
	}
	// A changed constant would make every saved cursor wrong.
	if got, want := permute.Permutation(42, 1, 7, 8), []int{0, 1, 2, 7, 5, 4, 6, 3}; !slices.Equal(got, want) {
		t.Errorf("Permutation(42, 1, 7, 8) = %v, was %v", got, want)
	}
}

// Each window should come to each place about equally often.
func TestPermutationIsUniform(t *testing.T) {
	const n, blocks = 5, 20000
	var count [n][n]int
	for b := range int64(blocks) {
		for place, window := range permute.Permutation(9, 0, b, n) {
			count[place][window]++
		}
	}
	// Binomial with mean 4000 and deviation 57: five deviations.
	for place, row := range count {
		for window, c := range row {
			if c < 4000-285 || c > 4000+285 {
				t.Errorf("window %d came to place %d %d times of %d, want about %d", window, place, c, blocks, blocks/n)
			}
		}
	}
}
