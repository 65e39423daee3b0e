package trainer

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/trainer/trainertest"
)

// A model that cannot learn one batch by heart has a wrong gradient somewhere.
func TestOverfitOneBatch(t *testing.T) {
	o := recipetest.Tiny()
	o.Model.Layers, o.Steps, o.Schedule, o.LR, o.Decay = 2, 80, optim.Constant, []float64{1e-2}, []float64{0}
	r := recipetest.Must(t, "vanilla", o)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		tr := newTrainer(t, d, r, trainertest.Random(1, o.Batch, o.Model.Vocab, 3))
		all := trainStage(t, tr)
		first, last := all[0].Loss, all[len(all)-1].Loss
		if uniform := math.Log(float64(o.Model.Vocab)); math.Abs(first-uniform) > 0.1 {
			t.Errorf("loss of a fresh model is %g, of a uniform guess %g", first, uniform)
		}
		if !(last < 0.1) {
			t.Errorf("loss after %d steps on one batch is %g, want less than 0.1", len(all), last)
		}
	})
}

func TestSameSeedSameBits(t *testing.T) {
	o := recipetest.Tiny()
	run := func(t *testing.T, d gpu.Device, seed uint64) (numbers []string) {
		o.Seed = seed
		tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(5, o.Batch, o.Model.Vocab, 3))
		all := trainStage(t, tr)
		advance(t, tr)
		for _, m := range append(all, trainStage(t, tr)...) {
			numbers = append(numbers, fmt.Sprintf("%x %x", m.Loss, m.GradNorm))
		}
		tr.Free()
		return numbers
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		first, again, other := run(t, d, 1), run(t, d, 1), run(t, d, 2)
		if len(first) != o.Steps {
			t.Fatalf("%d steps, want %d", len(first), o.Steps)
		}
		for i := range first {
			if first[i] != again[i] {
				t.Errorf("step %d: loss and norm %s, then %s with the same seed", i+1, first[i], again[i])
			}
			if first[i] == other[i] {
				t.Errorf("step %d: loss and norm do not depend on the seed", i+1)
			}
		}
	})
}

// The same windows as one batch and as two micro-batches.
func TestGradientAccumulation(t *testing.T) {
	o := recipetest.Tiny()
	half := trainertest.Random(8, o.Batch, o.Model.Vocab, 3)
	whole := &trainertest.Listed{}
	for i := 0; i < len(half.Batches); i += 2 {
		a, b := half.Batches[i], half.Batches[i+1]
		whole.Batches = append(whole.Batches, data.NewBatch(append(a.Inputs[:len(a.Inputs):len(a.Inputs)], b.Inputs...),
			append(a.Targets[:len(a.Targets):len(a.Targets)], b.Targets...)))
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		run := func(batch, accum int, b *trainertest.Listed) []record.Metrics {
			o.Batch.Batch, o.GradAccum = batch, accum
			b.At = 0
			tr := newTrainer(t, d, recipetest.Must(t, "step", o), b)
			all := trainStage(t, tr)
			advance(t, tr)
			all = append(all, trainStage(t, tr)...)
			tr.Free()
			return all
		}
		one, two := run(4, 1, whole), run(2, 2, half)
		for i := range one {
			relative(t, fmt.Sprintf("loss of step %d", i+1), two[i].Loss, one[i].Loss, 1e-5)
			relative(t, fmt.Sprintf("gradient norm of step %d", i+1), two[i].GradNorm, one[i].GradNorm, 1e-4)
			if one[i].Tokens != two[i].Tokens || one[i].Tokens != int64((i+1)*4*o.Batch.SeqLen) {
				t.Errorf("step %d: %d and %d tokens, want %d", i+1, one[i].Tokens, two[i].Tokens,
					(i+1)*4*o.Batch.SeqLen)
			}
		}
	})
}

// A loss of exactly 0 over a whole step is no success: here the targets are no ids of the vocabulary.
func TestLossOfExactlyZeroStops(t *testing.T) {
	o := recipetest.Tiny()
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		b := trainertest.Random(2, o.Batch, o.Model.Vocab, 3)
		for i := range b.Batches[1].Targets {
			b.Batches[1].Targets[i] = 65535
		}
		tr := newTrainer(t, d, recipetest.Must(t, "step", o), b)
		takeSteps(t, tr, 1)
		if _, err := tr.Step(t.Context()); err == nil ||
			!strings.Contains(err.Error(), "step 2: the loss is exactly 0") {
			t.Errorf("error %v", err)
		}
	})
}

// Whatever is not finite must not reach the weights, nor the optimizer.
func TestNonFiniteUpdatesNothing(t *testing.T) {
	o := recipetest.Tiny()
	for _, c := range []struct {
		param string
		value float32
	}{
		{"blocks.1.attn_norm", float32(math.NaN())},
		{"blocks.2.down", float32(math.Inf(1))},
		{"head", 3e38}, // finite, but its products are not
	} {
		t.Run(c.param, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
				takeSteps(t, tr, 2)
				x := tr.Model.Param(c.param).Weight
				poisoned := read(t, d, x)
				for i := range poisoned {
					poisoned[i] = c.value
				}
				if err := gpu.WriteF32(d, x, poisoned); err != nil {
					t.Fatal(err)
				}
				before, updates := snapshot(t, tr), numbers(tr)
				var moments [][]float32
				for _, m := range planes(tr) {
					moments = append(moments, read(t, d, m))
				}

				_, err := tr.Step(context.Background())
				recipetest.WantError(t, err, "step 3:", "nothing was updated", "[lower lr]")
				for name, w := range snapshot(t, tr) {
					if !sameBits(w, before[name]) {
						t.Errorf("%s was updated", name)
					}
				}
				for i, m := range planes(tr) {
					if !sameBits(read(t, d, m), moments[i]) {
						t.Errorf("%s was updated", m.Name)
					}
				}
				if updates != `{"updates":2}` || numbers(tr) != updates || tr.step != 2 {
					t.Errorf("%s and %d steps are counted, want %s and 2", numbers(tr), tr.step, updates)
				}
			})
		})
	}
}

