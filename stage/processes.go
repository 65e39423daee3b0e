package stage

import (
	"context"
	"slices"
	"strconv"

	"steplm/data"
	"steplm/stage/reduce"
	"steplm/stage/trainer"
)

// told reports whether any process of the run was told to stop.
func (r *Run) told(ctx context.Context) (bool, error) {
	counts := []int64{0}
	if ctx.Err() != nil || r.left {
		counts[0] = 1
	}
	err := r.Reducer.Sum(counts)
	return counts[0] > 0, err
}

// agree compares what the processes of the run must have in common.
func (r *Run) agree() error {
	if r.Reducer.Size() == 1 {
		return nil
	}
	facts, err := r.trainer.Facts()
	if err != nil {
		return err
	}
	return r.Reducer.Agree(slices.Concat([]reduce.Fact{{Name: "recipe", Value: r.Folder.hash}}, r.course(), facts))
}

// course is what the controller decides by besides the recipe: processes that went other ways would wait for each other
// in different places.
func (r *Run) course() []reduce.Fact {
	return []reduce.Fact{
		{Name: "number of steps between saves", Value: strconv.Itoa(r.SaveEvery)},
		{Name: "number of steps between evaluations", Value: strconv.Itoa(r.EvalEvery)},
		{Name: "number of steps between samples", Value: strconv.Itoa(r.Samples.Every)},
	}
}

// setPace tells who keeps a watch over the processes of the run what this one does next.
func (r *Run) setPace(p reduce.Pace) {
	r.doing = p
	r.Reducer.SetPace(p)
	if g, ok := r.Peers.(interface{ SetPace(reduce.Pace) }); ok {
		g.SetPace(p)
	}
}

// pace is how long the next step may take: the first one in a stage compiles, and the next are judged by it.
func (r *Run) pace() reduce.Pace {
	if stage := r.trainer.Stage() + 1; r.paced != stage {
		r.paced = stage
		return reduce.Measured
	}
	return reduce.Judged
}

// batches are the run's. Who waits for them, for a download or a slow disk, does not hang: what takes its time there is
// not judged as computing.
func (r *Run) batches() trainer.Batches { return unjudged{r.Batches, r} }

// unjudged is batches that may take any time.
type unjudged struct {
	trainer.Batches
	run *Run
}

func (b unjudged) Next(ctx context.Context) (data.Batch, error) {
	defer b.run.setPace(b.run.doing)
	b.run.setPace(reduce.AnyTime)
	return b.Batches.Next(ctx)
}

func (b unjudged) Skip(ctx context.Context) error {
	defer b.run.setPace(b.run.doing)
	b.run.setPace(reduce.AnyTime)
	return b.Batches.Skip(ctx)
}
