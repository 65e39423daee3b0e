package bench

import (
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model/optim"
	"steplm/stage/recipe"
)

// Every method and every optimizer has its rows, each stage once; vanilla's own ratio is 1, and a projection's refresh
// falls to the steps in equal shares.
func TestBenchMethods(t *testing.T) {
	args := append([]string{"methods"}, smallSteps[1:]...)
	var b methodsBench
	benched(t, &b, append(slices.Clone(args), "--device", "host")...)
	seen := map[string]int{}
	for _, r := range b.Rows {
		seen[r.Method]++
		seen[r.Method+" "+r.Optimizer]++
		if !(r.Seconds > 0) || !(r.Ratio > 0) || r.Bytes == 0 || r.Layers < 1 {
			t.Errorf("%+v", r)
		}
		if refreshed := r.Optimizer == "galore" || r.Optimizer == "fira"; refreshed != (r.Refresh > 0) ||
			refreshed != (r.Every == 200) {
			t.Errorf("%+v", r)
		}
		want := r.CPURatio // The host computes in the process.
		if r.Refresh > 0 {
			want += (r.Refresh - want) / 200
		}
		if math.Abs(r.Amortized-want) > 1e-12 {
			t.Errorf("%+v: amortized %g, want %g", r, r.Amortized, want)
		}
	}
	if first := b.Rows[0]; first.Method != baseline || first.Optimizer != optim.Default || first.Ratio != 1 {
		t.Errorf("the first row is %+v", first)
	}
	for _, name := range optim.Names() {
		if seen[baseline+" "+name] != 1 {
			t.Errorf("%d rows of %s", seen[baseline+" "+name], name)
		}
	}
	for _, name := range recipe.MethodNames() {
		if want := map[string]int{"step": 2, "relora": 2, "lora": 1, "stack": 2, baseline: len(optim.Names()),
			"galore": 0}[name]; seen[name] != want { // galore is vanilla by that optimizer
			t.Errorf("%d rows of method %s, want %d", seen[name], name, want)
		}
	}
	out := clitest.Succeed(t, "", append(append([]string{"bench"}, args...), "--device", "host", "--tune-cache",
		t.TempDir())...)
	for _, part := range []string{"of vanilla", "with a refresh", "amortized", "relora: 2", "apollo-mini"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in\n%s", part, out)
		}
	}
}
