package trainer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/reduce/reducetest"
	"steplm/stage/trainer/trainertest"
)

// Two trainers that each take every other micro-batch, and a reducer that sums, are one trainer: the same losses, norms
// and weights, though the batches score different numbers of targets; and the two have the same bits.
func TestTwoTrainersAreOne(t *testing.T) {
	for _, storage := range []model.Storage{model.FullStorage, {Precision: model.BF16, States: model.SplitStates,
		Gradients: model.F32}} {
		for _, accum := range []int{1, 2} {
			options := reduce.Options{BucketBytes: 4096 * (accum - 1), NoOverlap: accum == 1}
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				// A growth accounts for all of a device, so that those that grow have one each.
				method, another := "vanilla", func() gpu.Device { return d }
				if d.Name() == gpu.NewHost().Name() {
					method, another = "step", func() gpu.Device { return gpu.NewHost() }
				}
				o := recipetest.Tiny()
				o.Storage, o.GradAccum = storage, 2*accum
				list := trainertest.Scored(2*accum*3, o.Batch, o.Model.Vocab)
				one := newTrainer(t, d, recipetest.Must(t, method, o), &trainertest.Listed{Batches: list})
				var want []record.Metrics
				for one.step < one.Recipe.Steps() {
					if one.Due() {
						advance(t, one)
					}
					want = append(want, takeSteps(t, one, 1)...)
				}

				var two [2]*Trainer
				var got [2][]record.Metrics
				ranks := reducetest.Group(2)
				for i := range two {
					two[i] = newTrainer(t, another(), recipetest.Must(t, method, o), &trainertest.Listed{Batches: list})
					if err := two[i].Join(reduce.New(ranks[i], options)); err != nil {
						t.Fatal(err)
					}
				}
				reducetest.Together(ranks, func(i int) error {
					var err error
					for tr := two[i]; err == nil && tr.step < tr.Recipe.Steps(); {
						if tr.Due() {
							if _, err = tr.Advance(); err != nil {
								break
							}
						}
						var m record.Metrics
						if m, err = tr.Step(context.Background()); err == nil {
							got[i] = append(got[i], m)
						}
					}
					if err != nil {
						t.Errorf("trainer %d: %v", i, err)
					}
					return err
				})
				if t.Failed() {
					return
				}

				for i, m := range want {
					for _, side := range got {
						what := fmt.Sprintf("step %d: ", m.Step)
						relative(t, what+"loss", side[i].Loss, m.Loss, lossTolerance)
						relative(t, what+"norm", side[i].GradNorm, m.GradNorm, normTolerance)
						if side[i].Tokens != m.Tokens || side[i].Stage != m.Stage || side[i].LR != m.LR {
							t.Errorf("%s%+v, want %+v", what, side[i], m)
						}
					}
				}
				weights, second := snapshot(t, one), snapshot(t, two[1])
				for name, w := range snapshot(t, two[0]) {
					if !sameBits(w, second[name]) {
						t.Errorf("the two trainers differ in %s", name)
					}
					tolerance := weightTolerance
					if storage.Precision == model.BF16 {
						tolerance = 1.0 / 256 // a rounding of numbers below 1
					}
					if gap := largestGap(w, weights[name]); !(gap <= tolerance) {
						t.Errorf("%s is %g off", name, gap)
					}
				}
				for _, tr := range append(two[:], one) {
					tr.Free()
				}
			})
		}
	}
}

