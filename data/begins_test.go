package data

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/data/cache"
	"steplm/data/datatest"
)

// shouting has the end-of-text id for every "!", as a text may hold it.
type shouting struct{ byteTokenizer }

func (shouting) Encode(s string) ([]uint32, error) {
	ids, err := byteTokenizer{}.Encode(s)
	for i, id := range ids {
		if id == '!' {
			ids[i] = byteEOT
		}
	}
	return ids, err
}

// documents are texts from one id to several windows, with end-of-text ids inside.
func documents() (first, second []string) {
	first, second = datatest.Texts("first", 9), datatest.Texts("second", 7)
	for i := range first {
		first[i] += "!!x!"
	}
	return append(first, "", "!", ""), second
}

// Every row says where its document begins: at the row's own document, whatever ids are in it, and at 0
// where that began before the window. So it is in windows of one document's middle, in those of many,
// across blocks, shards and epochs.
func TestBatchSaysWhereDocumentsBegin(t *testing.T) {
	a, b := documents()
	s := shardsOf(t, a, b)
	var starts []int // of the document of each id of an epoch
	for _, text := range append(slices.Clone(a), b...) {
		begin := len(starts)
		for range len(text) + 1 {
			starts = append(starts, begin)
		}
	}
	for _, o := range []Options{
		{BatchSize: 1, SeqLen: 1}, {BatchSize: 1, SeqLen: 7}, {BatchSize: 3, SeqLen: 16, BlockWindows: 2},
		{BatchSize: 4, SeqLen: 5, BlockWindows: 9}, {BatchSize: 1, SeqLen: len(starts) - 1},
		{BatchSize: 2, SeqLen: 64, BlockWindows: 1},
	} {
		l, err := loaderOf(s, shouting{}, o)
		if err != nil {
			t.Fatal(err)
		}
		inside, several := false, false
		for at := 0; at < 4*len(starts); {
			batch := next(t, l)
			if len(batch.Begins) != len(batch.Inputs) {
				t.Fatalf("%+v: %d begins of %d rows", o, len(batch.Begins), len(batch.Inputs))
			}
			for i, begin := range batch.Begins {
				window := at - i%o.SeqLen
				of := at - at%len(starts) + starts[at%len(starts)]
				inside, several = inside || of < window, several || of > window
				if want := max(0, of-window); int(begin) != want {
					t.Fatalf("%+v: the document of id %d begins at %d of its window, want %d", o, at, begin, want)
				}
				at++
			}
		}
		if o.SeqLen > 1 && !(inside && several) {
			t.Errorf("%+v: a window begins inside a document: %v; in one a document begins: %v", o, inside, several)
		}
		l.Close()
	}
}

// Windows take their documents along when they are shuffled and when a run goes on in the middle of a document.
func TestDocumentsMoveWithTheirWindows(t *testing.T) {
	a, b := documents()
	s := shardsOf(t, a, b)
	o := Options{BatchSize: 2, SeqLen: 13, BlockWindows: 7}
	rows := func(o Options, batches int, at *Cursor) (list []string) {
		l, err := loaderOf(s, shouting{}, o)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if at != nil {
			if err := l.Seek(*at); err != nil {
				t.Fatal(err)
			}
		}
		for range batches {
			x := next(t, l)
			if at != nil {
				*at = l.Cursor()
			}
			for i := 0; i < len(x.Inputs); i += o.SeqLen {
				list = append(list, fmt.Sprint(x.Inputs[i:i+o.SeqLen], x.Begins[i:i+o.SeqLen]))
			}
		}
		return list
	}
	shuffled := o
	shuffled.Shuffle, shuffled.Seed = true, 5
	whole := rows(shuffled, 20, nil)
	var again []string
	l, err := loaderOf(s, shouting{}, shuffled)
	if err != nil {
		t.Fatal(err)
	}
	at := l.Cursor()
	l.Close()
	for range 20 { // each by a loader of its own
		again = append(again, rows(shuffled, 1, &at)...)
	}
	if d := cmp.Diff(whole, again); d != "" {
		t.Errorf("resumed after every batch: %s", d)
	}
	// One row group's blocks are the same with and without shuffling.
	s = oneGroup(t, a)
	whole = rows(shuffled, 7, nil)
	straight := rows(o, 7, nil)
	slices.Sort(whole)
	slices.Sort(straight)
	if d := cmp.Diff(straight, whole); d != "" {
		t.Errorf("shuffled: %s", d)
	}
}

// bare wants nothing after a document.
type bare struct{ byteTokenizer }

func (bare) Ends() bool   { return false }
func (bare) Hash() string { return "bare" }

// Documents that nothing stands between follow one another id by id, also where one is empty; a row still says where
// its document begins, and a cache holds the same.
func TestDocumentsWithoutAnEnd(t *testing.T) {
	first, second := documents()
	s := shardsOf(t, first, second, []string{"", "", "last"})
	var want []uint32
	var starts []int
	for _, text := range append(append(slices.Clone(first), second...), "", "", "last") {
		begin := len(want)
		for _, b := range []byte(text) {
			want, starts = append(want, uint32(b)), append(starts, begin)
		}
	}
	dir := CacheDir(t.TempDir(), s, bare{})
	done := tokenizeAll(t, s, bare{}, dir, 2)
	for _, o := range []Options{{BatchSize: 1, SeqLen: 7}, {BatchSize: 3, SeqLen: 16, BlockWindows: 2}} {
		loader := func(c *cache.Cache) *Loader {
			l, err := NewMixture([]Source{{Shards: s, Weight: 1, Cache: c}}, bare{}, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return l
		}
		texts, cached := loader(nil), loader(done.Cache)
		for at := 0; at < 3*len(want); {
			batch := next(t, texts)
			if diff := cmp.Diff(batch, next(t, cached)); diff != "" {
				t.Fatalf("%+v, from %d on: with a cache (-without +with):\n%s", o, at, diff)
			}
			for i, id := range batch.Inputs {
				window := at - i%o.SeqLen
				of := at - at%len(want) + starts[at%len(want)]
				if id != want[at%len(want)] || int(batch.Begins[i]) != max(0, of-window) {
					t.Fatalf("%+v: id %d is %d of a document that begins at %d, want %d and %d", o, at, id,
						batch.Begins[i], want[at%len(want)], max(0, of-window))
				}
				at++
			}
		}
	}
}
