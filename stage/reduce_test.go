package stage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
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
)

// baton is a reducer for two trainers in this process, of which one runs at a time: who must
// wait for the other's part hands it the baton.
type baton struct {
	rank   int
	turn   chan struct{} // to go on
	other  *baton
	parts  []part // of its calls
	failed bool
}

type part struct {
	counts  []int64
	tensors [][]float32
}

func (b *baton) Sum(d gpu.Device, counts []int64, tensors ...gpu.Tensor) error {
	mine := part{counts: slices.Clone(counts)}
	for _, x := range tensors {
		values, err := gpu.ReadF32(d, x)
		if err != nil {
			return err
		}
		mine.tensors = append(mine.tensors, values)
	}
	call := len(b.parts)
	b.parts = append(b.parts, mine)
	for len(b.other.parts) <= call {
		if b.other.failed {
			return fmt.Errorf("the other trainer failed")
		}
		b.other.turn <- struct{}{}
		<-b.turn
	}
	first, second := mine, b.other.parts[call]
	if b.rank == 1 { // the same order in both
		first, second = second, first
	}
	for i := range counts {
		counts[i] = first.counts[i] + second.counts[i]
	}
	for i, x := range tensors {
		sum := make([]float32, x.Elements())
		for j := range sum {
			sum[j] = first.tensors[i][j] + second.tensors[i][j]
		}
		if err := gpu.WriteF32(d, x, sum); err != nil {
			return err
		}
	}
	return nil
}

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

// Two trainers that each take every other micro-batch, and a reducer that sums, are one trainer
// with twice the accumulation: the same losses, norms and weights, though the batches score
// different numbers of targets; and the two have the same bits.
func TestTwoTrainersAreOne(t *testing.T) {
	for _, storage := range []model.Storage{model.FullStorage, {Precision: model.BF16, States: model.SplitStates,
		Gradients: model.F32}} {
		for _, accum := range []int{1, 2} {
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

				o.GradAccum = accum
				var two [2]*Trainer
				ranks := [2]*baton{{rank: 0, turn: make(chan struct{}, 1)}, {rank: 1, turn: make(chan struct{}, 1)}}
				ranks[0].other, ranks[1].other = ranks[1], ranks[0]
				for i := range two {
					b := &listed{}
					for at := i; at < len(list); at += 2 {
						b.list = append(b.list, list[at])
					}
					two[i] = newTrainer(t, another(), recipetest.Must(t, method, o), b)
					two[i].Reducer = ranks[i]
				}
				var got [2][]record.Metrics
				done := make(chan struct{})
				for i, tr := range two {
					go func() {
						<-ranks[i].turn
						var err error
						for err == nil && tr.step < tr.Recipe.Steps() {
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
							ranks[i].failed = true
						}
						ranks[1-i].turn <- struct{}{}
						done <- struct{}{}
					}()
				}
				ranks[0].turn <- struct{}{}
				for range two {
					<-done
				}
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

// Runs pass their reducer on, from their start and from a resume: two, each with every other micro-batch, that are
// stopped after the second step and go on, have the losses of one with twice the accumulation, across a growth.
func TestTwoRunsAreOne(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum = 2
	list := scoredBatches(2*o.Steps, o.Batch, o.Model.Vocab)
	dir := t.TempDir()
	var losses [3][]float64 // of the one and of the two
	run := func(ctx context.Context, i int, method string, b Batches, red reduce.Reducer, step func(n int)) error {
		r := recipetest.Must(t, method, o)
		begin, open := (*Run).Resume, OpenFolder
		at := filepath.Join(dir, fmt.Sprint(i))
		if !record.HoldsRun(at) {
			begin = (*Run).Start
			open = func(dir string, r recipe.Recipe) (*Folder, error) { return CreateFolder(dir, r, nil) }
		}
		f, err := open(at, r)
		if err != nil {
			return err
		}
		defer f.Close()
		return begin(&Run{
			Recipe: r, Device: gpu.NewHost(), Batches: b, Folder: f, Reducer: red,
			Report: Report{Step: func(m record.Metrics) {
				losses[i] = append(losses[i], m.Loss)
				step(m.Step)
			}},
		}, ctx)
	}
	if err := run(t.Context(), 0, "step", &listed{list: list}, nil, func(int) {}); err != nil {
		t.Fatal(err)
	}
	o.GradAccum = 1
	var parts [2]*listed
	for i := range parts {
		parts[i] = &listed{}
		for at := i; at < len(list); at += 2 {
			parts[i].list = append(parts[i].list, list[at])
		}
	}
	for _, want := range []error{ErrStopped, nil} {
		ranks := [2]*baton{{rank: 0, turn: make(chan struct{}, 1)}, {rank: 1, turn: make(chan struct{}, 1)}}
		ranks[0].other, ranks[1].other = ranks[1], ranks[0]
		done := make(chan struct{})
		for i := range 2 {
			go func() {
				<-ranks[i].turn
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				err := run(ctx, i+1, "step", &listed{list: parts[i].list}, ranks[i], func(n int) {
					if n == 2 {
						stop()
					}
				})
				if !errors.Is(err, want) {
					t.Errorf("run %d: %v, want %v", i, err, want)
					ranks[i].failed = true
				}
				ranks[1-i].turn <- struct{}{}
				done <- struct{}{}
			}()
		}
		ranks[0].turn <- struct{}{}
		<-done
		<-done
		if t.Failed() || len(ranks[0].parts) == 0 {
			t.Fatalf("%d sums", len(ranks[0].parts))
		}
	}
	for i, want := range losses[0] {
		for _, got := range losses[1:] {
			if len(got) != len(losses[0]) {
				t.Fatalf("%d steps, want %d", len(got), len(losses[0]))
			}
			relative(t, fmt.Sprintf("step %d", i+1), got[i], want, lossTolerance)
		}
	}
	if !slices.Equal(losses[1], losses[2]) {
		t.Errorf("the two runs have the losses\n%v\n%v", losses[1], losses[2])
	}
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
	tr.Reducer = &baton{}
	_, err = tr.Step(context.Background())
	recipetest.WantError(t, err, "gradient release", "other processes", "[leave out release]")
}