// The loss of a step is the mean over its scored targets, and so is what the gradient is of: a
// batch counts by how many of its targets are scored.
func TestIgnoredTargets(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		o := recipetest.Tiny()
		o.GradAccum = 2
		list := trainertest.Random(2, o.Batch, o.Model.Vocab, 3).Batches
		half := slices.Clone(list)
		for i := range half {
			half[i].Targets = slices.Clone(half[i].Targets)
			for row := range half[i].Targets {
				if row%2 == i || row%4 == 3 { // 12 of 16 in the first, 8 in the second
					half[i].Targets[row] = data.Ignored
				}
			}
		}
		scored := half[0].Scored() + half[1].Scored()
		if scored == 0 || scored == 2*o.Batch.Rows() || half[0].Scored() == half[1].Scored() {
			t.Fatalf("%d and %d targets are scored: this shows nothing", half[0].Scored(), half[1].Scored())
		}
		tr := newTrainer(t, d, recipetest.Must(t, "vanilla", o), &trainertest.Listed{Batches: half})
		sum := 0.0
		for _, b := range half {
			if err := loadBatch(tr.acts, b); err != nil {
				t.Fatal(err)
			}
			p := d.Begin("loss")
			tr.Model.Forward(p, tr.acts)
			tr.Model.Loss(p, tr.acts)
			if err := p.End(); err != nil {
				t.Fatal(err)
			}
			losses, err := tr.acts.Losses()
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range losses {
				sum += float64(x)
			}
		}
		m := takeSteps(t, tr, 1)[0]
		relative(t, "loss", m.Loss, sum/float64(scored), lossTolerance)
		if m.Tokens != int64(2*o.Batch.Rows()) {
			t.Errorf("%d tokens were seen, want all %d", m.Tokens, 2*o.Batch.Rows())
		}
		// Not those of as many targets: the norm of a mean over fewer is another.
		all := newTrainer(t, d, recipetest.Must(t, "vanilla", o), &trainertest.Listed{Batches: list})
		if n := takeSteps(t, all, 1)[0]; math.Abs(n.GradNorm/m.GradNorm-1) < 0.01 {
			t.Errorf("norm %g with ignored targets, %g without", m.GradNorm, n.GradNorm)
		}
	})
}

// What cannot be summed, or divided, is refused.
func TestStepRefusesSums(t *testing.T) {
	o := recipetest.Tiny()
	none := trainertest.Random(1, o.Batch, o.Model.Vocab, 3)
	for i := range none.Batches[0].Targets {
		none.Batches[0].Targets[i] = data.Ignored
	}
	tr := newTrainer(t, gpu.NewHost(), recipetest.Must(t, "vanilla", o), none)
	_, err := tr.Step(context.Background())
	recipetest.WantError(t, err, "step 1", "none of its 16 targets is scored")
	if want := `{"updates":0}`; numbers(tr) != want {
		t.Errorf("the optimizer counts %s, want %s", numbers(tr), want)
	}
	o.Storage.Release = true
	tr = newTrainer(t, gpu.NewHost(), recipetest.Must(t, "vanilla", o), trainertest.Random(1, o.Batch, o.Model.Vocab,
		3))
	tr.reducer = reduce.New(reducetest.Group(2)[0], reduce.Options{})
	_, err = tr.Step(context.Background())
	recipetest.WantError(t, err, "gradient release", "other processes", "[leave out release]")
}

