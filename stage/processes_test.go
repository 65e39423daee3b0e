package stage

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/reduce/reducetest"
	"steplm/stage/trainer"
	"steplm/stage/trainer/trainertest"
)

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
	reducetest.Together(ranks, func(i int) error {
		run := &Run{Recipe: r, Device: gpu.NewHost(), Batches: &trainertest.Listed{Batches: list}, Folder: f,
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
	list := trainertest.Scored(4*o.Steps, o.Batch, o.Model.Vocab)
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
				if off := math.Abs(got[i]/want[i] - 1); !(off <= 1e-5) {
					t.Errorf("%s, %v, step %d: loss %g, want %g: off by %.2g of it", method, numbers, i+1, got[i],
						want[i], off)
				}
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
	list := trainertest.Scored(3*o.Steps, o.Batch, o.Model.Vocab)
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
	// One that would stop to evaluate, save or sample where the others go on.
	for what, change := range map[string]func(*Run){
		"evaluations": func(run *Run) { run.EvalEvery = 2 }, "saves": func(run *Run) { run.SaveEvery = 2 },
		"samples": func(run *Run) { run.Samples.Every = 2 },
	} {
		_, errs = sideBySide(t.Context(), t, 3, r, list, filepath.Join(t.TempDir(), "run"), reduce.Options{},
			func(rank int, run *Run) {
				if rank == 1 {
					change(run)
				}
			})
		for _, err := range errs {
			recipetest.WantError(t, err, "rank 1 on host1", "steps between "+what, "2", "0")
		}
	}
	// One that cannot begin: the others do not go on, and know why.
	_, errs = sideBySide(t.Context(), t, 3, r, list, filepath.Join(t.TempDir(), "run"), reduce.Options{},
		func(rank int, run *Run) {
			if rank == 1 {
				run.Device = full{run.Device}
			}
		})
	if !errors.Is(errs[1], errFull) {
		t.Errorf("the process without memory: %v", errs[1])
	}
	recipetest.WantError(t, errs[0], "rank 1 on host1", errFull.Error())
	recipetest.WantError(t, errs[2], "rank 1 on host1", errFull.Error())
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

// full is a device without memory.
type full struct{ gpu.Device }

var errFull = errors.New("the device's memory is full")

func (full) New(gpu.Spec) (gpu.Tensor, error) { return gpu.Tensor{}, errFull }

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

// watched is a process that is watched, and batches and a device that look at what it is taken to do.
type watched struct {
	*reducetest.Local
	pace     reduce.Pace
	fetching []reduce.Pace // at each batch
	training []reduce.Pace // at each pass of a step
}

func (w *watched) SetPace(p reduce.Pace) { w.pace = p }

type watchedBatches struct {
	trainer.Batches
	*watched
}

func (b watchedBatches) Next(ctx context.Context) (data.Batch, error) {
	b.fetching = append(b.fetching, b.pace)
	return b.Batches.Next(ctx)
}

func (b watchedBatches) Skip(ctx context.Context) error {
	b.fetching = append(b.fetching, b.pace)
	return b.Batches.Skip(ctx)
}

type watchedDevice struct {
	gpu.Device
	*watched
}

func (d watchedDevice) Begin(label string) *gpu.Pass {
	if label == "train" {
		d.training = append(d.training, d.pace)
	}
	return d.Device.Begin(label)
}

// A process may wait for its data however long: what others judge it by is what it computes.
func TestWaitingForDataIsNotJudged(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum, o.Steps = 2, 4
	list, r := trainertest.Scored(2*o.Steps, o.Batch, o.Model.Vocab), recipetest.Must(t, "vanilla", o)
	f, err := CreateFolder(filepath.Join(t.TempDir(), "run"), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ranks, all := reducetest.Group(2), make([]*watched, 2)
	reducetest.Together(ranks, func(i int) error {
		w := &watched{Local: ranks[i]}
		all[i] = w
		run := &Run{Recipe: r, Device: watchedDevice{gpu.NewHost(), w},
			Batches: watchedBatches{&trainertest.Listed{Batches: list}, w}, Folder: f,
			Reducer: reduce.New(w, reduce.Options{})}
		if i > 0 {
			run.Folder = FollowFolder(f.Dir, f.Hash())
		}
		err := run.Start(t.Context())
		if err != nil {
			t.Errorf("process %d: %v", i, err)
		}
		return err
	})
	for rank, w := range all {
		if !slices.Equal(w.fetching, slices.Repeat([]reduce.Pace{reduce.AnyTime}, 2*o.Steps)) {
			t.Errorf("process %d fetches batches at the paces %v", rank, w.fetching)
		}
		want := []reduce.Pace{reduce.Measured, reduce.Judged, reduce.Judged, reduce.Judged}
		if !slices.Equal(w.training, want) {
			t.Errorf("process %d trains at the paces %v, want %v", rank, w.training, want)
		}
	}
}

// What a step sends in each stage is what a plan says, to the byte, however many processes there are and whatever is on
// the wire; what is frozen does not travel.
func TestBytesOnTheWireAreThePlans(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum = 3
	list := trainertest.Random(3, o.Batch, o.Model.Vocab, 3).Batches
	for _, method := range []string{"vanilla", "step", "relora"} {
		for _, n := range []int{2, 3} {
			options := reduce.Options{Wire: reduce.Wire(reduce.Wires()[n-2]), BucketBytes: 2048, NoOverlap: n == 2}
			r := recipetest.Must(t, method, o)
			ranks := reducetest.Group(n)
			var trained []int64 // by rank 0's stages
			reducetest.Together(ranks, func(i int) error {
				red := reduce.New(ranks[i], options)
				tr, err := trainer.New(gpu.NewHost(), r, &trainertest.Listed{Batches: list})
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
				for tr.Done() < r.Steps() {
					if tr.Due() {
						if _, err := tr.Advance(); err != nil {
							t.Error(err)
							return err
						}
					}
					values, err := tr.Model.Layout.GradientValues()
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
						t.Errorf("%s, %d processes, step %d: %d bytes were sent, %d planned", method, n, tr.Done(), got,
							want)
					}
					if i == 0 {
						sum := int64(0)
						for _, x := range values {
							sum += int64(x)
						}
						trains, _ := tr.Model.Layout.Count()
						if sum != trains {
							t.Errorf("%s, step %d: gradients of %d values travel, %d parameters train", method,
								tr.Done(), sum, trains)
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
