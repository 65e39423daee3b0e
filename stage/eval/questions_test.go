package eval

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestScore(t *testing.T) {
	m := newBigram(t, 2, 6, 7)
	for _, ids := range [][]uint32{{3}, {3, 1}, {3, 1, 4, 1, 5, 6}} {
		p, err := ScoreText(m, ids)
		if err != nil {
			t.Fatal(err)
		}
		if len(p) != len(ids) || !math.IsNaN(p[0]) {
			t.Fatalf("%v: log-probabilities %v", ids, p)
		}
		for i := 1; i < len(ids); i++ {
			near(t, "log-probability", p[i], -m.at(ids[i-1], ids[i], i == 1))
		}
	}
}

func TestLogProbsJSON(t *testing.T) {
	b, err := json.Marshal(struct {
		IDs      []uint32 `json:"ids"`
		LogProbs LogProbs `json:"logprobs"`
	}{[]uint32{1, 2, 3}, LogProbs{math.NaN(), -1.5, -1e-7}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"ids":[1,2,3],"logprobs":[null,-1.5,-1e-07]}`; string(b) != want {
		t.Errorf("got %s, want %s", b, want)
	}
	if _, err := json.Marshal(LogProbs{math.Inf(-1)}); !errors.Is(err, ErrNotFinite) {
		t.Errorf("an infinite log-probability gave %v, want %v", err, ErrNotFinite)
	}
}

func TestScoreErrors(t *testing.T) {
	m := newBigram(t, 2, 6, 7)
	cases := []struct {
		name, want string
		ids        []uint32
		answer     func([]float32) ([]float32, error)
	}{
		{name: "nothing", want: "no tokens"},
		{name: "too long", want: "8 tokens do not fit the model's context of 6", ids: make([]uint32, 8)},
		{name: "NaN", want: "token 2", ids: make([]uint32, 4), answer: func(l []float32) ([]float32,
			error) {
			l[1] = float32(math.NaN())
			return l, nil
		}},
		{name: "too few", want: "11 losses for 12", ids: make([]uint32, 4), answer: func(l []float32) ([]float32,
			error) {
			return l[1:], nil
		}},
		{name: "device", want: "device lost", ids: make([]uint32, 4), answer: func([]float32) ([]float32,
			error) {
			return nil, errors.New("device lost")
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.answer == nil {
				c.answer = func(l []float32) ([]float32, error) { return l, nil }
			}
			_, err := ScoreText(broken{m, c.answer}, c.ids)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
