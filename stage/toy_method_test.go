package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/advice"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

// restarts is a method that nothing but this file knows. It trains all of the model for five
// steps, freezes its linears under adapters, and every five steps merges them into the weights,
// begins new ones and resets a tenth of their moments. One course of the learning rate goes
// through the whole run, with a warm-up of two steps after each. No transition grows, saves or
// evaluates.
func restarts(o recipe.Options) (recipe.Recipe, error) {
	r := o.Base("restarts")
	r.LoRA = o.LoRA
	r.TrainEmbedding, r.TrainHead, r.TrainNorms = o.TrainEmbedding, o.TrainHead, o.TrainNorms
	o.Stages = 1
	s, err := o.NewStage(0, o.Model.Layers, 5, o.Steps)
	if err != nil {
		return r, err
	}
	r.Stages = append(r.Stages, s)
	s.Schedule = nil
	for at := 5; at < o.Steps; at += 5 {
		verbs := []recipe.Verb{{Do: recipe.Merge}, {Do: recipe.Wrap}, {Do: recipe.Reset, Params: recipe.LoRAParams,
			Keep: 0.9}}
		if at == 5 {
			verbs = []recipe.Verb{{Do: recipe.Freeze}, {Do: recipe.Wrap}}
		}
		s.Entry.Verbs, s.Steps = append(verbs, recipe.RewarmOver(2)...), min(5, o.Steps-at)
		r.Stages = append(r.Stages, s)
	}
	return r, nil
}

// restartOptions are a run of 17 steps by that method.
func restartOptions(t *testing.T) recipe.Options {
	t.Helper()
	before := recipe.Methods
	recipe.Methods = append(slices.Clone(before), recipe.Method{Name: "restarts", Build: restarts,
		Uses: []advice.Option{advice.Rank, advice.Alpha, advice.LoRATargets}})
	t.Cleanup(func() { recipe.Methods = before })
	o := storyOptions()
	o.Steps, o.LoRA.Rank = 17, 3
	return o
}

