package data

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/data/cache"
)

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
