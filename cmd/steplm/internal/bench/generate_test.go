package bench

import (
	"math"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model"
)

// What is measured goes together, and bytes are those of the model.
func TestBenchGenerate(t *testing.T) {
	for _, dev := range clitest.Devices(t) {
		var b generateBench
		benched(t, &b, "generate", "--model", "tiny", "--batch", "1,3", "--context", "9", "--chunk", "5",
			"--steps", "2", "--no-tune", "--device", dev)
		c, err := model.Preset("tiny")
		if err != nil {
			t.Fatal(err)
		}
		if b.CacheByte != int64(2*2*c.KVDim()*c.Layers) || b.Bytes < 2*c.TotalParams() || !(b.Bandwidth > 0) ||
			b.Precision != model.BF16 || len(b.Decode) != 2 || b.Prefill.Rows != 5 || b.Decode[1].Rows != 3 {
			t.Errorf("%s: %+v", dev, b)
		}
		for i, x := range append(b.Decode, b.Prefill) {
			tokens := []float64{9, 27, 5}[i]
			bytes := 2*float64(c.TotalParams()) + tokens*float64(b.CacheByte)
			if !(x.Seconds > 0) || math.Abs(x.Tokens*x.Seconds/float64(x.Rows)-1) > 1e-9 ||
				math.Abs(x.GBPerSecond*x.Seconds*1e9/bytes-1) > 1e-2 ||
				math.Abs(x.Share*b.Bandwidth/x.GBPerSecond-1) > 1e-9 {
				t.Errorf("%s: %d rows: %+v, want %g bytes", dev, x.Rows, x, bytes)
			}
		}
	}
	out := clitest.Succeed(t, "", "bench", "generate", "--model", "tiny", "--batch", "1", "--steps", "1",
		"--context", "3", "--chunk", "2", "--no-tune", "--device", "host", "--tune-cache", t.TempDir())
	if !strings.Contains(out, "a prompt is read") || !strings.Contains(out, "tokens are added to 1 text ") {
		t.Errorf("%s", out)
	}
	for _, args := range [][]string{{"--model", "nine"}, {"--batch", "0"}, {"--context", "999"}} {
		clitest.Fail(t, 2, []string{args[0]}, append([]string{"bench", "generate", "--model", "tiny", "--device",
			"host"}, args...)...)
	}
}
