package stage

import (
	"context"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/reduce"
	"steplm/stage/reduce/reducetest"
)

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
						t.Errorf("%s, %d processes, step %d: %d bytes were sent, %d planned", method, n, tr.step, got, want)
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
