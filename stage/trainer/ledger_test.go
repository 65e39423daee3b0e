package trainer

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/generate"
	"steplm/stage/outer"
	"steplm/stage/plan"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/samples"
	"steplm/stage/trainer/trainertest"
)

// What a stage holds is what its plan says, by class, and nothing more at any
// moment of training or growing.
func TestLedgerIsThePlan(t *testing.T) {
	for name, change := range map[string]func(*recipe.Options){
		"merge":  func(*recipe.Options) {},
		"keep":   func(o *recipe.Options) { o.KeepLoRA = true },
		"tied":   func(o *recipe.Options) { o.Model.Tied = true },
		"frozen": func(o *recipe.Options) { o.TrainEmbedding, o.TrainHead, o.TrainNorms = false, false, false },
		"paper": func(o *recipe.Options) {
			o.Storage = model.Storage{Precision: "bf16", States: "paper", Gradients: "bf16"}
		},
		"split": func(o *recipe.Options) {
			o.Storage = model.Storage{Precision: "bf16", States: "split", Gradients: "f32"}
			o.KeepLoRA = true
		},
		"flash8, int8": func(o *recipe.Options) {
			o.Storage = model.Storage{Precision: "bf16", States: "flash8", Gradients: "bf16", Frozen: "int8"}
		},
		"released, int8, recomputed": func(o *recipe.Options) {
			o.Storage = model.Storage{Precision: "bf16", States: "split", Gradients: "bf16", Release: true,
				Frozen: "int8"}
			o.Recompute = recipe.RecomputeBlock
		},
		"released, tied":    func(o *recipe.Options) { o.Storage.Release, o.Model.Tied = true, true },
		"recomputed, heads": func(o *recipe.Options) { o.Recompute, o.Batch.HeadRows = recipe.RecomputeBlock, 3 },
		"few targets, large first stage": func(o *recipe.Options) {
			o.LoRA.Targets, o.Split = []string{"wq", "down"}, []int{4, 1, 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := recipetest.Tiny()
			o.Stages, o.Steps = 3, 9
			change(&o)
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) { checkLedger(t, d, o) })
		})
	}
}