// A run by it is what the recipe says, step by step: rates, events, checkpoints.
func TestToyMethodTells(t *testing.T) {
	s := newStory(t)
	s.Recipe, s.Keep = recipetest.Must(t, "restarts", restartOptions(t)), 0
	if err := s.run(context.Background(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
	course := func(step int) float64 { // 17 steps, two of them a warm-up
		if step < 2 {
			return float64(step+1) / 2
		}
		return 0.1 + 0.45*(1+math.Cos(math.Pi*float64(step-2)/15))
	}
	text, err := os.ReadFile(filepath.Join(s.Dir, record.File))
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	step := 0
	for line := range strings.Lines(string(text)) {
		var l struct {
			Event string
			Step  int
			Stage int
			LR    float64
			When  string
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Event == "checkpoint" {
			events = append(events, fmt.Sprintf("%d saved", l.Step))
		} else if l.Event != "" && l.When != "every" {
			events = append(events, fmt.Sprintf("%d %s %s", l.Step, l.Event, l.When))
		}
		if l.Event != "" {
			continue
		}
		want := s.Recipe.Stages[0].LR * course(step)
		if step >= 5 && step%5 == 0 {
			want /= 2
		}
		if math.Abs(l.LR-want) > 1e-12 || l.Stage != 1+step/5 {
			t.Errorf("step %d is in stage %d with rate %g, want %d and %g", l.Step, l.Stage, l.LR, 1+step/5, want)
		}
		step++
	}
	want := []string{"2 saved", "4 saved", "5 transition ", "6 saved", "8 saved", "10 saved", "10 transition ",
		"12 saved", "14 saved",
		"15 transition ", "16 saved", "17 saved", "17 eval end", "17 end "}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if step != 17 {
		t.Errorf("%d steps", step)
	}
}

// It goes on bit for bit after death at a fifth of all points and at every transition, and after
// a stop before and after one.
func TestToyMethodResumes(t *testing.T) {
	s := newStory(t)
	s.Recipe = recipetest.Must(t, "restarts", restartOptions(t))
	d := gpu.NewHost()
	want, points := straight(t, s, d)
	for n, point := range points {
		if n%5 != 0 && !strings.HasPrefix(point, "transition") {
			continue // TestDeathAnywhere sees to the rest
		}
		s := s.in(filepath.Join(t.TempDir(), "run"))
		if at, err := runUntil(s, d, n); at != point {
			t.Fatalf("point %d is %q, %v, in the straight run %q", n, at, err, point)
		}
		if err := s.run(context.Background(), d); err != nil {
			t.Fatalf("after death at point %d, %s: %v", n, point, err)
		}
		if checkTold(t, s, want); t.Failed() {
			t.Fatalf("after death at point %d, %s", n, point)
		}
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		want, _ := straight(t, s, d)
		for _, stop := range []string{"step 5", "transition after step 5 in stage 2", "step 10",
			"transition after step 15 in stage 4"} {
			s := s.in(filepath.Join(t.TempDir(), "run"))
			ctx, cancel := context.WithCancel(context.Background())
			s.Hook = func(p string) {
				if p == stop {
					cancel()
				}
			}
			if err := s.run(ctx, d); !errors.Is(err, ErrStopped) {
				t.Fatalf("stopped at %q: %v", stop, err)
			}
			s.Hook = nil
			if err := s.run(context.Background(), d); err != nil {
				t.Fatal(err)
			}
			if checkTold(t, s, want); t.Failed() {
				t.Fatalf("stopped at %q", stop)
			}
		}
	})
}

// Each restart leaves the logits, nine tenths of the adapters' moments and all others as they
// were, and holds what is planned; and none of its verbs does nothing.
func TestToyMethodRestarts(t *testing.T) {
	for name, storage := range map[string]model.Storage{
		"f32": model.FullStorage, "split": {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16},
		"flash8": {Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16},
	} {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				o := restartOptions(t)
				o.Storage = storage
				r := recipetest.Must(t, "restarts", o)
				batches := func() *listed { return randomBatches(4, o.Batch, o.Model.Vocab, 3) }
				tr := newTrainer(t, d, r, batches())
				takeTo(t, tr, 10)
				before, counted := contents(t, tr), numbers(tr)
				was := logits(t, tr, batches().list[0])
				most := d.Ledger().Total()
				e := advance(t, tr)
				if off := d.Ledger().Difference(gpu.Plan(d.Own(), r.Specs(tr.layout()))); off != "" ||
					e.PeakBytes > most {
					t.Errorf("peak %d of %d bytes; %s", e.PeakBytes, most, off)
				}
				tolerance := 1e-5
				if storage.Precision == model.BF16 {
					tolerance = 0.05
				}
				if gap := largestGap(logits(t, tr, batches().list[0]), was); !(gap <= tolerance) {
					t.Errorf("logits moved by %g", gap)
				}
				if numbers(tr) != counted {
					t.Errorf("the optimizer counted %s and counts %s", counted, numbers(tr))
				}
				after, changed := contents(t, tr), 0
				for _, x := range planes(tr) {
					key := x.Class.String() + " " + x.Name
					same := slices.Equal(before[key], after[key])
					adapters := strings.Contains(x.Name, ".lora_")
					if !adapters && !same || adapters && strings.HasSuffix(x.Name, ".scales") && !same {
						t.Errorf("%s changed", x.Name)
					}
					if !same {
						changed++
					}
				}
				if changed == 0 {
					t.Error("no moment was reset")
				}
				takeTo(t, tr, r.Steps())
				end := contents(t, tr)
				tr.Free()
				for what, edit := range map[string]func(*recipe.Transition){
					"without merging and wrapping": func(t *recipe.Transition) { t.Verbs = t.Verbs[2:] },
					"without a reset": func(t *recipe.Transition) {
						t.Verbs = slices.Delete(
							slices.Clone(t.Verbs), 2, 3)
					},
					"with a whole reset": func(t *recipe.Transition) {
						t.Verbs = slices.Clone(
							t.Verbs)
						t.Verbs[2].Keep = 0
					},
					"without a warm-up": func(t *recipe.Transition) { t.Verbs = t.Verbs[:3] },
				} {
					other := r
					other.Stages = slices.Clone(r.Stages)
					edit(&other.Stages[2].Entry)
					tr := newTrainer(t, d, other, batches())
					takeTo(t, tr, r.Steps())
					if maps.EqualFunc(end, contents(t, tr), slices.Equal) {
						t.Errorf("%s it is the same run: the verb does nothing", what)
					}
					tr.Free()
				}
			})
		})
	}
}

