package examples

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"steplm/data"
	"steplm/data/datatest"
	"steplm/data/tokenizer"
)

// golden is instruction tuning's, by plain torch and trl.
type golden struct {
	MaxLength int `json:"max_length"`
	Examples  []goldenExample
	Packs     [][]int
	Truncated goldenExample `json:"truncated_example"`
}

type goldenExample struct {
	Index                      int
	Instruction, Input, Output string
	IDs                        []uint32 `json:"input_ids"`
	Prompt                     int      `json:"prompt_len"`
	Trained                    int      `json:"trained_tokens"`
}

func readGolden(t testing.TB) (g golden) {
	t.Helper()
	text, err := os.ReadFile(datatest.Path(t, "golden_sft/losses.json"))
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// stories is the tokenizer of the golden's model.
func stories(t testing.TB) *tokenizer.Documents {
	t.Helper()
	tok, err := tokenizer.Load(datatest.Path(t, "golden_tasks/stories260K_tokenizer"))
	if err == nil {
		if tok, err = tok.WithEnd(""); err == nil {
			tok, err = tok.WithBegin("", true)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer.NewDocuments(tok, tokenizer.DocumentOptions{Begin: true})
}

// readThese reads the examples of the golden's indices, in order, from the file that they are of.
func readThese(t testing.TB, tok Tokenizer, seqLen int, list ...goldenExample) *Set {
	t.Helper()
	all, err := Read([]string{datatest.Path(t, "alpaca/alpaca_9k.json")}, Options{Tokenizer: tok, SeqLen: seqLen,
		most: slices.MaxFunc(list, func(a, b goldenExample) int { return a.Index - b.Index }).Index + 1})
	if err != nil {
		t.Fatal(err)
	}
	if all.Left.Empty+all.Left.Long > 0 {
		t.Fatalf("%s: the golden's indices say nothing", all.Left)
	}
	s := *all
	s.Examples = nil
	for _, x := range list {
		s.Examples = append(s.Examples, all.Examples[x.Index])
	}
	return &s
}

// Ids, and which of them count, are those of the golden.
func TestGoldenIDs(t *testing.T) {
	g := readGolden(t)
	if len(g.Examples) != 16 {
		t.Fatalf("%d examples", len(g.Examples))
	}
	list := append(slices.Clone(g.Examples), g.Truncated)
	s := readThese(t, stories(t), g.MaxLength, list...)
	for i, want := range list {
		got := s.Examples[i]
		if !slices.Equal(got.IDs, want.IDs) {
			t.Errorf("example %d: ids %v, want %v", want.Index, got.IDs, want.IDs)
		}
		if learned := []Span{{want.Prompt, len(want.IDs)}}; !reflect.DeepEqual(got.Learned, learned) ||
			got.Targets() != want.Trained || got.Prompt != want.Prompt {
			t.Errorf("example %d: %v count, of a prompt of %d, want %v", want.Index, got.Learned, got.Prompt, learned)
		}
	}
	if last := s.Examples[16].IDs; len(last) != g.MaxLength || last[len(last)-1] == 2 || s.Left.Cut == 0 {
		t.Errorf("an example that is cut has %d ids and ends with %d; %s", len(last), last[len(last)-1], s.Left)
	}
}

// Packed, windows hold the examples that the golden's hold.
func TestGoldenPacks(t *testing.T) {
	g := readGolden(t)
	s := readThese(t, stories(t), g.MaxLength, g.Examples...)
	l := Layout{BatchSize: 4, GradAccum: 1, SeqLen: g.MaxLength, Pack: true}
	if got := l.epoch(s, 0); !reflect.DeepEqual(got, g.Packs) {
		t.Errorf("%v, want %v", got, g.Packs)
	}
	if got := l.Steps(s, 2); got != 6 {
		t.Errorf("%d steps of two epochs of 11 windows, 4 a step", got)
	}
}

// Rows of a batch are what its examples say, padded and packed, in windows of each length.
func TestBatches(t *testing.T) {
	g := readGolden(t)
	s := readThese(t, stories(t), g.MaxLength, g.Examples...)
	for _, l := range []Layout{
		{BatchSize: 4, GradAccum: 2, SeqLen: 512}, {BatchSize: 4, GradAccum: 1, SeqLen: 512, Pack: true},
		{BatchSize: 3, GradAccum: 2, SeqLen: 512, Shuffle: true, Seed: 7},
		{BatchSize: 3, GradAccum: 2, SeqLen: 512, Shuffle: true, Seed: 7, Pack: true},
	} {
		x, err := NewLoader(s, stories(t), l)
		if err != nil {
			t.Fatal(err)
		}
		trained, used := 0, 0
		for x.Epoch() == 0 {
			b, err := x.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Inputs) != l.BatchSize*b.SeqLen || b.SeqLen > l.SeqLen || l.Pack && b.SeqLen != l.SeqLen {
				t.Fatalf("%+v: %d inputs in windows of %d", l, len(b.Inputs), b.SeqLen)
			}
			trained, used = trained+b.Scored(), used+b.Used()
			checkRows(t, s, b)
		}
		wantTrained, wantUsed := 0, 0
		for _, e := range s.Examples {
			wantTrained, wantUsed = wantTrained+e.Targets(), wantUsed+len(e.IDs)
		}
		if trained != wantTrained || used != wantUsed || x.Tokens() != int64(used) {
			t.Errorf("%+v: an epoch has %d targets of %d ids, want %d of %d", l, trained, used, wantTrained, wantUsed)
		}
	}
}

// checkRows finds each example of a batch, and that nothing else counts.
func checkRows(t *testing.T, s *Set, b data.Batch) {
	t.Helper()
	for row := 0; row < len(b.Inputs); {
		x := slices.IndexFunc(s.Examples, func(e Example) bool {
			return row+len(e.IDs) <= len(b.Inputs) && slices.Equal(b.Inputs[row:row+len(e.IDs)], e.IDs)
		})
		if x < 0 {
			if b.Inputs[row] != 0 || b.Targets[row] != data.Ignored {
				t.Errorf("row %d has id %d, target %d, and is of no example", row, b.Inputs[row], b.Targets[row])
				return
			}
			row++
			continue
		}
		e := s.Examples[x]
		for i := range e.IDs {
			want := uint32(data.Ignored)
			if i+1 >= e.Learned[0].From && i+1 < e.Learned[0].To {
				want = e.IDs[i+1]
			}
			if got := b.Targets[row+i]; got != want {
				t.Errorf("example %d: target %d is %d, want %d", x, i, got, want)
				return
			}
			if begin := uint32(row % b.SeqLen); b.Begins != nil && b.Begins[row+i] != begin {
				t.Errorf("example %d begins at %d, by its row %d at %d", x, begin, i, b.Begins[row+i])
				return
			}
		}
		row += len(e.IDs)
	}
}

// A Loader that goes to a cursor, saved as JSON, hands out what followed there.
func TestSeek(t *testing.T) {
	g := readGolden(t)
	tok := stories(t)
	s := readThese(t, tok, g.MaxLength, g.Examples...)
	for _, pack := range []bool{false, true} {
		l := Layout{BatchSize: 2, GradAccum: 3, SeqLen: 512, Pack: pack, Shuffle: true, Seed: 3}
		var cursors [][]byte
		var batches []data.Batch
		x, err := NewLoader(s, tok, l)
		if err != nil {
			t.Fatal(err)
		}
		for x.Epoch() < 3 {
			c, err := json.Marshal(x.Cursor())
			if err != nil {
				t.Fatal(err)
			}
			b, err := x.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			cursors, batches = append(cursors, c), append(batches, b)
		}
		if reflect.DeepEqual(batches[0], batches[len(batches)/3]) {
			t.Error("two epochs begin alike")
		}
		for i, c := range cursors {
			y, err := NewLoader(s, tok, l)
			if err != nil {
				t.Fatal(err)
			}
			var at data.Cursor
			if err := json.Unmarshal(c, &at); err != nil {
				t.Fatal(err)
			}
			if err := y.Seek(at); err != nil {
				t.Fatal(err)
			}
			for j := i; j < min(i+3, len(batches)); j++ {
				if b, err := y.Next(t.Context()); err != nil || !reflect.DeepEqual(b, batches[j]) {
					t.Fatalf("after cursor %d batch %d is another (%v)", i, j, err)
				}
			}
		}
		other := l
		other.Pack = !pack
		y, err := NewLoader(s, tok, other)
		if err != nil {
			t.Fatal(err)
		}
		if err := y.Seek(x.Cursor()); err == nil {
			t.Error("a cursor of windows that are made otherwise is taken")
		}
	}
}

// Few positions are padding: padded windows of one micro-batch have about one length, packed ones are nearly full.
func TestFewPositionsArePadding(t *testing.T) {
	tok := stories(t)
	s, err := Read([]string{datatest.Path(t, "alpaca/alpaca_9k.json")},
		Options{Tokenizer: tok, SeqLen: 512, most: 1500})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pack  bool
		least float64
	}{{false, 0.85}, {true, 0.9}} {
		x, err := NewLoader(s, tok, Layout{BatchSize: 8, GradAccum: 2, SeqLen: 512, Shuffle: true, Pack: c.pack})
		if err != nil {
			t.Fatal(err)
		}
		rows, used := 0, 0
		for x.Epoch() == 0 {
			b, err := x.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rows, used = rows+len(b.Inputs), used+b.Used()
		}
		share := float64(used) / float64(rows)
		t.Logf("packed %t: %.1f %% of the positions are tokens", c.pack, 100*share)
		if share < c.least {
			t.Errorf("packed %t: %.0f %% of the positions are tokens", c.pack, 100*share)
		}
	}
}

// examplesFile writes a file of examples.
func examplesFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