func checkLedger(t *testing.T, d gpu.Device, o recipe.Options) {
	r := recipetest.Must(t, "step", o)
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	ledger := d.Ledger()
	ledger.ResetPeak()
	tr := newTrainer(t, d, r, trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
	for i, l := range layouts {
		plan := gpu.Plan(d.Own(), r.Specs(l))
		check := func(when string) {
			t.Helper()
			if diff := cmp.Diff(plan.ByClass(), ledger.ByClass()); diff != "" {
				t.Errorf("stage %d, %s (-plan +ledger):\n%s", i+1, when, diff)
			}
		}
		check("begun")
		for _, m := range trainStage(t, tr) {
			if diff := cmp.Diff(plan.ByClass(), m.Bytes); diff != "" {
				t.Errorf("step %d (-plan +metrics):\n%s", m.Step, diff)
			}
			if m.PeakBytes != plan.Total() {
				t.Errorf("step %d: peak of %d bytes, stage %d is planned with %d", m.Step, m.PeakBytes, i+1,
					plan.Total())
			}
		}
		heldLoss(t, tr, tr.batches.from.(*trainertest.Listed).Batches[0]) // evaluation borrows
		check("trained and evaluated")
		checkSamples(t, tr, ledger, l)
		check("heard")
		if ledger.Peak() != plan.Total() {
			t.Errorf("stage %d: peak of %d bytes, planned %d", i+1, ledger.Peak(), plan.Total())
		}
		if i+1 < len(layouts) {
			next := gpu.Plan(d.Own(), r.Specs(layouts[i+1]))
			if e := advance(t, tr); e.PeakBytes > max(plan.Total(), next.Total()) {
				t.Errorf("growth to stage %d: peak of %d bytes, the stages are planned with %d and %d", i+2,
					e.PeakBytes, plan.Total(), next.Total())
			}
		}
	}
	tr.Free()
	if n, own := ledger.Total(), gpu.Plan(d.Own()).Total(); n != own {
		t.Errorf("%d bytes are left after the trainer, the device's own are %d", n, own)
	}
}

// MakePlan needs no device and must nevertheless say what a GPU will hold.
func TestPlanIsWhatAGPUHolds(t *testing.T) {
	d := gputest.Adapter(t)
	o := recipetest.Tiny()
	o.Stages, o.Steps = 3, 9
	p, err := plan.Make(o)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
	for i, s := range p.Stages {
		if i > 0 {
			advance(t, tr)
		}
		m := trainStage(t, tr)[0]
		if diff := cmp.Diff(s.Bytes, m.Bytes); diff != "" || s.PeakBytes != m.PeakBytes {
			t.Errorf("stage %d: planned peak %d, measured %d (-plan +metrics):\n%s", i+1, s.PeakBytes, m.PeakBytes,
				diff)
		}
	}
	tr.Free()
	tr = newTrainer(t, d, recipetest.Must(t, "vanilla", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
	if diff := cmp.Diff(p.Methods[0].Stages[0].Bytes, takeSteps(t, tr, 1)[0].Bytes); diff != "" {
		t.Errorf("vanilla (-plan +metrics):\n%s", diff)
	}
}

// Growth frees before it takes: also where nothing but the old adapters stands
// in the way.
func TestTransitionPeaks(t *testing.T) {
	for _, split := range [][]int{{1, 5}, {5, 1}, {3, 3}, {2, 2, 2}, {4, 1, 1}, {1, 1, 4}} {
		for _, rank := range []int{1, 8} {
			t.Run(fmt.Sprint(split, rank), func(t *testing.T) {
				o := recipetest.Tiny()
				o.Stages, o.Split, o.Steps, o.LoRA.Rank = len(split), split, 9, rank
				o.Batch = model.Size{Batch: 1, SeqLen: 4}
				d := gpu.NewHost()
				tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
				for range split[1:] {
					before := d.Ledger().Total()
					trainStage(t, tr)
					e := advance(t, tr)
					if most := max(before, d.Ledger().Total()); e.PeakBytes > most {
						t.Errorf("growth to stage %d peaks at %d bytes, its two stages at %d", e.Stage, e.PeakBytes,
							most)
					}
				}
			})
		}
	}
}

// looked is a decoder that looks at a device's bytes while samples are there.
type looked struct {
	ledger *gpu.Ledger
	saw    map[string]int64
}

func (l *looked) Decode(ids []uint32) (string, error) {
	l.saw = l.ledger.ByClass()
	return strings.Repeat("x", len(ids)), nil
}

func (l *looked) VocabSize() int { return math.MaxInt32 }

// checkSamples draws samples in a stage: the device holds what is planned for them, cache and all, in the place of the
// activations, and no more than with those.
func checkSamples(t *testing.T, tr *Trainer, ledger *gpu.Ledger, l model.Layout) {
	t.Helper()
	look := &looked{ledger: ledger}
	p := samples.Plan{Every: 1, Window: tr.Recipe.Batch.SeqLen, Decoder: look,
		Prompts: []samples.Prompt{{Text: "x", IDs: []uint32{1}}, {Text: "xx", IDs: []uint32{2, 3}}}}
	c, err := samplesIn(tr.Recipe, l, p)
	if err != nil {
		t.Fatal(err)
	}
	specs, err := generate.Specs(l, c)
	if err != nil {
		t.Fatal(err)
	}
	list, err := tr.Sample(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if want := min(samples.Tokens, p.Window); len(list) != 2 || len(list[0].IDs) != want ||
		list[0].Text != strings.Repeat("x", want) {
		t.Errorf("samples %+v, want two, the first of %d tokens", list, want)
	}
	plan := gpu.Plan(tr.dev.Own(), l.Specs(), tr.Recipe.Optimizer.Specs(l), specs).ByClass()
	if diff := cmp.Diff(plan, look.saw); diff != "" || plan[gpu.Cache.String()] == 0 {
		t.Errorf("while samples are drawn (-plan +ledger):\n%s", diff)
	}
}

var errNoMemory = errors.New("the device gives no more memory")

// sparing is a device that gives no memory once it has given so many tensors.
type sparing struct {
	gpu.Device
	left int // below 0: it always gives
}

func (d *sparing) New(s gpu.Spec) (gpu.Tensor, error) {
	if d.left == 0 {
		return gpu.Tensor{}, errNoMemory
	}
	d.left--
	return d.Device.New(s)
}

// Wherever memory ends, in a beginning, a load or a transition, the error says so and nothing stays on the device.
func TestMemoryEndsAnywhere(t *testing.T) {
	storage := model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
		Frozen: model.Int8}
	rounds := recipetest.Tiny()
	rounds.Model.Layers, rounds.Split = 2, []int{1, 1}
	rounds.Storage = storage
	released := rounds
	released.Storage.Release = true
	rounds.Outer = &outer.Config{Every: 2, LR: 0.7, Momentum: 0.9}
	for name, o := range map[string]recipe.Options{"rounds": rounds, "released": released} {
		r := recipetest.Must(t, "step", o)
		batches := func() Batches { return trainertest.Random(8, o.Batch, o.Model.Vocab, 3) }
		dir := t.TempDir()
		saved := newTrainer(t, gpu.NewHost(), r, batches())
		takeSteps(t, saved, 1)
		if err := saved.Save(dir, "step-1", kept(saved)); err != nil {
			t.Fatal(err)
		}
		for what, do := range map[string]func(d *sparing, n int) (*Trainer, error){
			"a beginning": func(d *sparing, n int) (*Trainer, error) {
				d.left = n
				return New(d, r, batches())
			},
			"a load": func(d *sparing, n int) (*Trainer, error) {
				d.left = n
				return load(d, r, batches(), filepath.Join(dir, "step-1"))
			},
			"a growth": func(d *sparing, n int) (*Trainer, error) {
				tr := newTrainer(t, d, r, batches())
				tr.step = r.Stages[0].Steps
				d.left = n
				_, err := tr.Advance()
				return tr, err
			},
		} {
			var err error
			for n := 0; n == 0 || err != nil; n++ {
				d := &sparing{gpu.NewHost(), -1}
				var tr *Trainer
				if tr, err = do(d, n); err != nil && !errors.Is(err, errNoMemory) {
					t.Fatalf("%s, %s, after %d tensors: %v", name, what, n, err)
				}
				if tr != nil {
					tr.Free()
				}
				if left := d.Ledger().Total(); left != 0 {
					t.Fatalf("%s, %s, after %d tensors: %d bytes are left on the device", name, what, n, left)
				}
			}
		}
	}
}
