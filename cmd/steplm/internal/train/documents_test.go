package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// A run whose attention stays inside documents says so, goes on bit for bit where it was interrupted, has the bits
// that recomputing gives, and is measured as it trained; other words, and another mask on the way, are refused.
func TestPretrainInsideDocuments(t *testing.T) {
	m := clitest.NewMaterial(t)
	for _, device := range clitest.StoryDevices(t) {
		args := func(out string, more ...string) []string {
			return m.Pretrain(out, append([]string{"--steps", "8", "--seq-len", "64", "--grad-accum", "2",
				"--device", device, "--no-tune", "--precision", "f32", "--eval-tokens", "0"}, more...)...)
		}
		masked := []string{"--mask", "documents", "--positions", "restart"}
		run, again, whole, plain := clitest.NewRun(t), clitest.NewRun(t), clitest.NewRun(t), clitest.NewRun(t)
		_, stderr, code := clitest.StopAt(t, clitest.CallOf(t.Context(), append(args(run, masked...), "--json")...),
			os.Interrupt, func(line string) bool {
				l := clitest.ParseMetrics(t, []byte(line))[0]
				return l.Step() && l.Text("step") == "5"
			})
		clitest.CheckFailure(t, "pretrain, interrupted", stderr, code, 130, "saved", "--resume")
		clitest.Fail(t, 1, []string{"--mask", "none", "was begun with", "documents"},
			"pretrain", "--resume", run, "--mask", "none")
		clitest.Succeed(t, "", "pretrain", "--resume", run, "--device", device, "--no-tune")
		out := clitest.Succeed(t, "", args(again, append(masked, "--recompute", "block")...)...)
		words := "attention stays inside documents, in each of which positions restart"
		if !strings.Contains(out, words) {
			t.Errorf("no %q in what the run says of itself: %s", words, out)
		}
		clitest.Succeed(t, "", args(whole, masked...)...)
		clitest.Succeed(t, "", args(plain)...)
		want := clitest.LossLines(t, whole)
		if got := clitest.LossLines(t, run); got != want {
			t.Errorf("device %q: interrupted\n%swhole\n%s", device, got, want)
		}
		if got := clitest.LossLines(t, again); got != want {
			t.Errorf("device %q: recomputed\n%skept\n%s", device, got, want)
		}
		if clitest.LossLines(t, plain) == want {
			t.Errorf("device %q: the mask changes nothing", device)
		}
		measure := func(more ...string) float64 {
			p := clitest.Perplexity(t, append([]string{"--model", whole, "--data", m.Validation, "--device", device},
				more...)...)
			mask, _ := p.Results[0].Detail["mask"].(string)
			if none := strings.Contains(strings.Join(more, " "), "none"); none != (mask == "") {
				t.Errorf("device %q: %q: the protocol has mask %q", device, more, mask)
			}
			return p.Results[0].Perplexity
		}
		trained := measure()
		if x := measure("--mask", "documents", "--positions", "restart"); x != trained {
			t.Errorf("device %q: as it trained the run measures %g, by flags %g", device, trained, x)
		}
		if measure("--mask", "none", "--positions", "continue") == trained {
			t.Errorf("device %q: the mask does not change what is measured", device)
		}
	}
	clitest.Refused(t, m, 2, []string{"--mask", "none", "documents"}, "--mask", "window")
	clitest.Refused(t, m, 2, []string{"--positions", "continue", "restart"}, "--positions", "packed")
}

// What was written before there was a mask has none: a spec and a recipe without these fields go on.
func TestRunsFromBeforeTheMaskGoOn(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	args := m.Pretrain(run, "--steps", "8", "--schedule", "constant", "--device", "host", "--eval-tokens", "0",
		"--method", "vanilla")
	clitest.Succeed(t, "", args...)
	if text := clitest.Contents(t, run, "recipe.json"); strings.Contains(text, `"mask"`) ||
		strings.Contains(text, `"positions"`) {
		t.Errorf("a recipe without a mask names it, so that its hash is another: %s", text)
	}
	path := filepath.Join(run, "spec.json")
	var spec map[string]map[string]any
	if err := json.Unmarshal([]byte(clitest.Contents(t, path)), &spec); err != nil {
		t.Fatal(err)
	}
	if spec["model"]["mask"] != "none" || spec["model"]["positions"] != "continue" {
		t.Errorf("the spec says %v of documents", spec["model"])
	}
	delete(spec["model"], "mask")
	delete(spec["model"], "positions")
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	clitest.Succeed(t, "", "pretrain", "--resume", run, "--steps", "9", "--device", "host")
}
