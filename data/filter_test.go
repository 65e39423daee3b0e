package data

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
)

func TestFilters(t *testing.T) {
	dir, rows := datatest.Mixed(t)
	two := 2.0
	for _, tt := range []struct {
		filter Filter
		keep   func(datatest.Row) bool
		dedupe bool
	}{
		{Filter{}, func(datatest.Row) bool { return true }, false},
		{Filter{MinScore: &two}, func(r datatest.Row) bool { return r.Score >= 2 }, false},
		{Filter{Languages: []string{"fr", "de"}}, func(r datatest.Row) bool { return r.Language != "en" }, false},
		{Filter{MinChars: 20, MaxChars: 60}, func(r datatest.Row) bool {
			return len(r.Text) >= 20 && len(r.Text) <= 60
		}, false},
		{Filter{Dedupe: true}, func(datatest.Row) bool { return true }, true},
		{Filter{MinScore: &two, Languages: []string{"en"}, MinChars: 3, Dedupe: true},
			func(r datatest.Row) bool { return r.Score >= 2 && r.Language == "en" && len(r.Text) >= 3 }, true},
	} {
		s, err := OpenWith(dir, OpenOptions{Filter: tt.filter})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, r := range rows {
			if tt.keep(r) && !(tt.dedupe && slices.Contains(want, r.Text)) {
				want = append(want, r.Text)
			}
		}
		docs := collect(t, s.Documents(Position{}))
		if got := textsOf(docs); !slices.Equal(got, want) {
			t.Errorf("%s: %d documents, want %d", tt.filter, len(got), len(want))
		}
		if d := s.Dropped(); d.Filtered() != int64(len(rows)-len(want)) || d.Total() != d.Filtered() ||
			tt.dedupe != (d.Duplicate > 0) {
			t.Errorf("%s: %+v of %d rows, %d documents", tt.filter, d, len(rows), len(want))
		}
		// From any document on the decisions are the same.
		for i := 0; i < len(docs); i += 7 {
			if got := collect(t, s.Documents(Position{Shard: docs[i].Shard, Row: docs[i].Row})); !slices.Equal(got,
				docs[i:]) {
				t.Errorf("%s from document %d: %d documents, want %d", tt.filter, i, len(got), len(docs)-i)
			}
		}
	}
}

func TestFiltersRefuse(t *testing.T) {
	one, nan := 1.0, math.NaN()
	path := filepath.Join(t.TempDir(), "plain.parquet")
	datatest.WriteColumn(t, path, datatest.Texts("doc", 3))
	for _, tt := range []struct {
		filter Filter
		error  string
	}{
		{Filter{MinScore: &one}, `min-score 1) cannot work: no column "score"; the file has text`},
		{Filter{Languages: []string{"en"}}, `language en) cannot work: no column "language"`},
		{Filter{MinScore: &nan}, "NaN"},
		{Filter{Languages: []string{""}}, "empty language"},
		{Filter{MinChars: -1}, "-1"},
		{Filter{MinChars: 5, MaxChars: 4}, "maximum of 4 characters is below the minimum of 5"},
	} {
		// Not even with SkipBad: what is asked for is wrong, not the file.
		if _, err := OpenWith(path, OpenOptions{Filter: tt.filter, SkipBad: true}); err == nil ||
			!strings.Contains(err.Error(), tt.error) {
			t.Errorf("%s: error %v, want %q", tt.filter, err, tt.error)
		}
	}
}

func TestSkipBad(t *testing.T) {
	dir, rows := datatest.Mixed(t)
	datatest.DamageGroup(t, filepath.Join(dir, "0.parquet"), 3)
	datatest.DamageGroup(t, filepath.Join(dir, "1.parquet"), 9)
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range s.Documents(Position{}) {
	}
	if err == nil || !strings.Contains(err.Error(), `0.parquet: row group 3, column "text"`) {
		t.Errorf("without SkipBad: error %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "2.parquet"), []byte("PAR1 no footer PAR1"), 0o644); err != nil {
		t.Fatal(err)
	}
	var log []string
	s, err = OpenWith(dir, OpenOptions{SkipBad: true, Log: func(m string) { log = append(log, m) }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing is found out again
		docs := collect(t, s.Documents(Position{}))
		want := slices.Concat(rows[:12], rows[16:76])
		if len(docs) != len(want) || docs[12].Text != want[12].Text || docs[12].Row != 16 {
			t.Errorf("%d documents, want %d", len(docs), len(want))
		}
	}
	if d := s.Dropped(); d != (Dropped{Skipped: 16}) || s.BadFiles() != 1 {
		t.Errorf("%+v, %d bad files", d, s.BadFiles())
	}
	if len(log) != 3 || !strings.Contains(log[0], "2.parquet") ||
		!strings.Contains(log[1], "skipped 4 rows") ||
		!strings.Contains(log[1], `0.parquet: row group 3, column "text"`) {
		t.Errorf("log %q", log)
	}
	if _, err := OpenWith(filepath.Join(dir, "2.parquet"), OpenOptions{SkipBad: true}); err == nil {
		t.Error("nothing but a bad file was opened")
	}
}

// A cursor taken anywhere restores the sequence, the counts too, with filters
// and damage.
func TestSeekIsExactWithFiltersAndDamage(t *testing.T) {
	dir, _ := datatest.Mixed(t)
	datatest.DamageGroup(t, filepath.Join(dir, "0.parquet"), 4)
	half := 0.5
	open := func(skip bool, f Filter) *Shards {
		s, err := OpenWith(dir, OpenOptions{SkipBad: skip, Filter: f})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	filter := Filter{MinScore: &half, Dedupe: true, MaxChars: 100}
	o := Options{BatchSize: 2, SeqLen: 16, Seed: 3, BlockWindows: 8, Shuffle: true}
	straight := newLoader(t, open(true, filter), o)
	var cursors []Cursor
	var batches []Batch
	var stats []Stats
	for range 150 {
		cursors = append(cursors, straight.Cursor())
		batches = append(batches, next(t, straight))
		stats = append(stats, straight.Stats())
	}
	end := stats[len(stats)-1]
	if end.Epoch < 1 || end.Skipped == 0 || end.LowScore == 0 || end.Duplicate == 0 ||
		end.Rows != end.Documents+end.Total() {
		t.Errorf("counts %+v", end)
	}
	for i := 0; i < len(cursors); i += 11 {
		l := newLoader(t, open(true, filter), o)
		if err := l.Seek(cursors[i]); err != nil {
			t.Fatal(err)
		}
		for j := i; j < min(i+12, len(batches)); j++ {
			if got := next(t, l); !slices.Equal(got.Inputs, batches[j].Inputs) || l.Stats() != stats[j] {
				t.Fatalf("from batch %d, batch %d differs or its counts: %+v, want %+v", i, j, l.Stats(), stats[j])
			}
		}
	}
	for name, s := range map[string]*Shards{"other filter": open(true, Filter{Dedupe: true}),
		"no SkipBad": open(false, filter)} {
		if err := newLoader(t, s, o).Seek(cursors[9]); err == nil || !strings.Contains(err.Error(), "dedupe") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Memory is bounded: the oldest texts are forgotten, and none is taken for
// another.
func TestSeenForgetsTheOldest(t *testing.T) {
	s := newSeen(2)
	for i := range 2 * seenWays * 50 {
		if s.before(fmt.Sprint(i)) {
			t.Fatalf("text %d was never there", i)
		}
		if !s.before(fmt.Sprint(i)) {
			t.Fatalf("text %d was there just now", i)
		}
	}
	if s.before("0") {
		t.Error("the first text is still remembered")
	}
}
