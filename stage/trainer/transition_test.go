package trainer

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/model/hf"
	"steplm/stage/recipe"
	"steplm/stage/recipe/growth"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/trainer/trainertest"
)

// effective is W + (alpha/r) B A of every linear, in float64, by block ID and
// name; norms are there as they are.
func effective(t *testing.T, tr *Trainer) map[string][]float64 {
	t.Helper()
	all := map[string][]float64{}
	for name, w := range snapshot(t, tr) {
		if strings.Contains(name, ".lora_") {
			continue
		}
		sum := make([]float64, len(w))
		for i, x := range w {
			sum[i] = float64(x)
		}
		all[name] = sum
	}
	adapter := tr.layout().LoRA
	for _, b := range tr.Model.Blocks {
		for _, l := range b.Linears() {
			if l.LoRA == nil {
				continue
			}
			a, b, w := read(t, tr.dev, l.LoRA.A.Weight), read(t, tr.dev, l.LoRA.B.Weight), all[l.Name]
			for out := range l.Out {
				for in := range l.In {
					sum := 0.0
					for k := range adapter.Rank {
						sum += float64(b[out*adapter.Rank+k]) * float64(a[k*l.In+in])
					}
					w[out*l.In+in] += adapter.Alpha / float64(adapter.Rank) * sum
				}
			}
		}
	}
	return all
}

// near is whether float32 values are within 1e-5 of what they should be.
func near(got []float32, want []float64) bool {
	for i, x := range got {
		if d := float64(x) - want[i]; !(d <= 1e-5 && d >= -1e-5) {
			return false
		}
	}
	return len(got) == len(want)
}

// trainedTo enters a stage (0-based) of a run and trains it to its end, so that
// adapters are far from zero.
func trainedTo(t *testing.T, d gpu.Device, o recipe.Options, stage int) *Trainer {
	t.Helper()
	tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(4, o.Batch, o.Model.Vocab, 3))
	trainStage(t, tr)
	for tr.stage < stage {
		advance(t, tr)
		trainStage(t, tr)
	}
	return tr
}

func threeStages(keep bool) recipe.Options {
	o := recipetest.Tiny()
	o.Stages, o.Split, o.Steps, o.KeepLoRA = 3, []int{2, 2, 2}, 18, keep
	o.Position, o.LR = "intermediate", []float64{3e-2}
	return o
}

// Growth out of a stage with trained adapters: every block of the next one
// against arithmetic on the host.
func TestGrowthReadsEffectiveWeights(t *testing.T) {
	for _, keep := range []bool{false, true} {
		name := map[bool]string{false: "merge", true: "keep"}[keep]
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				o := threeStages(keep)
				// 2 -> 3 -> 8: the old outer blocks are wrapped; one is the lower neighbour
				// of new blocks, the other the upper one of others, with several weights.
				o.Model.Layers, o.Split = 8, []int{2, 1, 5}
				tr := trainedTo(t, d, o, 1)
				before, want, oldBlocks := snapshot(t, tr), effective(t, tr), tr.layout().Blocks
				event := advance(t, tr)
				after, origins := snapshot(t, tr), recipetest.Grow(t, event.From, event.To, "intermediate", "mean",
					tr.Recipe.Seed).Origins
				if len(event.New) != 5 {
					t.Fatalf("new blocks %v, want five", event.New)
				}
				belowWrapped, aboveWrapped := 0, 0
				for i, o := range origins {
					block := tr.layout().Blocks[i]
					for _, s := range tr.Model.LinearShapes() {
						name := block.Name(s.Name)
						if !o.New {
							old := oldBlocks[o.Below]
							if old.ID != block.ID {
								t.Fatalf("block %d has ID %d, want %d", i, block.ID, old.ID)
							}
							checkOldLinear(t, name, keep, old.Wrapped, before, after, want[name])
							continue
						}
						below, above := oldBlocks[o.Below], oldBlocks[o.Above]
						if below.Wrapped {
							belowWrapped++
						}
						if above.Wrapped {
							aboveWrapped++
						}
						a, b := want[below.Name(s.Name)], want[above.Name(s.Name)]
						mix := make([]float64, len(a))
						for j := range mix {
							mix[j] = (1-o.Weight)*a[j] + o.Weight*b[j]
						}
						if !near(after[name], mix) {
							t.Errorf("%s is not the mixture of its neighbours' effective weights", name)
						}
						if _, wrapped := after[name+".lora_a"]; wrapped {
							t.Errorf("%s is new and wrapped", name)
						}
					}
				}
				if belowWrapped == 0 || aboveWrapped == 0 {
					t.Errorf("%d linears have a wrapped lower neighbour, %d an upper one: this test shows little",
						belowWrapped, aboveWrapped)
				}
			})
		})
	}
}

