package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// limited is a run whose activations outweigh its states.
func limited() recipe.Options {
	o := recipetest.Tiny()
	o.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: recipe.GradientsAuto}
	o.Recompute, o.SplitBy = recipe.RecomputeAuto, recipe.SplitReal
	o.Model.Vocab, o.Model.MaxSeqLen = 3000, 64
	o.Batch, o.GradAccum = model.Size{Batch: 8, SeqLen: 64}, 2
	return o
}

func peakOf(t *testing.T, method string, o recipe.Options) int64 {
	t.Helper()
	r := recipetest.Must(t, method, o)
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	peak := int64(0)
	for _, l := range layouts {
		peak = max(peak, gpu.Plan(gpu.OwnSpecs(), r.Specs(l)).Total())
	}
	return peak
}

// Whatever limit is met is kept to, with the same tokens per step; a lower one
// never makes a step cheaper.
func TestFitKeepsTheLimitAndTheBatch(t *testing.T) {
	for _, method := range []string{"step", "vanilla"} {
		o := limited()
		all, err := arrangements(method, o)
		if err != nil {
			t.Fatal(err)
		}
		least, most := smallest(all).peak, int64(0)
		for _, a := range all {
			most = max(most, a.peak)
		}
		if most < least*3/2 {
			t.Fatalf("%d to %d bytes: nothing to choose", least, most)
		}
		before := 0.0
		var chosen []string
		for limit := most; limit >= least; limit -= (most - least) / 16 {
			fit, f, err := Fit(method, o, limit, 0)
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", method, limit, err)
			}
			if peak := peakOf(t, method, fit); peak > limit || peak != f.PeakBytes {
				t.Errorf("%s, %d bytes: the run takes %d, %d are stated", method, limit, peak, f.PeakBytes)
			}
			if n := fit.Batch.Batch * fit.GradAccum; n != 16 {
				t.Errorf("%s, %d bytes: %d windows per step, want 16", method, limit, n)
			}
			a, err := arrange(method, fit)
			if err != nil {
				t.Fatal(err)
			}
			if a.cost < before {
				t.Errorf("%s: less memory is cheaper: %g after %g", method, a.cost, before)
			}
			before = a.cost
			if s := f.String(); !slices.Contains(chosen, s[:strings.Index(s, ":")]) {
				chosen = append(chosen, s[:strings.Index(s, ":")])
			}
		}
		if len(chosen) < 4 {
			t.Errorf("%s: only %d arrangements were chosen: %q", method, len(chosen), chosen)
		}
		if _, f, err := Fit(method, o, least, 0); err != nil || !f.Batch.Recompute ||
			!strings.Contains(f.String(), "blocks recomputed") {
			t.Errorf("%s: with the least memory, %v (%v)", method, f, err)
		}
		if _, f, err := Fit(method, o, most, 0); err != nil || f.Batch.Recompute || f.Fitting != f.Tried {
			t.Errorf("%s: with room for all, %+v (%v)", method, f, err)
		}
	}
}

// An impossible limit says by how much, and what would fit.
func TestFitSaysWhatWouldFit(t *testing.T) {
	o := limited()
	all, err := arrangements("step", o)
	if err != nil {
		t.Fatal(err)
	}
	least := smallest(all).peak
	_, _, err = Fit("step", o, least-1, 0)
	recipetest.WantError(t, err, "does not fit", "smallest arrangement", "1 B more")
	if fits, _ := fittings(t, err); !slices.Contains(fits, "[use states flash8]") {
		t.Errorf("it would fit with %v, want flash8 among them", fits)
	}
	_, _, err = Fit("step", o, least+999, 1000)
	recipetest.WantError(t, err, "does not fit")
	_, _, err = Fit("step", o, 1000, 0)
	fits, not := fittings(t, err)
	for _, want := range []string{"[use gradients bf16]", "[use stages 3]", "[use seq_len 32]"} {
		if len(fits) != 0 || !slices.Contains(not, want) {
			t.Errorf("%v fit and %v do not, want %s among those", fits, not, want)
		}
	}
	if slices.Contains(not, "[use frozen int8]") {
		t.Errorf("%v are said to help: int8 makes nothing of the largest stage, the first, smaller", not)
	}
	given := o
	given.Split, given.SplitBy = []int{3, 3}, ""
	_, _, err = Fit("step", given, 1000, 0)
	if _, not := fittings(t, err); !slices.Contains(not, "[use stages 3][use split real]") {
		t.Errorf("tried were %v, want three stages by the real split", not)
	}
	o.Stages = 9
	if _, _, err := Fit("step", o, 1<<40, 0); err == nil || !strings.Contains(err.Error(), "9 stages") {
		t.Errorf("a run that no memory helps: %v", err)
	}
}

