package bench

import (
	"encoding/json"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model"
	"steplm/stage/session"
)

// benched runs a benchmark for its JSON. What tuning finds goes to a folder of the test's.
func benched(t *testing.T, into any, args ...string) {
	t.Helper()
	args = append(append([]string{"bench"}, args...), "--json", "--tune-cache", t.TempDir())
	if err := json.Unmarshal([]byte(clitest.Succeed(t, "", args...)), into); err != nil {
		t.Fatal(err)
	}
}

func TestBenchMatmul(t *testing.T) {
	for _, dev := range clitest.Devices(t) {
		for _, transpose := range []string{"nn", "nt", "tn"} {
			var b matmulBench
			benched(t, &b, "matmul", "--m", "24", "--n", "40", "--k", "16", "--transpose", transpose, "--precision",
				"bf16", "--all", "--seconds", "2", "--no-tune", "--device", dev)
			if b.Transpose != transpose || b.M != 24 || b.N != 40 || b.K != 16 || len(b.Variants) < 2 ||
				len(b.Excluded) > 0 || b.Variant != b.Chosen || b.GFLOPS != b.rate(b.Variant) || !(b.GFLOPS > 0) {
				t.Errorf("%s: %+v", dev, b)
			}
			// bf16: 2 bytes an element.
			if want := 2 * (24*16 + 16*40 + 24*40) / b.Seconds / 1e9; math.Abs(b.GBPerSecond/want-1) > 1e-9 {
				t.Errorf("%g GB/s, want %g", b.GBPerSecond, want)
			}
			other := b.Variants[0].Variant
			if other == b.Chosen {
				other = b.Variants[1].Variant
			}
			benched(t, &b, "matmul", "--m", "24", "--n", "40", "--k", "16", "--transpose", transpose, "--variant",
				other, "--seconds", "2", "--no-tune", "--device", dev)
			if b.Variant != other || b.GFLOPS != b.rate(other) || b.ChosenGFLOPS != b.rate(b.Chosen) {
				t.Errorf("%s: asked for %s: %+v", dev, other, b)
			}
		}
	}
	out := clitest.Succeed(t, "", "bench", "matmul", "--m", "8", "--n", "8", "--k", "8", "--seconds", "2", "--no-tune",
		"--device", "host", "--tune-cache", t.TempDir())
	if !strings.Contains(out, "nt f32 8 x 8 x 8 on host") || !strings.Contains(out, "the device's choice") {
		t.Errorf("%s", out)
	}
}

func TestBenchAttention(t *testing.T) {
	for _, dev := range clitest.Devices(t) {
		var b attentionBench
		args := []string{"--batch", "2", "--heads", "4", "--kv-heads", "2", "--seq-len", "9", "--head-size", "6",
			"--steps", "2", "--no-tune", "--device", dev}
		benched(t, &b, append([]string{"attention"}, args...)...)
		pairs := 6.0 * 2 * 4 * 9 * 10 / 2
		for _, d := range []struct {
			attentionTiming
			ops float64
		}{{b.Forward, 4}, {b.Backward, 14}} {
			if got := d.GFLOPS * 1e9 * d.Seconds; math.Abs(got/(d.ops*pairs)-1) > 1e-9 || !(d.GBPerSecond > 0) {
				t.Errorf("%s: %g operations, want %g: %+v", dev, got, d.ops*pairs, b)
			}
		}
		if b.KVHeads != 2 || math.Abs(b.Ratio*b.Forward.Seconds/b.Backward.Seconds-1) > 1e-9 || !(b.Tokens > 0) {
			t.Errorf("%s: %+v", dev, b)
		}
		out := clitest.Succeed(t, "", append(append([]string{"bench", "attention"}, args...), "--tune-cache",
			t.TempDir())...)
		if !strings.Contains(out, "backward takes") || !strings.Contains(out, "tokens/s") {
			t.Errorf("%s", out)
		}
	}
}

// smallSteps are the flags of a model of which a step takes no time.
var smallSteps = strings.Fields(
	"step --hidden 16 --ffn 24 --layers 4 --heads 2 --vocab 48 --seq-len 8 --batch-size 2 --steps 2 --rank 2 --no-tune")