// checkOldLinear: W + s B A is what it was; merging moved it into W and began
// the adapter anew, keeping touched nothing.
func checkOldLinear(t *testing.T, name string, keep, wrapped bool, before, after map[string][]float32, want []float64) {
	t.Helper()
	a, b := name+".lora_a", name+".lora_b"
	if wrapped && largest(before[b]) < 1e-4 {
		t.Errorf("%s barely trained (%g): this test shows little", b, largest(before[b]))
	}
	if keep && wrapped {
		for _, n := range []string{name, a, b} {
			if !sameBits(before[n], after[n]) {
				t.Errorf("%s changed, though adapters are kept", n)
			}
		}
		return
	}
	if !near(after[name], want) {
		t.Errorf("%s is not the weight with its adapter merged", name)
	}
	if !wrapped && !sameBits(before[name], after[name]) {
		t.Errorf("%s had no adapter, but changed", name)
	}
	if largest(after[b]) != 0 || largest(after[a]) == 0 {
		t.Errorf("the fresh adapter of %s has A up to %g and B up to %g, want above 0 and 0", name, largest(after[a]),
			largest(after[b]))
	}
	if wrapped && slices.Equal(before[a], after[a]) {
		t.Errorf("%s did not begin anew", a)
	}
}

// Merging and wrapping again without growing leaves the function as it is:
// ReLoRA's transition, in the same vocabulary.
func TestMergeLeavesLogits(t *testing.T) {
	o := threeStages(false)
	r := recipetest.Must(t, "step", o)
	r.Stages = r.Stages[:2]
	r.Model.Layers = r.Stages[1].Layers
	again := r.Stages[1]
	again.Entry = recipe.Transition{Verbs: []recipe.Verb{{Do: recipe.Merge}, {Do: recipe.Wrap},
		{Do: recipe.Reset, Params: recipe.AllParams}}}
	r.Stages = append(r.Stages, again)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		batches := trainertest.Random(4, o.Batch, o.Model.Vocab, 3)
		tr := newTrainer(t, d, r, batches)
		trainStage(t, tr)
		advance(t, tr)
		first := snapshot(t, tr)
		trainStage(t, tr)
		before, weights := logits(t, tr, batches.Batches[0]), snapshot(t, tr)
		e := advance(t, tr)
		if e.From != e.To || len(e.New) != 0 {
			t.Errorf("from %d to %d layers, new %v: nothing should have grown", e.From, e.To, e.New)
		}
		if gap := largestGap(logits(t, tr, batches.Batches[0]), before); !(gap <= 1e-5) {
			t.Errorf("logits moved by %g", gap)
		}
		moved := false
		for name, w := range snapshot(t, tr) {
			if strings.HasSuffix(name, ".lora_a") && sameBits(w, first[name]) {
				t.Errorf("%s begins anew where it began before", name)
			}
			moved = moved || strings.HasSuffix(name, ".wq") && largestGap(w, weights[name]) > 1e-4
		}
		if !moved {
			t.Error("merging moved no weight: this test shows nothing")
		}
		trainStage(t, tr)
	})
}

// Merging before growing, or freezing before both, is the same transition.
func TestVerbsInAnotherOrder(t *testing.T) {
	d := gpu.NewHost()
	o := threeStages(false)
	run := func(order ...int) map[string][]uint32 {
		r := recipetest.Must(t, "step", o)
		for i := range r.Stages[1:] {
			s := &r.Stages[1+i]
			verbs := slices.Clone(s.Entry.Verbs)
			for to, from := range order {
				s.Entry.Verbs[to] = verbs[from]
			}
		}
		tr := newTrainer(t, d, r, trainertest.Random(4, o.Batch, o.Model.Vocab, 3))
		defer tr.Free()
		takeTo(t, tr, r.Steps())
		return contents(t, tr)
	}
	want := run(0, 1, 2, 3) // grow, merge, freeze, wrap
	for _, order := range [][]int{{1, 0, 2, 3}, {2, 1, 0, 3}, {1, 2, 3, 0}} {
		if !maps.EqualFunc(want, run(order...), slices.Equal) {
			t.Errorf("with the verbs in the order %v it is another run", order)
		}
	}
}

