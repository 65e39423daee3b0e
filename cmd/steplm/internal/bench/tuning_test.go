package bench

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/stage/session"
)

// Both ways train on the same examples: packed in fewer positions, of which what is no padding counts as tokens, and of
// these answers alone as scored.
func TestBenchTuning(t *testing.T) {
	var examples []map[string]string
	for i := range 12 {
		examples = append(examples, map[string]string{"instruction": "Count.", "output": strings.Repeat("one ", i%4+1)})
	}
	text, err := json.Marshal(examples)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"tuning", "--model", clitest.RandomModel(t, 290), "--data",
		clitest.WriteFile(t, "alpaca.json", string(text)), "--max-seq-len", "512", "--seq-len", "512", "--batch-size",
		"2", "--steps", "2", "--turns", "1", "--device", "host", "--tune-cache", t.TempDir()}
	var b tuningBench
	benched(t, &b, args...)
	if b.Examples != 12 || b.Window != 512 || b.Steps != 2 || b.Turns != 1 || len(b.Ways) != 2 || !(b.Ratio > 0) {
		t.Fatalf("%+v", b)
	}
	packed, padded := b.Ways[0], b.Ways[1]
	if packed.Batching != session.Packed || padded.Batching != session.Padded {
		t.Errorf("the ways are %s and %s", packed.Batching, padded.Batching)
	}
	for _, x := range b.Ways {
		// Of the one turn all rates have one time.
		if used := x.Tokens / x.Rows; math.Abs(used-(1-x.Padding)) > 1e-9 || !(x.Padding > 0) || !(x.Scored > 0) ||
			x.Scored > x.Tokens/4 || x.Bytes == 0 || math.Abs(x.Epoch*x.Tokens-float64(b.Epoch)) > 1e-6 {
			t.Errorf("%+v", x)
		}
	}
	// An answer has up to four words behind the prompt, which is always the same; padded, a window is as long as its
	// example in steps of 64.
	each := float64(b.Epoch) / 12
	if used := each / (math.Ceil(each/64) * 64); math.Abs(1-padded.Padding-used) > 0.05 {
		t.Errorf("padded, %.3f of the positions are padding, of %g tokens in each", padded.Padding, each)
	}
	if got, want := b.Ratio, packed.Tokens/padded.Tokens; math.Abs(got/want-1) > 1e-9 {
		t.Errorf("the ratio is %g, want %g", got, want)
	}
	out := clitest.Succeed(t, "", append([]string{"bench"}, args...)...)
	for _, part := range []string{"12 examples", "scored/s", "padding", "packed over padded", "1 x 2 windows"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in\n%s", part, out)
		}
	}
	clitest.Fail(t, 1, []string{"nowhere"}, append([]string{"bench"}, append(args, "--data", "nowhere")...)...)
}
