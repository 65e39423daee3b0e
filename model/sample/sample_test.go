package sample

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"steplm/data/datatest"
)

// golden is generate/distributions.json, made by transformers.
type golden struct {
	Parameters map[string]struct {
		Temperature       *float64 `json:"temperature"`
		TopK              int      `json:"top_k"`
		TopP              float64  `json:"top_p"`
		MinP              float64  `json:"min_p"`
		RepetitionPenalty float64  `json:"repetition_penalty"`
	}
	Prefixes []struct {
		IDs      []uint32 `json:"ids"`
		Logits   []float32
		Settings map[string]struct {
			Kept  int
			IDs   []uint32 `json:"ids"`
			Probs []float64
		}
	}
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	text, err := os.ReadFile(datatest.Path(t, "generate/distributions.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// config is that of a golden's setting; without a temperature it is 1.
func (g golden) config(name string) Config {
	p := g.Parameters[name]
	c := Config{Temperature: 1, TopK: p.TopK, TopP: p.TopP, MinP: p.MinP, RepetitionPenalty: p.RepetitionPenalty}
	if p.Temperature != nil {
		c.Temperature = *p.Temperature
	}
	return c
}

// Distributions after every setting's processors, from the golden's own logits, which have six digits: at a temperature
// of 0.5 that may move a probability, and what it is divided by, by 1e-4 each. From a model's logits
// package generate compares them to 1e-5.
func TestDistributionsOfTransformers(t *testing.T) {
	g := readGolden(t)
	compared := 0
	for i, prefix := range g.Prefixes {
		for name, want := range prefix.Settings {
			got, err := g.config(name).Distribution(prefix.Logits, prefix.IDs, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != want.Kept {
				t.Errorf("prefix %d, %s: %d tokens are left, want %d", i, name, len(got), want.Kept)
				continue
			}
			probs, sum := map[uint32]float64{}, 0.0
			for _, p := range got {
				probs[p.ID] = p.P
				sum += p.P
			}
			if math.Abs(sum-1) > 1e-12 || !slices.IsSortedFunc(got, func(a, b Prob) int {
				return int(math.Copysign(1, b.P-a.P))
			}) {
				t.Errorf("prefix %d, %s: sum %g, or not sorted", i, name, sum)
			}
			for j, id := range want.IDs {
				compared++
				if d := math.Abs(probs[id] - want.Probs[j]); !(d <= 2e-4*want.Probs[j]) {
					t.Errorf("prefix %d, %s: token %d has %g, want %g", i, name, id, probs[id], want.Probs[j])
				}
			}
		}
	}
	if compared < 1000 {
		t.Errorf("%d probabilities were compared", compared)
	}
}

func TestEdges(t *testing.T) {
	logits := []float32{1, 3, 3, float32(math.Inf(-1)), 2, -1}
	for _, c := range []struct {
		name   string
		config Config
		banned []uint32
		want   []uint32
	}{
		{"ties stay", Config{Temperature: 1, TopK: 1}, nil, []uint32{1, 2}},
		{"greedy takes the first", Config{}, nil, []uint32{1}},
		{"the best stays", Config{Temperature: 1, TopP: 1e-9}, nil, []uint32{1}},
		{"the best stays by share", Config{Temperature: 1, MinP: 1}, nil, []uint32{1, 2}},
		{"more than there are", Config{Temperature: 1, TopK: 99}, nil, []uint32{1, 2, 4, 0, 5}},
		{"banned", Config{Temperature: 1, TopK: 2}, []uint32{1}, []uint32{2, 4}},
		{"greedy, banned", Config{}, []uint32{1, 2}, []uint32{4}},
	} {
		got, err := c.config.Distribution(logits, nil, c.banned)
		if err != nil {
			t.Fatal(err)
		}
		var ids []uint32
		for _, p := range got {
			ids = append(ids, p.ID)
		}
		if !slices.Equal(ids, c.want) {
			t.Errorf("%s: %v, want %v", c.name, ids, c.want)
		}
		if id, err := c.config.Next(logits, nil, c.banned, 0); err != nil || !slices.Contains(c.want, id) {
			t.Errorf("%s: %d, %v", c.name, id, err)
		}
	}
	// A negative logit is multiplied, a positive one divided, once however often the token came.
	got, _ := Config{Temperature: 1, RepetitionPenalty: 2}.Distribution([]float32{4, -4, 0}, []uint32{0, 0, 1, 9}, nil)
	e := []float64{math.Exp(2), math.Exp(-8), 1}
	for _, p := range got {
		if want := e[p.ID] / (e[0] + e[1] + e[2]); math.Abs(p.P-want) > 1e-12 {
			t.Errorf("token %d has %g, want %g", p.ID, p.P, want)
		}
	}
}

// What is drawn follows from seed and count alone, and as often as its probability says.
func TestNextDraws(t *testing.T) {
	// The first numbers of splitmix64 from seed 1234567, as its authors' program gives them.
	for i, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423} {
		if got := splitmix64(1234567, uint64(i)); got != want {
			t.Errorf("number %d is %d, want %d", i, got, want)
		}
	}
	logits := []float32{0, 1, 2, -1}
	c := Config{Temperature: 1, Seed: 7}
	probs, _ := c.Distribution(logits, nil, nil)
	const n = 20000
	counts := map[uint32]float64{}
	other := c
	other.Seed++
	differ := false
	for i := range n {
		id, err := c.Next(logits, nil, nil, i)
		again, _ := c.Next(logits, nil, nil, i)
		if err != nil || id != again {
			t.Fatalf("draw %d: %d, then %d, %v", i, id, again, err)
		}
		x, _ := other.Next(logits, nil, nil, i)
		differ = differ || x != id
		counts[id]++
	}
	for _, p := range probs {
		if sigma := math.Sqrt(n * p.P * (1 - p.P)); math.Abs(counts[p.ID]-n*p.P) > 4*sigma {
			t.Errorf("token %d came %g times of %d, its probability is %g", p.ID, counts[p.ID], n, p.P)
		}
	}
	if !differ {
		t.Error("another seed gives the same tokens")
	}
}

func TestTop(t *testing.T) {
	logits := []float32{1, 3, 3, -2, 2}
	own, top := Top(logits, 4, 3)
	var ids []uint32
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x))
	}
	for _, x := range top {
		ids = append(ids, x.ID)
		if want := float64(logits[x.ID]) - math.Log(sum); math.Abs(x.LogProb-want) > 1e-12 {
			t.Errorf("token %d: %g, want %g", x.ID, x.LogProb, want)
		}
	}
	if !slices.Equal(ids, []uint32{1, 2, 4}) || own != top[2].LogProb || LogProb(logits, 4) != own {
		t.Errorf("%v, own %g", top, own)
	}
	if _, none := Top(logits, 0, 0); len(none) != 0 {
		t.Errorf("%v", none)
	}
	if _, all := Top(logits, 0, 99); len(all) != len(logits) {
		t.Errorf("%v", all)
	}
}