// orders are orders of a step's six micro-batches.
var orders = [][6]int{{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, {0, 2, 4, 1, 3, 5}, {0, 3, 1, 4, 2, 5}}

// inOrder has the micro-batches of each step in another order.
func inOrder(list []data.Batch, order [6]int) (out []data.Batch) {
	for at := 0; at < len(list); at += 6 {
		for _, i := range order {
			out = append(out, list[at+i])
		}
	}
	return out
}

// each has n processes do something with a trainer of the recipe; n is 1 for one that is alone.
func each(t *testing.T, n int, r recipe.Recipe, list []data.Batch, do func(rank int, tr *Trainer) error) {
	t.Helper()
	ranks := reducetest.Group(n)
	trainers := make([]*Trainer, n)
	for i := range trainers {
		trainers[i] = newTrainer(t, gpu.NewHost(), r, &trainertest.Listed{Batches: list})
		if n > 1 {
			if err := trainers[i].Join(reduce.New(ranks[i], reduce.Options{})); err != nil {
				t.Fatal(err)
			}
		}
	}
	reducetest.Together(ranks, func(i int) error {
		err := do(i, trainers[i])
		if err != nil {
			t.Errorf("process %d of %d: %v", i, n, err)
		}
		return err
	})
	if t.Failed() {
		t.FailNow()
	}
}

// Losses of several processes differ from those of one by what rounding makes of the order of sums, and by no more: one
// process that takes the micro-batches of each step in another order is as far from itself after fifty steps and a
// growth.
func TestProcessesDifferAsOrdersDo(t *testing.T) {
	o := recipetest.Tiny()
	o.Steps, o.GradAccum, o.LR = 50, 6, []float64{1e-2}
	r := recipetest.Must(t, "step", o)
	list := trainertest.Random(6*24, o.Batch, o.Model.Vocab, 3).Batches
	losses := func(n int, order [6]int) (all []float64) {
		each(t, n, r, inOrder(list, order), func(rank int, tr *Trainer) error {
			for tr.step < r.Steps() {
				if tr.Due() {
					if _, err := tr.Advance(); err != nil {
						return err
					}
				}
				m, err := tr.Step(context.Background())
				if err != nil {
					return err
				}
				if rank == 0 {
					all = append(all, m.Loss)
				}
			}
			return nil
		})
		return all
	}
	one := losses(1, orders[0])
	apart := func(other []float64) (most float64) {
		for i := range one {
			most = max(most, math.Abs(other[i]/one[i]-1))
		}
		return most
	}
	byOrder := 0.0
	for _, order := range orders[1:] {
		gap := apart(losses(1, order))
		t.Logf("one process, order %v: losses differ by %.2g", order, gap)
		byOrder = max(byOrder, gap)
	}
	for _, n := range []int{2, 3, 6} {
		gap := apart(losses(n, orders[0]))
		t.Logf("%d processes: losses differ by %.2g", n, gap)
		if !(gap <= 3*byOrder && gap <= 1e-5) || byOrder == 0 {
			t.Errorf("%d processes: losses differ by %g, by the order alone they do by %g", n, gap, byOrder)
		}
	}
}

// The gradients of several processes are as near to a sum in float64 as those of one: it is no better answer from which
// they differ.
func TestProcessesAreAsExactAsOne(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum, o.Batch.SeqLen = 6, 16
	list := trainertest.Random(6, o.Batch, o.Model.Vocab, 3).Batches
	gradients := func(n int, list []data.Batch, targets int64) (all []float64) {
		o := o
		o.GradAccum = len(list)
		each(t, n, recipetest.Must(t, "step", o), list, func(rank int, tr *Trainer) error {
			s, err := tr.begin(context.Background())
			if err != nil {
				return err
			}
			s.targets = targets
			if err := tr.backward(&s); err != nil {
				return err
			}
			if err := tr.reduce(&s); err != nil {
				return err
			}
			for _, p := range tr.Model.Params() {
				if p.Trainable() && rank == 0 {
					for _, f := range read(t, tr.dev, p.Grad) {
						all = append(all, float64(f))
					}
				}
			}
			return nil
		})
		return all
	}
	targets := int64(6 * o.Batch.Rows())
	var exact []float64
	for _, b := range list {
		for i, g := range gradients(1, []data.Batch{b}, targets) {
			if i == len(exact) {
				exact = append(exact, 0)
			}
			exact[i] += g
		}
	}
	off := func(n int) float64 {
		sum, all := 0.0, 0.0
		for i, g := range gradients(n, list, targets) {
			sum += (g - exact[i]) * (g - exact[i])
			all += exact[i] * exact[i]
		}
		return math.Sqrt(sum / all)
	}
	one := off(1)
	t.Logf("one process: %.2g of the gradient away from the sum in float64", one)
	for _, n := range []int{2, 3, 6} {
		several := off(n)
		t.Logf("%d processes: %.2g", n, several)
		if one == 0 || !(several <= 1.2*one) {
			t.Errorf("%d processes are %g away from the sum in float64, one is %g", n, several, one)
		}
	}
}
