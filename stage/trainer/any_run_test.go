package trainer

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/trainer/trainertest"
)

// randomRun is any STEP run of a few steps: storages, splits, shapes, what trains.
func randomRun(g *rand.Rand) recipe.Options {
	pick := func(n int) int { return g.IntN(n) }
	coin := func() bool { return g.IntN(2) == 0 }
	o := recipetest.Tiny()
	o.Model.Heads = 1 + pick(3)
	o.Model.KVHeads = 1
	o.Model.Hidden = o.Model.Heads * 2 * (1 + pick(6))
	o.Model.FFN, o.Model.Vocab, o.Model.Tied = 3+pick(40), 9+pick(60), coin()
	o.Batch = model.Size{Batch: 1 + pick(2), SeqLen: 1 + pick(8), HeadRows: pick(4)}
	states := model.StateNames()[pick(4)]
	o.Storage = model.Storage{Precision: model.BF16, States: states, Gradients: []string{model.F32,
		model.BF16}[pick(2)], Release: coin()}
	if states == model.FullStates {
		o.Storage.Precision, o.Storage.Gradients = model.F32, model.F32
	}
	if coin() {
		o.Storage.Frozen = model.Int8
	}
	o.Recompute = []string{recipe.RecomputeNone, recipe.RecomputeBlock}[pick(2)]
	if !o.Storage.Release {
		o.GradAccum = 1 + pick(2)
	}
	o.KeepLoRA = coin()
	o.TrainEmbedding, o.TrainHead, o.TrainNorms = coin(), coin(), coin()
	splits := [][]int{{1, 5}, {5, 1}, {3, 3}, {2, 2, 2}, {4, 1, 1}, {1, 1, 4}, {1, 4, 1}, {1, 1}, {1, 1, 1}}
	o.Split = splits[pick(len(splits))]
	o.Model.Layers = 0
	for _, n := range o.Split {
		o.Model.Layers += n
	}
	o.Stages, o.Steps = len(o.Split), 9
	o.LoRA.Rank = 1 + pick(min(o.Model.Hidden/o.Model.Heads, o.Model.FFN))
	o.LoRA.Targets = nil
	for _, name := range model.LinearNames() {
		if coin() {
			o.LoRA.Targets = append(o.LoRA.Targets, name)
		}
	}
	if o.LoRA.Targets == nil {
		o.LoRA.Targets = []string{"wq"}
	}
	return o
}

// anyRuns is how many runs are drawn: where all tests are wanted so many, else a quarter of them.
func anyRuns(all uint64) uint64 {
	if gputest.All() {
		return all
	}
	return all / 4
}

// Of any run, every stage holds what its plan says, and no transition more than the
// larger of its two.
func TestAnyRunHoldsItsPlan(t *testing.T) {
	for seed := range anyRuns(80) {
		o := randomRun(rand.New(rand.NewPCG(seed, 1)))
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			d := gpu.NewHost()
			r := recipetest.Must(t, "step", o)
			tr := newTrainer(t, d, r, trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
			var plans []*gpu.Ledger
			for i := range r.Stages {
				plans = append(plans, gpu.Plan(r.Specs(tr.layouts[i])))
				if i > 0 {
					most := max(plans[i-1].Total(), plans[i].Total())
					if e := advance(t, tr); e.PeakBytes > most {
						t.Errorf("growth to stage %d peaks at %d bytes, its two stages at %d: %+v", i+1, e.PeakBytes,
							most, o)
					}
				}
				if diff := cmp.Diff(plans[i].ByClass(), d.Ledger().ByClass()); diff != "" {
					t.Errorf("stage %d (-plan +ledger):\n%s", i+1, diff)
				}
				for _, m := range trainStage(t, tr) {
					if m.PeakBytes != plans[i].Total() {
						t.Errorf("step %d peaks at %d bytes, stage %d is planned with %d", m.Step, m.PeakBytes, i+1,
							plans[i].Total())
					}
				}
			}
		})
	}
}

