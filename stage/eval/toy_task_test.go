package eval

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// choicesKind is a toy, all of it in this file: every text of its source is a line "prompt|right|wrong",
// and the right continuation should be the likelier one.
var choicesKind = kind{"choices", func(s Source) (Task, error) {
	_, err := Texts(s)
	return choices{s}, err
}}

type choices struct{ Source }

func (c choices) Name() string { return c.Source.Name }

func (c choices) Run(ctx context.Context, m Model, o Options) (Result, error) {
	texts, err := Texts(c.Source)
	if err != nil {
		return Result{}, err
	}
	n, right := 0.0, 0.0
	for text, err := range texts {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return Result{}, err
		}
		parts := strings.Split(text, "|")
		var ids [3][]uint32
		for i := range ids {
			if ids[i], err = c.Tokenizer.Encode(parts[i]); err != nil {
				return Result{}, err
			}
		}
		good, err := ScoreContinuation(m, ids[0], ids[1])
		if err != nil {
			return Result{}, err
		}
		bad, err := ScoreContinuation(m, ids[0], ids[2])
		if err != nil {
			return Result{}, err
		}
		if n++; good > bad {
			right++
		}
	}
	share := right / n
	accuracy := Metric{share, math.Sqrt(share * (1 - share) / n)}
	return Result{c.Name(), map[string]Metric{"accuracy": accuracy}, Protocol{Context: m.SeqLen()}}, nil
}

// A task is added from one file: it is opened by name, asks the questions and gives a result.
func TestToyTask(t *testing.T) {
	listed := kinds
	kinds = append(slices.Clone(kinds), choicesKind)
	defer func() { kinds = listed }()

	m := newBigram(t, 2, 6, 7)
	loss := func(text string) (sum float64) {
		ids := letters(strings.ReplaceAll(text, "|", ""))
		for i := strings.Index(text, "|"); i < len(ids); i++ {
			sum += m.at(ids[i-1], ids[i], i == 1)
		}
		return sum
	}
	lines := []string{"a|bc|d", "bc|d|e", "abc|de|fa", "g|a|b"}
	right := 0.0
	for _, line := range lines {
		parts := strings.Split(line, "|")
		if loss(parts[0]+"|"+parts[1]) < loss(parts[0]+"|"+parts[2]) {
			right++
		}
	}
	if right == 0 || right == 4 {
		t.Fatalf("%g of 4 are right: that shows nothing", right)
	}
	got, err := open(t, "choices", Source{Path: writeShard(t, lines)}).Run(t.Context(), m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	accuracy := Metric{right / 4, math.Sqrt(right / 4 * (1 - right/4) / 4)}
	want := Result{"choices", map[string]Metric{"accuracy": accuracy}, Protocol{Context: 6}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestScoreContinuation(t *testing.T) {
	m := newBigram(t, 2, 6, 7)
	prompt := []uint32{3, 1, 4}
	got, err := ScoreContinuation(m, prompt[:2], []uint32{5, 6})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "log-probability", got, -m.at(1, 5, false)-m.at(5, 6, false))
	if prompt[2] != 4 {
		t.Errorf("what follows the prompt in memory was overwritten: %v", prompt)
	}
	for want, c := range map[string][2][]uint32{
		"0 tokens after a prompt of 2": {{3, 1}, {}},
		"2 tokens after a prompt of 0": {{}, {3, 1}},
		"8 tokens do not fit":          {{1, 2, 3}, {4, 5, 6, 0, 1}},
	} {
		if _, err := ScoreContinuation(m, c[0], c[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", c, err, want)
		}
	}
}

// counting continues with the numbers after the prompt's last.
type counting struct{ *bigram }

func (counting) Continue(_ context.Context, prompt []uint32, most int, stops []uint32) (ids []uint32, err error) {
	for id := prompt[len(prompt)-1] + 1; len(ids) < most; id++ {
		if ids = append(ids, id); slices.Contains(stops, id) {
			break
		}
	}
	return ids, nil
}

func TestContinueText(t *testing.T) {
	m := newBigram(t, 2, 6, 7)
	if _, err := ContinueText(t.Context(), m, []uint32{1}, 3, nil); !errors.Is(err, ErrNotYet) {
		t.Errorf("a model that only scores continues a text: %v", err)
	}
	ids, err := ContinueText(t.Context(), counting{m}, []uint32{1}, 4, []uint32{4})
	if want := []uint32{2, 3, 4}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("got %v, %v, want %v", ids, err, want)
	}
}