// A growth that resets nothing keeps the moments of what goes on training, bit for bit; those
// of new parameters begin with a bias correction of their own.
func TestGrowthKeepsMomentsWithoutReset(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		o := recipetest.Tiny()
		r := recipetest.Must(t, "step", o)
		r.Stages[1].Entry.Verbs = slices.DeleteFunc(slices.Clone(r.Stages[1].Entry.Verbs),
			func(v recipe.Verb) bool { return v.Do == recipe.Reset })
		tr := newTrainer(t, d, r, randomBatches(3, o.Batch, o.Model.Vocab, 3))
		trainStage(t, tr)
		before, done := contents(t, tr), tr.step
		advance(t, tr)
		var n struct {
			Updates int
			Began   map[string]int
		}
		if err := json.Unmarshal([]byte(numbers(tr)), &n); err != nil || n.Updates != done {
			t.Fatalf("%s (%v), want %d updates", numbers(tr), err, done)
		}
		after, old, fresh := contents(t, tr), 0, 0
		for _, p := range tr.Model.Params() {
			if !p.Trainable() {
				continue
			}
			key := "optimizer " + p.Name + ".m"
			words := after[key]
			if was, ok := before[key]; ok {
				old++
				if !slices.Equal(was, words) || n.Began[p.Name] != 0 {
					t.Errorf("%s: its moments changed, or its count: %d", p.Name, n.Began[p.Name])
				}
				continue
			}
			fresh++
			if slices.ContainsFunc(words, func(w uint32) bool { return w != 0 }) || n.Began[p.Name] != done {
				t.Errorf("%s is new: its moments are not 0, or it began at %d", p.Name, n.Began[p.Name])
			}
		}
		// Embedding, head, last norm and the norms of 4 old blocks; 2 new blocks, 28 adapters.
		if old != 3+2*4 || fresh != 2*9+2*7*4 {
			t.Errorf("%d old and %d new parameters train", old, fresh)
		}
		takeTo(t, tr, r.Steps())
		want := contents(t, tr)
		tr.Free()

		tr = newTrainer(t, d, r, randomBatches(3, o.Batch, o.Model.Vocab, 3))
		takeTo(t, tr, done+2)
		dir := t.TempDir()
		if err := tr.Save(dir, "here", 0); err != nil {
			t.Fatal(err)
		}
		tr.Free()
		tr, _, err := LoadTrainer(d, r, randomBatches(3, o.Batch, o.Model.Vocab, 3), filepath.Join(dir, "here"))
		if err != nil {
			t.Fatal(err)
		}
		takeTo(t, tr, r.Steps())
		if !maps.EqualFunc(want, contents(t, tr), slices.Equal) {
			t.Error("resumed, it is another run")
		}
		tr.Free()
	})
}

// What cannot be reset in part says so.
func TestResetRefuses(t *testing.T) {
	o := restartOptions(t)
	o.Optimizer = toyOptions(t).Optimizer
	tr := newTrainer(t, gpu.NewHost(), recipetest.Must(t, "restarts", o), randomBatches(1, o.Batch, o.Model.Vocab, 3))
	takeTo(t, tr, 10)
	_, err := tr.Advance()
	recipetest.WantError(t, err, "transition", "lora_a", "keeping 0.9", "not in part")
	tr.Free()
}
