// Package sample turns a model's logits into the next token: it changes the distribution as transformers does, in its
// order, and draws from it with a generator of its own.
//
// It exists apart from generation because it knows nothing of models or devices: a distribution is checked against
// another implementation's without either.
//
// What Go cannot enforce: that the logits are of one token, over the whole vocabulary.
package sample

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Config says how the next token is chosen. The zero value is greedy: the likeliest token.
type Config struct {
	// Temperature divides the logits; 0: the likeliest token alone, and what cuts the distribution does not matter.
	Temperature float64 `json:"temperature"`
	TopK        int     `json:"top_k,omitempty"` // only the likeliest so many, and what ties with the last; 0: all
	TopP        float64 `json:"top_p,omitempty"` // only the likeliest that together have this probability; 0 and 1: all
	MinP        float64 `json:"min_p,omitempty"` // only those with this share of the likeliest's probability; 0: all
	// RepetitionPenalty is for every token that the text has already: a positive logit is divided by it, a negative one
	// multiplied (Keskar et al. 2019, arXiv 1909.05858); 0 and 1: none.
	RepetitionPenalty float64 `json:"repetition_penalty,omitempty"`
	Seed              uint64  `json:"seed"`
}

// Option is a field of Config that cannot be as it is, by its name in JSON.
type Option struct {
	Name  string
	Value float64
	Why   string
}

func (e *Option) Error() string { return fmt.Sprintf("%s %g: %s", e.Name, e.Value, e.Why) }

// Validate returns an *Option for the first field that has no meaning.
func (c Config) Validate() error {
	switch {
	case !(c.Temperature >= 0 && c.Temperature < math.Inf(1)):
		return &Option{"temperature", c.Temperature, "it must be 0 or more"}
	case c.Temperature > 0 && c.Temperature < least:
		return &Option{"temperature", c.Temperature, "it must be 0, for the likeliest token, or 1e-100 or more"}
	case c.TopK < 0:
		return &Option{"top_k", float64(c.TopK), "it must be 0 (all) or more"}
	case !(c.TopP >= 0 && c.TopP <= 1):
		return &Option{"top_p", c.TopP, "it must be 0 to 1"}
	case !(c.MinP >= 0 && c.MinP <= 1):
		return &Option{"min_p", c.MinP, "it must be 0 to 1"}
	case !(c.RepetitionPenalty >= 0 && c.RepetitionPenalty < math.Inf(1)):
		return &Option{"repetition_penalty", c.RepetitionPenalty, "it must be above 0"}
	case c.RepetitionPenalty > 0 && c.RepetitionPenalty < least:
		return &Option{"repetition_penalty", c.RepetitionPenalty, "it must be 1e-100 or more"}
	}
	return nil
}

// least is the least that a logit is divided by, so that no float32 becomes infinite.
const least = 1e-100

// Greedy reports whether the next token is the likeliest.
func (c Config) Greedy() bool { return c.Temperature == 0 }

// penalized reports whether what the text has already counts.
func (c Config) penalized() bool { return c.RepetitionPenalty != 0 && c.RepetitionPenalty != 1 }

// cut reports whether some tokens may be left out.
func (c Config) cut() bool { return c.TopK > 0 || c.TopP > 0 && c.TopP < 1 || c.MinP > 0 }

// Prob is a token with its probability.
type Prob struct {
	ID uint32
	P  float64
}

// NotFinite is the error of logits that are no numbers: the model has diverged.
type NotFinite struct {
	ID    int
	Logit float32
}

func (e *NotFinite) Error() string {
	return fmt.Sprintf("the logit of token %d is %v: the model has diverged", e.ID, e.Logit)
}

var errNone = errors.New("no token can come next: all that the model gives a chance are excluded")

// Check refuses logits of which one is NaN or +Inf, or all are -Inf.
func Check(logits []float32) error {
	some := false
	for id, l := range logits {
		if l != l || l > math.MaxFloat32 {
			return &NotFinite{id, l}
		}
		some = some || l >= -math.MaxFloat32
	}
	if !some {
		return &NotFinite{0, float32(math.Inf(-1))}
	}
	return nil
}

// scored is a token's logit on its way to a probability.
type scored struct {
	id   uint32
	x, e float64
}

