package stage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/reduce/reducetest"
)

// scoredBatches are random ones of which different numbers of targets are scored, of one none.
func scoredBatches(n int, s model.Size, vocab int) []data.Batch {
	list := randomBatches(n, s, vocab, 3).list
	for i, b := range list {
		for row := range i % s.Rows() * 3 % (s.Rows() + 1) {
			b.Targets[row] = data.Ignored
		}
	}
	for row := range list[n-2].Targets {
		list[n-2].Targets[row] = data.Ignored
	}
	return list
}

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
				list := scoredBatches(2*accum*3, o.Batch, o.Model.Vocab)
				one := newTrainer(t, d, recipetest.Must(t, method, o), &listed{list: list})
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
					two[i] = newTrainer(t, another(), recipetest.Must(t, method, o), &listed{list: list})
					if err := two[i].Join(reduce.New(ranks[i], options)); err != nil {
						t.Fatal(err)
					}
				}
				together(ranks, func(i int) error {
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

// together has each member of a group do something in a goroutine of its own, and waits for all.
func together(ranks []*reducetest.Local, do func(rank int) error) {
	var all sync.WaitGroup
	for i, l := range ranks {
		all.Go(func() {
			if do(i) != nil {
				l.Leave()
			}
		})
	}
	all.Wait()
}

// sideBySide runs a recipe in so many processes that share a folder, from its start or from where it was stopped, and
// returns the losses of the first, and every process's error.
func sideBySide(ctx context.Context, t *testing.T, n int, r recipe.Recipe, list []data.Batch, dir string,
	options reduce.Options, change func(rank int, run *Run),
) (losses []float64, errs []error) {
	t.Helper()
	open := OpenFolder
	resumed := record.HoldsRun(dir)
	if !resumed {
		open = func(dir string, r recipe.Recipe) (*Folder, error) { return CreateFolder(dir, r, nil) }
	}
	f, err := open(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ranks, errs := reducetest.Group(n), make([]error, n)
	together(ranks, func(i int) error {
		run := &Run{Recipe: r, Device: gpu.NewHost(), Batches: &listed{list: list}, Folder: f,
			Reducer: reduce.New(ranks[i], options)}
		if i > 0 {
			run.Folder = FollowFolder(dir, f.Hash())
		} else {
			run.Report.Step = func(m record.Metrics) { losses = append(losses, m.Loss) }
		}
		if change != nil {
			change(i, run)
		}
		if resumed {
			errs[i] = run.Resume(ctx)
		} else {
			errs[i] = run.Start(ctx)
		}
		return errs[i]
	})
	return losses, errs
}

// However many processes train, and wherever the run is stopped and goes on with another number of them, it has the
// losses of one process, across a growth; and those bit for bit that it has with the same number.
func TestRunsOfAnyNumberAreOne(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum = 4
	list := scoredBatches(4*o.Steps, o.Batch, o.Model.Vocab)
	for _, method := range []string{"step", "vanilla", "relora", "galore"} {
		o := o
		if method == "galore" {
			settings, _, err := optim.Choose("galore", o.Model, nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			o.Optimizer = optim.Config{Settings: settings}
		}
		r := recipetest.Must(t, method, o)
		want, errs := sideBySide(t.Context(), t, 1, r, list, t.TempDir(), reduce.Options{}, nil)
		if errs[0] != nil || len(want) != o.Steps {
			t.Fatalf("%s: %v, %d steps", method, errs, len(want))
		}
		var first []float64
		for _, numbers := range [][2]int{{3, 3}, {3, 3}, {2, 4}, {4, 1}} { // 3: they have 2, 1 and 1 micro-batches
			dir := filepath.Join(t.TempDir(), "run")
			ctx, stop := context.WithCancel(t.Context())
			begun, errs := sideBySide(ctx, t, numbers[0], r, list, dir, reduce.Options{BucketBytes: 2048},
				func(rank int, run *Run) {
					if step := run.Report.Step; rank == 0 {
						run.Report.Step = func(m record.Metrics) {
							step(m)
							if m.Step == 2 {
								stop()
							}
						}
					}
				})
			for _, err := range errs {
				if !errors.Is(err, ErrStopped) {
					t.Fatalf("%s, %v: %v", method, numbers, err)
				}
			}
			more, errs := sideBySide(t.Context(), t, numbers[1], r, list, dir, reduce.Options{}, nil)
			if err := errors.Join(errs...); err != nil {
				t.Fatalf("%s, %v: %v", method, numbers, err)
			}
			got := append(begun, more...)
			if len(begun) < 2 || len(got) != len(want) {
				t.Fatalf("%s, %v: %d and %d steps, want %d", method, numbers, len(begun), len(more), len(want))
			}
			for i := range want {
				relative(t, fmt.Sprintf("%s, %v, step %d", method, numbers, i+1), got[i], want[i], lossTolerance)
			}
			if numbers == [2]int{3, 3} {
				if first != nil && !slices.Equal(first, got) {
					t.Errorf("%s, %v: repeated with other losses:\n%v\n%v", method, numbers, first, got)
				}
				first = got
			}
		}
	}
}

// A process with another weight, frozen or not, another recipe or another place in the data is refused and named, in
// every process.
func TestProcessesThatDifferAreRefused(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum, o.NoFreeze = 3, false
	list := scoredBatches(3*o.Steps, o.Batch, o.Model.Vocab)
	r := recipetest.Must(t, "step", o)
	other := o
	other.LR = []float64{0.5}
	_, errs := sideBySide(t.Context(), t, 3, r, list, filepath.Join(t.TempDir(), "run"), reduce.Options{},
		func(rank int, run *Run) {
			if rank == 2 {
				run.Recipe = recipetest.Must(t, "step", other)
				run.Folder = FollowFolder(run.Folder.Dir, run.Recipe.Hash())
			}
		})
	for _, err := range errs {
		recipetest.WantError(t, err, "rank 2 on host2", "recipe")
	}
	// A frozen weight that flips in one process's memory, in the middle of the stage after the growth.
	_, errs = sideBySide(t.Context(), t, 3, r, list, filepath.Join(t.TempDir(), "run"), reduce.Options{},
		func(rank int, run *Run) {
			if rank == 1 {
				run.Device = &flipping{Device: run.Device, after: 3}
			}
		})
	for _, err := range errs {
		recipetest.WantError(t, err, "rank 1 on host1", "frozen weight")
	}
}

// flipping is a device that flips a bit of a frozen weight once so many of its passes after the growth have begun.
type flipping struct {
	gpu.Device
	frozen gpu.Tensor
	after  int
	grown  bool
}

func (d *flipping) New(s gpu.Spec) (gpu.Tensor, error) {
	x, err := d.Device.New(s)
	if d.frozen.None() && s.Class == gpu.Weights && s.Name == "blocks.0.wq" {
		d.frozen = x
	}
	d.grown = d.grown || s.Class == gpu.LoRA
	return x, err
}

func (d *flipping) Begin(label string) *gpu.Pass {
	if d.grown && label == "update" {
		if d.after--; d.after == 0 {
			words := []uint32{0}
			if err := errors.Join(d.Device.Read(d.frozen, 0, words),
				d.Device.Write(d.frozen, 0, []uint32{words[0] ^ 1})); err != nil {
				panic(err)
			}
		}
	}
	return d.Device.Begin(label)
}

// The loss of a step is the mean over its scored targets, and so is what the gradient is of: a
// batch counts by how many of its targets are scored.
func TestIgnoredTargets(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		o := recipetest.Tiny()
		o.GradAccum = 2
		list := randomBatches(2, o.Batch, o.Model.Vocab, 3).list
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
		tr := newTrainer(t, d, recipetest.Must(t, "vanilla", o), &listed{list: half})
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
		all := newTrainer(t, d, recipetest.Must(t, "vanilla", o), &listed{list: list})
		if n := takeSteps(t, all, 1)[0]; math.Abs(n.GradNorm/m.GradNorm-1) < 0.01 {
			t.Errorf("norm %g with ignored targets, %g without", m.GradNorm, n.GradNorm)
		}
	})
}

// What cannot be summed, or divided, is refused.
func TestStepRefusesSums(t *testing.T) {
	o := recipetest.Tiny()
	none := randomBatches(1, o.Batch, o.Model.Vocab, 3)
	for i := range none.list[0].Targets {
		none.list[0].Targets[i] = data.Ignored
	}
	tr := newTrainer(t, gpu.NewHost(), recipetest.Must(t, "vanilla", o), none)
	_, err := tr.Step(context.Background())
	recipetest.WantError(t, err, "step 1", "none of its 16 targets is scored")
	if want := `{"updates":0}`; numbers(tr) != want {
		t.Errorf("the optimizer counts %s, want %s", numbers(tr), want)
	}
	o.Storage.Release = true
	tr = newTrainer(t, gpu.NewHost(), recipetest.Must(t, "vanilla", o), randomBatches(1, o.Batch, o.Model.Vocab, 3))
	tr.reducer = reduce.New(reducetest.Group(2)[0], reduce.Options{})
	_, err = tr.Step(context.Background())
	recipetest.WantError(t, err, "gradient release", "other processes", "[leave out release]")
}

// What a step sends in each stage is what a plan says, to the byte, however many processes there are and whatever is on
// the wire; what is frozen does not travel.
func TestBytesOnTheWireAreThePlans(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum = 3
	list := randomBatches(3, o.Batch, o.Model.Vocab, 3).list
	for _, method := range []string{"vanilla", "step", "relora"} {
		for _, n := range []int{2, 3} {
			options := reduce.Options{Wire: reduce.Wire(reduce.Wires()[n-2]), BucketBytes: 2048, NoOverlap: n == 2}
			r := recipetest.Must(t, method, o)
			ranks := reducetest.Group(n)
			var trained []int64 // by rank 0's stages
			together(ranks, func(i int) error {
				red := reduce.New(ranks[i], options)
				tr, err := NewTrainer(gpu.NewHost(), r, &listed{list: list})
				if err != nil {
					t.Error(err)
					return err
				}
				defer tr.Free()
				if err := tr.Join(red); err != nil {
					t.Error(err)
					return err
				}
				run := &Run{Recipe: r, Reducer: red}
				for tr.step < r.Steps() {
					if tr.Due() {
						if _, err := tr.Advance(); err != nil {
							t.Error(err)
							return err
						}
					}
					values, err := tr.layout().GradientValues()
					if err != nil {
						t.Error(err)
						return err
					}
					before := red.Sent()
					if _, err = run.told(t.Context()); err == nil {
						_, err = tr.Step(context.Background())
					}
					if err != nil {
						t.Error(err)
						return err
					}
					load := reduce.Load{Gradients: values, Statistics: model.StatValues}
					if got, want := red.Sent()-before, options.Bytes(load, n); got != want || got == 0 {
						t.Errorf("%s, %d processes, step %d: %d bytes were sent, %d planned", method, n, tr.step, got,
							want)
					}
					if i == 0 {
						sum := int64(0)
						for _, x := range values {
							sum += int64(x)
						}
						trains, _ := tr.layout().Count()
						if sum != trains {
							t.Errorf("%s, step %d: gradients of %d values travel, %d parameters train", method, tr.step,
								sum, trains)
						}
						trained = append(trained, sum)
					}
				}
				if ranks[i].Sent != red.Sent() {
					t.Errorf("the group moved %d bytes, the reducer counts %d", ranks[i].Sent, red.Sent())
				}
				return nil
			})
			if first, last := trained[0], trained[len(trained)-1]; method == "relora" && last >= first {
				t.Errorf("%s: %d values travel at first, %d once the layers are frozen", method, first, last)
			}
		}
	}
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
		trainers[i] = newTrainer(t, gpu.NewHost(), r, &listed{list: list})
		if n > 1 {
			if err := trainers[i].Join(reduce.New(ranks[i], reduce.Options{})); err != nil {
				t.Fatal(err)
			}
		}
	}
	together(ranks, func(i int) error {
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
	list := randomBatches(6*24, o.Batch, o.Model.Vocab, 3).list
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
	list := randomBatches(6, o.Batch, o.Model.Vocab, 3).list
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