func TestRefusals(t *testing.T) {
	inf := math.Inf(1)
	for name, list := range map[string][]Config{
		"temperature": {{Temperature: -1}, {Temperature: 1e-310}}, "top_k": {{TopK: -1}}, "top_p": {{TopP: 1.5}},
		"min_p": {{MinP: math.NaN()}}, "repetition_penalty": {{RepetitionPenalty: inf}, {RepetitionPenalty: 1e-300}},
	} {
		for _, c := range list {
			var option *Option
			if err := c.Validate(); !errors.As(err, &option) || option.Name != name {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// The lowest temperature that is taken chooses the likeliest, even of the largest logits there are.
	for _, c := range []Config{{Temperature: least}, {Temperature: least, MinP: 0.1}} {
		if id, err := c.Next([]float32{1, math.MaxFloat32, 3, -2}, nil, nil, 0); err != nil || id != 1 {
			t.Errorf("%+v: %d, %v", c, id, err)
		}
	}
	all := Config{Temperature: 0.7, TopK: 40, TopP: 0.9, MinP: 0.1, RepetitionPenalty: 1.1}
	if err := all.Validate(); err != nil {
		t.Error(err)
	}
	nan, none := float32(math.NaN()), float32(math.Inf(-1))
	for _, logits := range [][]float32{{1, nan}, {1, float32(inf)}, {none, none}} {
		for _, c := range []Config{{}, {Temperature: 1}} {
			var diverged *NotFinite
			if _, err := c.Next(logits, nil, nil, 0); !errors.As(err, &diverged) {
				t.Errorf("%v: %v", logits, err)
			}
		}
	}
	for _, c := range []Config{{}, {Temperature: 1}} {
		if _, err := c.Next([]float32{1, none}, nil, []uint32{0}, 0); err == nil {
			t.Error("a token comes where all are excluded")
		}
	}
}

// What is left out before tokens are put in order changes nothing: a plain rule over all of them says the same.
func TestDistributionsByAPlainRule(t *testing.T) {
	g := rand.New(rand.NewPCG(4, 0))
	for i := range 300 {
		logits := make([]float32, 1+g.IntN(400))
		for j := range logits {
			logits[j] = float32(3 * g.NormFloat64())
			if i%3 == 0 { // ties
				logits[j] = float32(math.Round(float64(logits[j])))
			}
		}
		c := Config{Temperature: 0.3 + 2*g.Float64(), TopK: g.IntN(30) * g.IntN(2), TopP: g.Float64(),
			MinP: 0.2 * g.Float64() * float64(g.IntN(2))}
		got, err := c.Distribution(logits, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := plain(c, logits)
		if len(got) != len(want) {
			t.Fatalf("%+v: %d tokens of %d, want %d", c, len(got), len(logits), len(want))
		}
		for j, p := range got {
			if p.ID != want[j].ID || math.Abs(p.P-want[j].P) > 1e-12 {
				t.Fatalf("%+v: token %d is %v, want %v", c, j, p, want[j])
			}
		}
	}
}

// plain is Distribution step by step.
func plain(c Config, logits []float32) []Prob {
	var list []Prob
	for id, l := range logits {
		list = append(list, Prob{uint32(id), float64(l) / c.Temperature})
	}
	slices.SortStableFunc(list, func(a, b Prob) int { return cmp.Compare(b.P, a.P) })
	if c.TopK > 0 && c.TopK < len(list) {
		least := list[c.TopK-1].P
		list = slices.DeleteFunc(list, func(p Prob) bool { return p.P < least })
	}
	most := list[0].P
	for i := range list {
		list[i].P = math.Exp(list[i].P - most)
	}
	normal := func() {
		sum := 0.0
		for _, p := range list {
			sum += p.P
		}
		for i := range list {
			list[i].P /= sum
		}
	}
	normal()
	if c.TopP > 0 && c.TopP < 1 {
		sum, n := 0.0, len(list)
		for ; n > 1 && sum+list[n-1].P <= 1-c.TopP; n-- {
			sum += list[n-1].P
		}
		list = list[:n]
		normal()
	}
	best := list[0].P
	list = slices.DeleteFunc(list, func(p Prob) bool { return p.P < c.MinP*best })
	normal()
	return list
}

func BenchmarkNext(b *testing.B) {
	g := rand.New(rand.NewPCG(4, 0))
	logits := make([]float32, 32000)
	for j := range logits {
		logits[j] = float32(3 * g.NormFloat64())
	}
	for name, c := range map[string]Config{"greedy": {}, "all": {Temperature: 1}, "top-k": {Temperature: 1, TopK: 40},
		"top-p": {Temperature: 1, TopP: 0.95}} {
		b.Run(name, func(b *testing.B) {
			for i := range b.N {
				if _, err := c.Next(logits, nil, nil, i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