func TestBenchStep(t *testing.T) {
	for _, dev := range clitest.Devices(t) {
		var b stepBench
		benched(t, &b, append(slices.Clone(smallSteps), "--grad-accum", "2", "--device", dev)...)
		if len(b.Stages) != 3 || b.Stages[0].Name != "vanilla" || b.Stages[2].Name != "step: 2" ||
			b.Stages[2].Layers != 4 || !(b.Tokens > 0) || !(b.GFLOPS > 0) || len(b.Variant) == 0 || !b.Turns {
			t.Fatalf("%s: %+v", dev, b)
		}
		// Two micro-batches of the whole model.
		c := model.Config{Hidden: 16, FFN: 24, Layers: 4, Heads: 2, KVHeads: 2, Vocab: 48, MaxSeqLen: 2048,
			NormEps: 1e-5, RopeTheta: 1e4}
		want := 2 * model.Plain(c, 4).FLOPs(model.Size{Batch: 2, SeqLen: 8}).Total()
		for i, s := range b.Stages {
			if i == 0 && s.Total != want {
				t.Errorf("%s: %g operations, want %g", dev, s.Total, want)
			}
			// What is replayed is all that is counted.
			if got := s.Products.FLOPs + s.Attend.FLOPs; got != s.Total {
				t.Errorf("%s, %s: %g operations replayed, %g counted", dev, s.Name, got, s.Total)
			}
			if !(s.Products.Seconds > 0) || !(s.Attend.Share > 0) || !(s.Seconds > 0) || !(s.Handing > 0) ||
				s.Handing > 10*s.Seconds {
				t.Errorf("%s: %+v", dev, s)
			}
			// Of two turns the median and the spread tell both times, though not which was first.
			low, high := s.Seconds*(1-s.Spread/2), s.Seconds*(1+s.Spread/2)
			v := b.Stages[0]
			least, most := low/(v.Seconds*(1+v.Spread/2)), high/(v.Seconds*(1-v.Spread/2))
			if i > 0 && (!(s.TimeRatio > least*(1-1e-9) && s.TimeRatio < most*(1+1e-9)) ||
				s.FLOPRatio != s.Total/v.Total) {
				t.Errorf("%s: %+v", dev, s)
			}
		}
	}
	out := clitest.Succeed(t, "", append(append([]string{"bench"}, smallSteps...), "--device", "host", "--tune-cache",
		t.TempDir())...)
	for _, part := range []string{"against vanilla", "of both: dW", "matmuls, GFLOP", "step: 2"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in\n%s", part, out)
		}
	}
	// Other storage: what is frozen and released steps too, and vanilla beside it.
	var b stepBench
	benched(t, &b, append(slices.Clone(smallSteps), "--release", "--states", "flash8", "--frozen", "int8",
		"--recompute", "block", "--device", "host")...)
	if len(b.Stages) != 3 || b.Stages[0].FLOPs.Recomputation == 0 {
		t.Errorf("%+v", b)
	}
	benched(t, &b, append(slices.Clone(smallSteps), "--method", "vanilla", "--device", "host")...)
	if s := b.Stages[0]; len(b.Stages) != 1 || s.TimeRatio != 0 || math.Abs(b.Tokens/s.Tokens-1) > 1e-9 {
		t.Errorf("%+v", b)
	}
}

// Every second turn goes backwards, and ratios are within turns.
func TestTurns(t *testing.T) {
	var order []string
	of := func(name string, wall ...float64) *timed {
		n := -1
		return &timed{once: func() (spent, error) {
			order = append(order, name)
			n++
			return spent{wall[n], 0}, nil
		}}
	}
	// A clock that becomes slower: b takes half of a's time throughout.
	a, b := of("a", 9, 2, 4, 16), of("b", 9, 1, 2, 8)
	if err := takeTurns(t.Context(), []*timed{a, b}, 3, io.Discard, ""); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "abbaabba" {
		t.Errorf("order %s", got)
	}
	if x := overTurns(b.wall, a.wall); x != 0.5 {
		t.Errorf("b takes %g of a's time", x)
	}
	if x := overTurns(b.cpu, a.cpu); x != 0 {
		t.Errorf("b takes %g of a time that is not known", x)
	}
}

func TestBenchRefuses(t *testing.T) {
	for _, c := range []struct {
		code  int
		parts []string
		args  string
	}{
		{2, []string{"--transpose", "tt"}, "matmul --transpose tt"},
		{2, []string{"0 x 1024 x 1024", "1 or more"}, "matmul --m 0 --device host"},
		{2, []string{"--seconds 0"}, "matmul --seconds 0 --device host"},
		{2, []string{"--variant 9x9", "16x16_8x1_by4"}, "matmul --variant 9x9 --no-tune --device host"},
		{2, []string{"--variant", "--all"}, "matmul --variant 9x9 --all"},
		{2, []string{"--heads 0"}, "attention --heads 0 --device host"},
		{1, []string{"3 query heads", "2 key-value"}, "attention --heads 3 --kv-heads 2 --device host"},
		{1, []string{"head size 3 is odd"}, "attention --head-size 3 --device host"},
		{2, []string{"--steps 0"}, "step --model tiny --steps 0"},
		{2, []string{"--stages", "vanilla"}, "step --model tiny --method vanilla --stages 2"},
		{1, []string{"host", "steplm devices"}, "all --device host"},
		{2, []string{"--skip"}, "all --skip nothing"},
	} {
		clitest.Fail(t, c.code, c.parts, append([]string{"bench"}, strings.Fields(c.args)...)...)
	}
}

// The set's runs can be made, whether or not there is time to measure them.
func TestBenchSet(t *testing.T) {
	for _, spec := range []session.Spec{benchSpec("60m", baseline, 2), benchSpec("130m", "step", 1), readmeSpec()} {
		r, beside, err := stepRecipes(spec)
		if err != nil || (beside == nil) != (r.Method == baseline) {
			t.Errorf("%+v: %v", spec.Model, err)
		}
	}
	if len(clitest.Devices(t)) == 1 {
		t.Skip("the rest measures an adapter")
	}
	var set struct {
		Claims []claim `json:"claims"`
	}
	benched(t, &set, "all", "--skip", "matmul,shapes,step,stages,readme", "--steps", "1", "--no-tune", "--device",
		clitest.Devices(t)[1])
	if len(set.Claims) != 2 || !(set.Claims[0].Time > 0) || set.Claims[0].Asked != "<= 4.5" {
		t.Errorf("%+v", set)
	}
}