// The exported model has its adapters merged and computes what the trained one
// does.
func TestExportMerges(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for _, keep := range []bool{false, true} {
			o := threeStages(keep)
			tr := trainedTo(t, d, o, 2)
			batch := tr.batches.from.(*trainertest.Listed).Batches[0]
			before := logits(t, tr, batch)
			parent := t.TempDir()
			exportTo(t, tr, parent)
			if gap := largestGap(exportedLogits(t, d, filepath.Join(parent, record.FinalDir), batch, o.Batch),
				before); !(gap <= 2e-5) {
				t.Errorf("logits moved by %g", gap)
			}
			tr.Free()
		}
	})
}

// exportTo writes the trained model under parent.
func exportTo(t *testing.T, tr *Trainer, parent string) {
	t.Helper()
	dir, err := checkpoint.Begin(parent, record.FinalDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := export.Trained(export.HuggingFace{}, dir, tr.Model, export.Text{}); err != nil {
		t.Fatal(err)
	}
	if err := dir.Commit(); err != nil {
		t.Fatal(err)
	}
}

// exportedLogits loads an exported model, in f32, and runs a batch.
func exportedLogits(t *testing.T, d gpu.Device, dir string, b data.Batch, s model.Size) []float32 {
	t.Helper()
	m, err := hf.Load(d, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	a, err := model.NewActivations(d, m.Layout, s)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Free()
	if err := loadBatch(a, b); err != nil {
		t.Fatal(err)
	}
	x, err := m.Logits(a)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Copying, a single layer, and every position lead to what the origins say.
func TestGrowthByEveryOperator(t *testing.T) {
	for _, operator := range growth.Operators() {
		for _, split := range [][]int{{1, 2}, {2, 3}} {
			o := recipetest.Tiny()
			o.Operator, o.Position, o.Split, o.Model.Layers = operator, "random", split, split[0]+split[1]
			tr := trainedTo(t, gpu.NewHost(), o, 0)
			want, blocks := effective(t, tr), tr.layout().Blocks
			e := advance(t, tr)
			if (e.Note != "") != (split[0] == 1 && operator != growth.StackOperator) {
				t.Errorf("%s %v: note %q", operator, split, e.Note)
			}
			after := snapshot(t, tr)
			for i, origin := range recipetest.Grow(t, e.From, e.To, "random", operator, o.Seed).Origins {
				below, above := want[blocks[origin.Below].Name("gate")], want[blocks[origin.Above].Name("gate")]
				mix := make([]float64, len(below))
				for j := range mix {
					mix[j] = (1-origin.Weight)*below[j] + origin.Weight*above[j]
				}
				got := after[tr.layout().Blocks[i].Name("gate")]
				if near(got, mix) == origin.Drawn {
					t.Errorf("%s %v: block %d is not what its origin says", operator, split, i)
				}
				if most := largest(got); origin.Drawn && (most < model.InitStd || most > 6*model.InitStd) {
					t.Errorf("%s %v: block %d was drawn with up to %g", operator, split, i, most)
				}
				for _, last := range []string{"wo", "down"} {
					x := largest(after[tr.layout().Blocks[i].Name(last)])
					if (x == 0) != origin.Silent {
						t.Errorf("%s %v: block %d, %s: up to %g", operator, split, i, last, x)
					}
				}
			}
		}
	}
}

// Block IDs are stable and never used twice; new layers train, old ones are
// frozen and wrapped, in every stage.
func TestLayouts(t *testing.T) {
	r := recipetest.Must(t, "step", threeStages(false))
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	ids := func(l model.Layout) (list []int) {
		for _, b := range l.Blocks {
			list = append(list, b.ID)
		}
		return list
	}
	// 2 -> 4: both into the only gap. 4 -> 6: the middle gap, then the one above it.
	want := [][]int{{0, 1}, {0, 2, 3, 1}, {0, 2, 4, 3, 5, 1}}
	for i, l := range layouts {
		if !slices.Equal(ids(l), want[i]) {
			t.Errorf("stage %d has blocks %v, want %v", i+1, ids(l), want[i])
		}
		old := map[int]bool{}
		if i > 0 {
			for _, b := range layouts[i-1].Blocks {
				old[b.ID] = true
			}
		}
		for _, b := range l.Blocks {
			if b.Frozen != old[b.ID] || b.Wrapped != old[b.ID] {
				t.Errorf("stage %d, block %d: frozen %v, wrapped %v, want both %v", i+1, b.ID, b.Frozen, b.Wrapped,
					old[b.ID])
			}
		}
	}
}