// fittings are the changes that an error says were tried: with which it would fit, and not. Each
// is said to take what its smallest arrangement does.
func fittings(t *testing.T, err error) (fits, not []string) {
	t.Helper()
	var u *Unfit
	if !errors.As(err, &u) {
		t.Fatalf("error %v says nothing of changes", err)
	}
	for _, c := range u.Changes {
		if text := recipetest.WayText(c.Way); c.Bytes <= u.Limit {
			fits = append(fits, text)
		} else {
			not = append(not, text)
		}
	}
	return fits, not
}

// The real optimum is no worse than any other split, and than the paper's.
func TestRealSplitIsTheSmallest(t *testing.T) {
	o := recipetest.Tiny()
	o.Model.Layers, o.Stages, o.SplitBy = 9, 3, recipe.SplitReal
	o.Storage = model.Storage{Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16}
	o.Steps = 90
	best := peakOf(t, "step", o)
	lower := 0
	for a := 1; a <= 7; a++ {
		for b := 1; a+b <= 8; b++ {
			o.Split = []int{a, b, 9 - a - b}
			switch peak := peakOf(t, "step", o); {
			case peak < best:
				t.Errorf("split %v takes %d bytes, the optimum %d", o.Split, peak, best)
			case peak > best:
				lower++
			}
		}
	}
	if lower == 0 {
		t.Error("all splits are equal: this shows nothing")
	}
}

// Batches that cannot be shared are refused at once, with flags and numbers; a
// batch that is too large for one step at a time is shared.
func TestFitRefusesBatches(t *testing.T) {
	for _, c := range []struct {
		batch, accum int
		release      bool
		want         []string
	}{
		{-2, -2, false, []string{"gradient accumulation -2"}},
		{-2, 2, false, []string{"2 micro-batches of -2 windows"}},
		{1 << 40, 1 << 40, false, []string{"windows", "1 to 1073741824"}},
		{1 << 20, 2, true, []string{"2097152 windows of 64 tokens", "[lower batch_size]", "[lower grad_accum]",
			"[leave out release]"}},
	} {
		o := limited()
		o.Batch.Batch, o.GradAccum, o.Storage.Release = c.batch, c.accum, c.release
		_, _, err := Fit("step", o, 1<<40, 0)
		recipetest.WantError(t, err, c.want...)
	}
	o := limited()
	o.Batch.Batch, o.GradAccum, o.Batch.HeadRows, o.Recompute = 1<<19, 1, 8, recipe.RecomputeNone
	if fit, _, err := Fit("step", o, 1<<50, 0); err != nil || fit.GradAccum*fit.Batch.Batch != 1<<19 ||
		fit.GradAccum < 2 {
		t.Errorf("%+v, %v", fit.Batch, err)
	}
}

// More rows of logits than there are take no more memory than all.
func TestHeadRowsAreAtMostAll(t *testing.T) {
	o := limited()
	o.Batch.HeadRows = o.Batch.Rows()
	all := peakOf(t, "step", o)
	o.Batch.HeadRows *= 1000
	if peak := peakOf(t, "step", o); peak != all {
		t.Errorf("%d bytes, %d with as many as there are", peak, all)
	}
	if _, f, err := Fit("step", o, 1<<50, 0); err != nil || f.Batch.HeadRows != f.Batch.Rows() {
		t.Errorf("%+v, %v", f.Batch, err)
	}
}

// Sizes are said in the units that a limit was given in.
func TestUnits(t *testing.T) {
	for _, c := range []struct {
		limit, n int64
		want     string
	}{{6e9, 5764607523, "5.76 GB"}, {6 << 30, 6 << 30, "6.0 GiB"}, {5e8, 999, "999 B"}, {500 << 20, 1 << 20, "1.0 MiB"},
		{1234567, 2048, "2.0 KiB"}} {
		if got := Units(c.limit)(c.n); got != c.want {
			t.Errorf("%d bytes of a limit of %d are %q, want %q", c.n, c.limit, got, c.want)
		}
	}
}

// Changes that fit together are said, and take what they are said to take.
func TestFitTogether(t *testing.T) {
	o := limited()
	all, err := arrangements("step", o)
	if err != nil {
		t.Fatal(err)
	}
	limit := smallest(all).peak
	for _, c := range changes("step", o) {
		if n := leastOf(c, 0); n > 0 {
			limit = min(limit, n)
		}
	}
	best := together("step", o, limit-1, 0)
	if len(best.Way) < 2 || best.Bytes >= limit {
		t.Fatalf("together %+v, want below %d by more than one change", best, limit)
	}
	if least := together("step", o, 1, 0); least.Bytes > best.Bytes || least.Bytes <= 1 {
		t.Errorf("the least is %+v, less than %+v was expected", least, best)
	}
}