// Also where a transition's room is the most beside what is kept: the smallest
// states, one row of activations, a layer in each stage.
func TestTransitionPeakOfTheLeanest(t *testing.T) {
	o := recipetest.Tiny()
	o.Model.Heads, o.Model.Hidden, o.Model.FFN, o.Model.Vocab, o.Model.Layers = 1, 96, 197, 9, 3
	o.Storage = model.Storage{Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16, Release: true,
		Frozen: model.Int8}
	o.Recompute, o.Batch, o.KeepLoRA = recipe.RecomputeBlock, model.Size{Batch: 1, SeqLen: 1}, true
	o.TrainEmbedding, o.TrainHead, o.TrainNorms = false, false, false
	o.LoRA = model.LoRALayout{Rank: 1, Alpha: 1, Targets: []string{"wk"}}
	o.Stages, o.Split, o.Steps = 3, []int{1, 1, 1}, 9
	d := gpu.NewHost()
	tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(1, o.Batch, o.Model.Vocab, 3))
	for range o.Split[1:] {
		before := d.Ledger().Total()
		if e, most := advance(t, tr), max(before, d.Ledger().Total()); e.PeakBytes > most {
			t.Errorf("growth to stage %d peaks at %d bytes, its two stages at %d", e.Stage, e.PeakBytes, most)
		}
	}
}

// contents are the words of everything that a checkpoint holds, by name.
func contents(t *testing.T, tr *Trainer) map[string][]uint32 {
	t.Helper()
	all := map[string][]uint32{}
	for _, x := range append(weights(tr), planes(tr)...) {
		words := make([]uint32, x.Words())
		if err := tr.dev.Read(x, 0, words); err != nil {
			t.Fatal(err)
		}
		all[x.Class.String()+" "+x.Name] = words
	}
	return all
}

// takeTo trains, growing where that is due, until so many steps are done.
func takeTo(t *testing.T, tr *Trainer, step int) (losses []float64) {
	t.Helper()
	for tr.step < step {
		if tr.Due() {
			advance(t, tr)
		}
		losses = append(losses, takeSteps(t, tr, 1)[0].Loss)
	}
	return losses
}

// Any run goes on bit for bit from a checkpoint at any step, and is the same where
// its blocks are recomputed.
func TestAnyRunResumes(t *testing.T) {
	for seed := range anyRuns(60) {
		g := rand.New(rand.NewPCG(seed, 3))
		o := randomRun(g)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			d := gpu.NewHost()
			begin := func(o recipe.Options) *Trainer {
				return newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(5, o.Batch, o.Model.Vocab, 3))
			}
			same := func(what string, tr *Trainer, want map[string][]uint32) {
				t.Helper()
				if got := contents(t, tr); !maps.EqualFunc(got, want, slices.Equal) {
					t.Errorf("%s, it is another run: %+v", what, o)
				}
			}
			whole := begin(o)
			losses := takeTo(t, whole, whole.Recipe.Steps())
			want := contents(t, whole)
			whole.Free()

			tr := begin(o)
			takeTo(t, tr, 1+g.IntN(tr.Recipe.Steps()-1))
			if tr.Due() && g.IntN(2) == 0 {
				advance(t, tr)
			}
			dir, saved := t.TempDir(), contents(t, tr)
			if err := tr.Save(dir, "here", kept(tr)); err != nil {
				t.Fatal(err)
			}
			tr.Free()
			tr, err := load(d, tr.Recipe, trainertest.Random(5, o.Batch, o.Model.Vocab, 3),
				filepath.Join(dir, "here"))
			if err != nil {
				t.Fatal(err)
			}
			same(fmt.Sprintf("loaded at step %d", tr.step), tr, saved)
			takeTo(t, tr, tr.Recipe.Steps())
			same("resumed", tr, want)
			tr.Free()

			other := o
			other.Recompute = map[string]string{recipe.RecomputeNone: recipe.RecomputeBlock,
				recipe.RecomputeBlock: recipe.RecomputeNone}[o.Recompute]
			tr = begin(other)
			if got := takeTo(t, tr, tr.Recipe.Steps()); !slices.Equal(got, losses) {
				t.Errorf("losses %v, recomputation %s: %v", losses, other.Recompute, got)
			}
			same("recomputation "+other.Recompute, tr, want)
			tr.Free()
			if n := d.Ledger().Total(); n != 0 {
				t.Errorf("%d bytes are left", n)
			}
		})
	}
}
