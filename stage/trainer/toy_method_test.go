package trainer

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/trainer/trainertest"
)

// Each restart leaves the logits, nine tenths of the adapters' moments and all others as they
// were, and holds what is planned; and none of its verbs does nothing.
func TestToyMethodRestarts(t *testing.T) {
	for name, storage := range map[string]model.Storage{
		"f32": model.FullStorage, "split": {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16},
		"flash8": {Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16},
	} {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				o := recipetest.Restarts(t)
				o.Storage = storage
				r := recipetest.Must(t, "restarts", o)
				batches := func() *trainertest.Listed { return trainertest.Random(4, o.Batch, o.Model.Vocab, 3) }
				tr := newTrainer(t, d, r, batches())
				takeTo(t, tr, 10)
				before, counted := contents(t, tr), numbers(tr)
				was := logits(t, tr, batches().Batches[0])
				most := d.Ledger().Total()
				e := advance(t, tr)
				if off := d.Ledger().Difference(gpu.Plan(d.Own(), r.Specs(tr.layout()))); off != "" ||
					e.PeakBytes > most {
					t.Errorf("peak %d of %d bytes; %s", e.PeakBytes, most, off)
				}
				tolerance := 1e-5
				if storage.Precision == model.BF16 {
					tolerance = 0.05
				}
				if gap := largestGap(logits(t, tr, batches().Batches[0]), was); !(gap <= tolerance) {
					t.Errorf("logits moved by %g", gap)
				}
				if numbers(tr) != counted {
					t.Errorf("the optimizer counted %s and counts %s", counted, numbers(tr))
				}
				after, changed := contents(t, tr), 0
				for _, x := range planes(tr) {
					key := x.Class.String() + " " + x.Name
					same := slices.Equal(before[key], after[key])
					adapters := strings.Contains(x.Name, ".lora_")
					if !adapters && !same || adapters && strings.HasSuffix(x.Name, ".scales") && !same {
						t.Errorf("%s changed", x.Name)
					}
					if !same {
						changed++
					}
				}
				if changed == 0 {
					t.Error("no moment was reset")
				}
				takeTo(t, tr, r.Steps())
				end := contents(t, tr)
				tr.Free()
				for what, edit := range map[string]func(*recipe.Transition){
					"without merging and wrapping": func(t *recipe.Transition) { t.Verbs = t.Verbs[2:] },
					"without a reset": func(t *recipe.Transition) {
						t.Verbs = slices.Delete(
							slices.Clone(t.Verbs), 2, 3)
					},
					"with a whole reset": func(t *recipe.Transition) {
						t.Verbs = slices.Clone(
							t.Verbs)
						t.Verbs[2].Keep = 0
					},
					"without a warm-up": func(t *recipe.Transition) { t.Verbs = t.Verbs[:3] },
				} {
					other := r
					other.Stages = slices.Clone(r.Stages)
					edit(&other.Stages[2].Entry)
					tr := newTrainer(t, d, other, batches())
					takeTo(t, tr, r.Steps())
					if maps.EqualFunc(end, contents(t, tr), slices.Equal) {
						t.Errorf("%s it is the same run: the verb does nothing", what)
					}
					tr.Free()
				}
			})
		})
	}
}

// A growth that resets nothing keeps the moments of what goes on training, bit for bit; those
// of new parameters begin with a bias correction of their own.
func TestGrowthKeepsMomentsWithoutReset(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		o := recipetest.Tiny()
		r := recipetest.Must(t, "step", o)
		r.Stages[1].Entry.Verbs = slices.DeleteFunc(slices.Clone(r.Stages[1].Entry.Verbs),
			func(v recipe.Verb) bool { return v.Do == recipe.Reset })
		tr := newTrainer(t, d, r, trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
		trainStage(t, tr)
		before, done := contents(t, tr), tr.step
		advance(t, tr)
		var n struct {
			Updates int
			Began   map[string]int
		}
		if err := json.Unmarshal([]byte(numbers(tr)), &n); err != nil || n.Updates != done {
			t.Fatalf("%s (%v), want %d updates", numbers(tr), err, done)
		}
		after, old, fresh := contents(t, tr), 0, 0
		for _, p := range tr.Model.Params() {
			if !p.Trainable() {
				continue
			}
			key := "optimizer " + p.Name + ".m"
			words := after[key]
			if was, ok := before[key]; ok {
				old++
				if !slices.Equal(was, words) || n.Began[p.Name] != 0 {
					t.Errorf("%s: its moments changed, or its count: %d", p.Name, n.Began[p.Name])
				}
				continue
			}
			fresh++
			if slices.ContainsFunc(words, func(w uint32) bool { return w != 0 }) || n.Began[p.Name] != done {
				t.Errorf("%s is new: its moments are not 0, or it began at %d", p.Name, n.Began[p.Name])
			}
		}
		// Embedding, head, last norm and the norms of 4 old blocks; 2 new blocks, 28 adapters.
		if old != 3+2*4 || fresh != 2*9+2*7*4 {
			t.Errorf("%d old and %d new parameters train", old, fresh)
		}
		takeTo(t, tr, r.Steps())
		want := contents(t, tr)
		tr.Free()

		tr = newTrainer(t, d, r, trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
		takeTo(t, tr, done+2)
		dir := t.TempDir()
		if err := tr.Save(dir, "here", kept(tr)); err != nil {
			t.Fatal(err)
		}
		tr.Free()
		tr, err := load(d, r, trainertest.Random(3, o.Batch, o.Model.Vocab, 3), filepath.Join(dir, "here"))
		if err != nil {
			t.Fatal(err)
		}
		takeTo(t, tr, r.Steps())
		if !maps.EqualFunc(want, contents(t, tr), slices.Equal) {
			t.Error("resumed, it is another run")
		}
		tr.Free()
	})
}

// What cannot be reset in part says so.
func TestResetRefuses(t *testing.T) {
	o := recipetest.Restarts(t)
	o.Optimizer = toyOptions(t).Optimizer
	tr := newTrainer(t, gpu.NewHost(), recipetest.Must(t, "restarts", o), trainertest.Random(1, o.Batch, o.Model.Vocab,
		3))
	takeTo(t, tr, 10)
	_, err := tr.Advance()
	recipetest.WantError(t, err, "transition", "lora_a", "keeping 0.9", "not in part")
	tr.Free()
}
