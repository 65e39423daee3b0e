package train

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/model"
	"steplm/stage/plan"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// The table has the stages that this process ran, by their mean step, and MFU where
// the device's best rate is known.
func TestSpeedTable(t *testing.T) {
	o := recipe.Options{
		Model: model.Config{Hidden: 16, FFN: 24, Layers: 6, Heads: 2, KVHeads: 1, Vocab: 32, MaxSeqLen: 16,
			NormEps: 1e-5, RopeTheta: 10000},
		Storage: model.FullStorage, Recompute: recipe.RecomputeNone, SplitBy: recipe.SplitPaper,
		Batch: model.Size{Batch: 2, SeqLen: 8}, GradAccum: 3,
		Stages: 2, LoRA: model.LoRALayout{Rank: 2, Alpha: 2, Targets: model.LinearNames()},
	}
	r, err := plan.ShapeRecipe("step", o)
	if err != nil {
		t.Fatal(err)
	}
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	table := func(peak float64, steps ...record.Metrics) (lines []string) {
		res := &result{recipe: r, peak: peak, usual: []float64{1, 7000}}
		for _, m := range steps {
			res.step(m)
		}
		var out strings.Builder
		writeSpeed(&out, res)
		for line := range strings.Lines(strings.TrimPrefix(out.String(), "\nSpeed\n\n")) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return lines
	}
	// 3 x 16 tokens a step: half a second and a quarter.
	flops := 3 * layouts[1].FLOPs(r.Batch).Total()
	first := record.Metrics{Stage: 2, Tokens: 48, TokensPerSecond: 96, FLOPsPerSecond: flops / 0.5}
	second := record.Metrics{Stage: 2, Tokens: 96, TokensPerSecond: 192, FLOPsPerSecond: flops / 0.25}
	header := "steps s/step tokens/s GFLOP/step GFLOP/s MFU"
	row := fmt.Sprintf("stage 2 2 0.375 128 %.3g %.3g", flops/1e9, flops/0.375/1e9)
	if diff := cmp.Diff([]string{header, row + " -"}, table(0, first, second)); diff != "" {
		t.Errorf("no peak (-want +got):\n%s", diff)
	}
	got := table(4*flops/0.375, first, second)
	if len(got) != 3 || got[1] != row+" 25.0 %" || !strings.HasPrefix(got[2], "MFU is of ") {
		t.Errorf("a peak of four times that: %q", got)
	}
	// Operations that depend on the data: a step that does not say its own has as many as others of its stage.
	second.FLOPs = 5000
	if got := table(0, first, second); len(got) != 3 || !strings.HasPrefix(got[2], "inside documents: 1.2e+04 ") {
		t.Errorf("of steps' own operations: %q", got)
	}
	if got := table(1); len(got) != 0 {
		t.Errorf("no steps: %q", got)
	}
}