// Distribution is the next token's after all that the Config does, the likeliest first and of equally likely ones
// the smaller id; tokens that cannot come are not in it. history is the tokens of the text so far, the prompt's
// too; banned tokens cannot come.
//
// The order is that of transformers: repetition penalty, temperature, top-k, top-p, min-p.
func (c Config) Distribution(logits []float32, history, banned []uint32) ([]Prob, error) {
	list, err := c.prepare(logits, history, banned)
	if err != nil {
		return nil, err
	}
	if c.Greedy() {
		return []Prob{{slices.MinFunc(list, compare).id, 1}}, nil
	}
	list = c.topK(list)
	total := exponentials(list)
	list, dropped := c.hopeless(list, total)
	slices.SortFunc(list, compare)
	return c.truncate(list, total, dropped), nil
}

// prepare is every token's logit that has a chance, penalized and divided by the temperature.
func (c Config) prepare(logits []float32, history, banned []uint32) ([]scored, error) {
	if err := Check(logits); err != nil {
		return nil, err
	}
	list := make([]scored, len(logits))
	for id, l := range logits {
		list[id] = scored{id: uint32(id), x: float64(l)}
	}
	if c.penalized() {
		c.penalize(list, history)
	}
	for _, id := range banned {
		list[id].x = math.Inf(-1)
	}
	list = slices.DeleteFunc(list, func(s scored) bool { return math.IsInf(s.x, -1) })
	if len(list) == 0 {
		return nil, errNone
	}
	if !c.Greedy() {
		for i := range list {
			list[i].x /= c.Temperature
		}
	}
	return list, nil
}

// compare puts the likelier token first, and of equals the smaller id.
func compare(a, b scored) int {
	switch {
	case a.x > b.x:
		return -1
	case a.x < b.x:
		return 1
	}
	return int(a.id) - int(b.id)
}

// penalize makes every token of the history less likely, once.
func (c Config) penalize(list []scored, history []uint32) {
	seen := map[uint32]bool{}
	for _, id := range history {
		if seen[id] || int(id) >= len(list) {
			continue
		}
		seen[id] = true
		if x := &list[id].x; *x < 0 {
			*x *= c.RepetitionPenalty
		} else {
			*x /= c.RepetitionPenalty
		}
	}
}

// topK leaves the likeliest, and what ties with the last of them.
func (c Config) topK(list []scored) []scored {
	if c.TopK == 0 || c.TopK >= len(list) {
		return list
	}
	best := make([]float64, 0, c.TopK+1) // in order, the largest first
	for _, s := range list {
		if len(best) == c.TopK && s.x <= best[c.TopK-1] {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, s.x, func(a, b float64) int { return cmp.Compare(b, a) })
		if best = slices.Insert(best, at, s.x); len(best) > c.TopK {
			best = best[:c.TopK]
		}
	}
	least := best[len(best)-1]
	return slices.DeleteFunc(list, func(s scored) bool { return s.x < least })
}

// exponentials sets each token's e to exp(x), over that of the likeliest, and returns their sum.
func exponentials(list []scored) (total float64) {
	most := math.Inf(-1)
	for _, s := range list {
		most = max(most, s.x)
	}
	for i := range list {
		list[i].e = math.Exp(list[i].x - most)
		total += list[i].e
	}
	return total
}

// hopeless leaves out tokens that top-p drops whatever the others are, with how much of the total they were, so that
// few need to be put in order: even if all were as likely, they together would not have 1 - p.
func (c Config) hopeless(list []scored, total float64) (left []scored, dropped float64) {
	if c.TopP == 0 || c.TopP >= 1 {
		return list, 0
	}
	bound := 0.5 * (1 - c.TopP) * total / float64(len(list))
	return slices.DeleteFunc(list, func(s scored) bool {
		if s.e < bound && s.e < 1 {
			dropped += s.e
			return true
		}
		return false
	}), dropped
}

// truncate is top-p and then min-p of what is left, in order, which then make up one. dropped of the total were left
// out before.
func (c Config) truncate(list []scored, total, dropped float64) []Prob {
	n := len(list)
	if c.TopP > 0 && c.TopP < 1 {
		// From the least likely on, those go that together have no more than 1 - p.
		for sum := dropped; n > 1; n-- {
			if sum += list[n-1].e; sum/total > 1-c.TopP {
				break
			}
		}
	}
	for n > 1 && list[n-1].e < c.MinP*list[0].e {
		n--
	}
	probs, sum := make([]Prob, n), 0.0
	for _, s := range list[:n] {
		sum += s.e
	}
	for i, s := range list[:n] {
		probs[i] = Prob{s.id, s.e / sum}
	}
	return probs
}
