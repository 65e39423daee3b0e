package data

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/data/cache"
	"steplm/data/datatest"
	"steplm/internal/disk"
)

// hashed is a tokenizer that can have a cache; of two bytes an id, or of four.
type hashed struct {
	byteTokenizer
	name string
	wide bool
}

func (h hashed) Hash() string { return h.name }
func (h hashed) VocabSize() int {
	if h.wide {
		return 1<<16 + 1
	}
	return 257
}

// difficult is shards with filters, nulls, repeated and damaged rows.
func difficult(t testing.TB) *Shards {
	t.Helper()
	dir, _ := datatest.Mixed(t)
	datatest.WriteColumn(t, filepath.Join(dir, "nulls.parquet"),
		append([]string{datatest.Null, datatest.Null}, append(datatest.Texts("null", 20), datatest.Null)...))
	datatest.DamageGroup(t, filepath.Join(dir, "0.parquet"), 4)
	s, err := OpenWith(dir, OpenOptions{SkipBad: true, Filter: Filter{Dedupe: true, MaxChars: 120, Holdout: 0.1}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tokenizeAll(t testing.TB, s *Shards, tok Tokenizer, dir string, workers int) cache.Written {
	t.Helper()
	c, err := Tokenize(t.Context(), s, tok, dir, cache.Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The same batches, cursors and counts with and without a cache, and a run goes
// on with the one where it stopped with the other.
func TestCacheChangesNothing(t *testing.T) {
	for _, wide := range []bool{false, true} {
		s := difficult(t)
		tok := hashed{name: "h", wide: wide}
		dir := CacheDir(t.TempDir(), s, tok)
		done := tokenizeAll(t, s, tok, dir, 3)
		if want := map[bool]int{false: 2, true: 4}[wide]; done.Info.Width != want {
			t.Errorf("%d bytes per id", done.Info.Width)
		}
		for _, shuffle := range []bool{false, true} {
			o := Options{BatchSize: 2, SeqLen: 16, BlockWindows: 9, Shuffle: shuffle, Seed: 4}
			loader := func(c *cache.Cache) *Loader {
				l, err := NewMixture([]Source{{Shards: s, Weight: 1, Cache: c}}, tok, o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
				return l
			}
			texts, cached := loader(nil), loader(done.Cache)
			for step := range 150 {
				a, b := next(t, texts), next(t, cached)
				if d := cmp.Diff(a, b); d != "" {
					t.Fatalf("batch %d: %s", step, d)
				}
				if d := cmp.Diff(texts.Cursor(), cached.Cursor()); d != "" {
					t.Fatalf("cursor %d: %s", step, d)
				}
				if texts.Stats() != cached.Stats() {
					t.Fatalf("counts %d: %+v, cached %+v", step, texts.Stats(), cached.Stats())
				}
				if step%13 == 12 { // the one takes over from the other
					at := texts.Cursor()
					texts, cached = loader(nil), loader(done.Cache)
					for _, l := range []*Loader{texts, cached} {
						if err := l.Seek(at); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if n := texts.Stats(); n.Epoch < 1 || n.Skipped == 0 || n.Duplicate == 0 || n.Nulls == 0 || n.Long == 0 ||
				n.HeldOut == 0 {
				t.Errorf("the data are not difficult: %+v", n)
			}
		}
		// The index counts what a reading counts.
		n, bytes := 0, 0
		for _, d := range collect(t, s.Documents(Position{})) {
			n++
			bytes += len(d.Text)
		}
		if i := done.Info; i.Documents != int64(n) || i.TextBytes != int64(bytes) || i.Tokens != int64(bytes+n) ||
			i.Rows != s.Rows() || i.Dropped != s.Dropped() {
			t.Errorf("%+v; %d documents of %d bytes, %+v", i, n, bytes, s.Dropped())
		}
	}
}

func TestCacheIsFoundOrNot(t *testing.T) {
	root := t.TempDir()
	s := manyGroups(t)
	tok := hashed{name: "h"}
	if c, err := FindCache(root, s, tok); c != nil || err != nil {
		t.Errorf("%v, %v in an empty directory", c, err)
	}
	tokenizeAll(t, s, tok, CacheDir(root, s, tok), 1)
	if c, err := FindCache(root, s, tok); c == nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	filtered, err := OpenWith(s.pattern, OpenOptions{Filter: Filter{MinChars: 3}})
	if err != nil {
		t.Fatal(err)
	}
	for name, find := range map[string]func() (*cache.Cache, error){
		"tokenizer": func() (*cache.Cache, error) { return FindCache(root, s, hashed{name: "other"}) },
		"filter":    func() (*cache.Cache, error) { return FindCache(root, filtered, tok) },
		"data": func() (*cache.Cache, error) {
			return FindCache(root, oneGroup(t, datatest.Texts("first", 37)), tok)
		},
	} {
		if c, err := find(); c != nil || err != nil {
			t.Errorf("another %s: %v, %v", name, c, err)
		}
	}
	c, err := cache.Open(CacheDir(root, s, tok))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMixture([]Source{{Shards: filtered, Weight: 1, Cache: c}}, tok,
		Options{BatchSize: 1, SeqLen: 1}); err == nil || !strings.Contains(err.Error(), "filters") {
		t.Errorf("a cache of other data: error %v", err)
	}
	if _, err := Tokenize(t.Context(), s, byteTokenizer{}, t.TempDir(), cache.Options{}); err == nil ||
		!strings.Contains(err.Error(), "without a hash") {
		t.Errorf("error %v", err)
	}
}

// cancelAfter cancels when some texts are encoded.
type cancelAfter struct {
	hashed
	left   *int
	cancel context.CancelFunc
}

func (c cancelAfter) Encode(s string) ([]uint32, error) {
	if *c.left--; *c.left == 0 {
		c.cancel()
	}
	return c.hashed.Encode(s)
}

// While a cache is written, another call that would write it is told so, and takes nothing away from the first.
func TestTokenizeTwiceAtOnce(t *testing.T) {
	s, dir := manyGroups(t), t.TempDir()
	tok := hashed{name: "h"}
	var second []error
	first, err := Tokenize(t.Context(), s, tok, dir, cache.Options{Progress: func(int64, int64, int64) {
		if len(second) == 0 {
			_, err := Tokenize(t.Context(), s, tok, dir, cache.Options{})
			second = append(second, err)
		}
	}})
	if err != nil || first.Reused != 0 {
		t.Errorf("the first call: %d parts were there, error %v", first.Reused, err)
	}
	if len(second) != 1 || second[0] == nil || !strings.Contains(second[0].Error(), "another process writes") {
		t.Errorf("the second call: %v", second)
	}
	if again := tokenizeAll(t, s, tok, dir, 1); again.Reused != len(again.Info.Parts) {
		t.Errorf("afterwards %d of %d parts are there", again.Reused, len(again.Info.Parts))
	}
}

// An interrupted call leaves no cache, and the next one goes on with its parts.
func TestTokenizeResumes(t *testing.T) {
	s, dir := manyGroups(t), t.TempDir()
	tok := hashed{name: "h"}
	ctx, cancel := context.WithCancel(t.Context())
	left := 45 // in the second shard
	if _, err := Tokenize(ctx, s, cancelAfter{tok, &left, cancel}, dir, cache.Options{}); !errors.Is(err,
		context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if c, err := cache.Open(dir); err == nil {
		t.Fatalf("an unfinished cache was opened: %+v", c.Info)
	}
	var last string
	again, err := Tokenize(t.Context(), s, tok, dir,
		cache.Options{Progress: func(rows, total, tokens int64) { last = fmt.Sprint(rows, total, tokens) }})
	if err != nil {
		t.Fatal(err)
	}
	if again.Reused != 1 || len(again.Info.Parts) != 3 {
		t.Errorf("%d of %d parts were reused, want 1 of 3", again.Reused, len(again.Info.Parts))
	}
	if want := fmt.Sprint(s.Rows(), s.Rows(), again.Info.Tokens); last != want {
		t.Errorf("the last progress is %s, want %s", last, want)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*"+disk.Temporary)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	straight := tokenizeAll(t, s, tok, t.TempDir(), 4)
	if d := cmp.Diff(straight.Info, again.Info); d != "" {
		t.Error(d)
	}
	for _, p := range again.Info.Parts {
		a, _ := os.ReadFile(filepath.Join(dir, p.File))
		b, _ := os.ReadFile(filepath.Join(straight.Dir, p.File))
		if len(a) == 0 || !slices.Equal(a, b) {
			t.Errorf("%s differs from that of a call that was not interrupted", p.File)
		}
	}
	if third := tokenizeAll(t, s, tok, dir, 2); third.Reused != 3 {
		t.Errorf("%d parts of a complete cache were reused", third.Reused)
	}
}

// Any changed or missing byte of a part is an error that says what to do, and
// doing it mends the cache.
func TestDamagedCache(t *testing.T) {
	s, dir := oneGroup(t, datatest.Texts("doc", 30)), t.TempDir()
	tok := hashed{name: "h"}
	c := tokenizeAll(t, s, tok, dir, 1)
	path := filepath.Join(dir, c.Info.Parts[0].File)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := int(c.Info.Parts[0].Groups[0].Size(c.Info.Width))
	read := func() error {
		c, err := cache.Open(dir)
		if err != nil {
			return err
		}
		for _, err := range c.Tokens(t.Context(), s.units(), 0) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for i := 0; i < size; i += 1 + size/200 {
		damaged := slices.Clone(good)
		damaged[i] ^= 4
		for what, content := range map[string][]byte{"changed": damaged, "cut": good[:i]} {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := read(); err == nil || !strings.Contains(err.Error(), path) ||
				!errors.Is(err, cache.ErrDamaged) || !strings.Contains(err.Error(), "tokenize the data again") {
				t.Fatalf("byte %d %s: error %v", i, what, err)
			}
		}
	}
	if got := tokenizeAll(t, s, tok, dir, 1); got.Reused != 0 {
		t.Error("a damaged part was kept")
	}
	if err := read(); err != nil {
		t.Error(err)
	}
	for _, index := range []string{"", "{", `{"format":9}`, `{"format":1,"bytes_per_id":3}`} {
		if err := os.WriteFile(filepath.Join(dir, cache.Index), []byte(index), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := read(); err == nil || !strings.Contains(err.Error(), "remove the directory") {
			t.Errorf("index %q: error %v", index, err)
		}
	}
}

// An id beyond the vocabulary is an error although the checksum is right: what made the cache
// was wrong, not the disk.
func TestCacheOfForeignIDs(t *testing.T) {
	for _, wide := range []bool{false, true} {
		s, dir := oneGroup(t, datatest.Texts("doc", 30)), t.TempDir()
		tok := hashed{name: "h", wide: wide}
		c := tokenizeAll(t, s, tok, dir, 1)
		path := filepath.Join(dir, c.Info.Parts[0].File)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		g := &c.Info.Parts[0].Groups[0]
		for i := range g.Tokens * int64(c.Info.Width) {
			content[i] = 0xFF
		}
		g.CRC = crc32.Checksum(content[:g.Size(c.Info.Width)], crc32.MakeTable(crc32.Castagnoli))
		index, err := json.Marshal(c.Info)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(path, content, 0o644),
			os.WriteFile(filepath.Join(dir, cache.Index), index, 0o644)); err != nil {
			t.Fatal(err)
		}
		again, err := cache.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		l, err := NewMixture([]Source{{Shards: s, Weight: 1, Cache: again}}, tok,
			Options{BatchSize: 1, SeqLen: 8})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		want := fmt.Sprintf("beyond the vocabulary of %d", tok.VocabSize())
		if _, err := l.Next(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

// A cache that is read leaves no part of it mapped: a system allows a process so many maps, and no more.
func TestReadingLeavesNoMaps(t *testing.T) {
	s, dir, tok := manyGroups(t), t.TempDir(), hashed{name: "h"}
	c, err := Tokenize(t.Context(), s, tok, dir, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, err := range c.Tokens(t.Context(), s.order(1, 0), 0) {
		if rows++; err != nil {
			t.Fatal(err)
		}
	}
	if rows != 86 {
		t.Errorf("%d rows, want 86", rows)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("this system does not list a process's maps: ", err)
	}
	if n := strings.Count(string(maps), dir); n > 0 {
		t.Errorf("%d maps of the cache are left", n)
	}
}
