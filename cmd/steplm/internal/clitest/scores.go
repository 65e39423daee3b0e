package clitest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type scores struct {
	IDs      []uint32   `json:"ids"`
	LogProbs []*float64 `json:"logprobs"`
}

func Score(t *testing.T, args ...string) scores {
	t.Helper()
	out := Succeed(t, "", append([]string{"score", "--json"}, args...)...)
	var s scores
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.IDs) != len(s.LogProbs) || s.LogProbs[0] != nil || slices.Contains(s.LogProbs[1:], nil) {
		t.Fatalf("scores %s", out)
	}
	return s
}

// Nll is the sum of the negative log-probabilities.
func (s scores) Nll() (sum float64) {
	for _, p := range s.LogProbs[1:] {
		sum -= *p
	}
	return sum
}

func Commas(ids []uint32) string {
	var s []string
	for _, id := range ids {
		s = append(s, strconv.Itoa(int(id)))
	}
	return strings.Join(s, ",")
}

type Perplexities struct {
	Model   string `json:"model"`
	Device  string `json:"device"`
	Results []struct {
		Name       string         `json:"name"`
		Perplexity float64        `json:"perplexity"`
		Unit       string         `json:"unit"`
		Tokens     int64          `json:"tokens"`
		Detail     map[string]any `json:"detail"`
	} `json:"results"`
}

func Perplexity(t *testing.T, args ...string) Perplexities {
	t.Helper()
	var p Perplexities
	out := Succeed(t, "", append([]string{"eval", "ppl", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	return p
}