// A step of the next stage before its growth would train the wrong model.
func TestStepRefusesAnotherStage(t *testing.T) {
	o := recipetest.Tiny()
	tr := newTrainer(t, gpu.NewHost(), recipetest.Must(t, "step", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
	trainStage(t, tr)
	_, err := tr.Step(context.Background())
	recipetest.WantError(t, err, "stage 2", "stage 1")
}

// What trains after stage 1 besides new blocks and adapters is the recipe's.
func TestFrozenByRecipe(t *testing.T) {
	o := recipetest.Tiny()
	o.TrainEmbedding, o.TrainHead, o.TrainNorms = false, false, false
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
		old := map[int]bool{}
		for _, b := range tr.Model.Blocks {
			old[b.ID] = true
		}
		trainStage(t, tr)
		advance(t, tr)
		before := snapshot(t, tr)
		takeSteps(t, tr, 2) // B is zero in the first: A moves by decay alone
		for _, p := range tr.Model.Params() {
			want := p.Role.LoRA() || p.Block != model.NoBlock && !old[p.Block]
			if p.Trainable() != want {
				t.Errorf("%s trains: %v, want %v", p.Name, p.Trainable(), want)
			}
			if changed := !sameBits(read(t, d, p.Weight), before[p.Name]); changed != want {
				t.Errorf("%s changed: %v, want %v", p.Name, changed, want)
			}
		}
	})
}

// Adapters learn and decay at rates of their own.
func TestLoRARates(t *testing.T) {
	o := recipetest.Tiny()
	o.LoRALR, o.LoRADecay = 1e-30, 0
	tr := newTrainer(t, gpu.NewHost(), recipetest.Must(t, "step", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
	trainStage(t, tr)
	advance(t, tr)
	before := snapshot(t, tr)
	trainStage(t, tr)
	for _, p := range tr.Model.Params() {
		if gap := largestGap(read(t, tr.dev, p.Weight), before[p.Name]); p.Trainable() &&
			(gap < 1e-20) != p.Role.LoRA() {
			t.Errorf("%s moved by %g; only adapters have a rate near 0", p.Name, gap)
		}
	}
}

// Adapters have a decay of their own: B is zero in the first step after growth, so
// that A has no gradient and moves by decay alone.
func TestLoRADecay(t *testing.T) {
	for _, factor := range []float64{0, 1, 40} {
		o := recipetest.Tiny()
		o.LoRADecay, o.Rewarm = factor, 0
		tr := newTrainer(t, gpu.NewHost(), recipetest.Must(t, "step", o), trainertest.Random(3, o.Batch, o.Model.Vocab,
			3))
		trainStage(t, tr)
		advance(t, tr)
		before := snapshot(t, tr)
		takeSteps(t, tr, 1)
		keep := 1 - o.LR[0]*o.Decay[0]*factor // the schedule begins at its peak
		adapters := 0
		for _, p := range tr.Model.Params() {
			if !strings.HasSuffix(p.Name, ".lora_a") {
				continue
			}
			adapters++
			for i, a := range read(t, tr.dev, p.Weight) {
				if want := float64(before[p.Name][i]) * keep; math.Abs(float64(a)-want) > 1e-6*math.Abs(want) {
					t.Fatalf("factor %g: %s[%d] went from %g to %g, want %g", factor, p.Name, i, before[p.Name][i], a,
						want)
				}
			}
		}
		if adapters != len(model.LinearNames())*tr.Recipe.Stages[0].Layers {
			t.Errorf("%d adapters were seen", adapters)
		}
	}
}

// Matrices decay, norms do not, whatever the decay is.
func TestDecayLeavesNorms(t *testing.T) {
	after := func(decay float64) (*Trainer, map[string][]float32) {
		o := recipetest.Tiny()
		o.Decay, o.Warmup = []float64{decay}, 0
		tr := newTrainer(t, gpu.NewHost(), recipetest.Must(t, "vanilla", o), trainertest.Random(1, o.Batch,
			o.Model.Vocab, 3))
		takeSteps(t, tr, 1)
		return tr, snapshot(t, tr)
	}
	tr, without := after(0)
	_, with := after(10)
	for _, p := range tr.Model.Params() {
		norm := len(p.Weight.Shape) == 1
		if same := sameBits(with[p.Name], without[p.Name]); same != norm {
			t.Errorf("%s is the same with decay and without: %v, want %v", p.Name, same, norm)
		}
	}
}

func TestTrainerRefuses(t *testing.T) {
	o := recipetest.Tiny()
	r := recipetest.Must(t, "step", o)
	r.Batch.SeqLen = 17
	_, err := New(gpu.NewHost(), r, nil)
	recipetest.WantError(t, err, "17", "16", "[lower seq_len]")

	r = recipetest.Must(t, "step", o)
	r.Model.Vocab, r.Batch = 1<<20, model.Size{Batch: 1 << 15, SeqLen: 16}
	r.Model.Hidden, r.Model.FFN = 1<<12, 1<<14
	_, err = New(gpu.NewHost(), r, nil)
	recipetest.WantError(t, err, "stage 1 of 2", "does not fit", "weights", "optimizer")
}
