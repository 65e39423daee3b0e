package stories

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

// outerFile is what a checkpoint calls the tensors of the outer optimizer.
const outerFile = "outer.safetensors"

// withRounds is a story whose rounds have two steps: they end with steps 2, 3 (and the stage), 5, 7 and 8.
func withRounds(t testing.TB, wire string, storage model.Storage) story {
	t.Helper()
	s, o := newStory(t), recipetest.Story()
	o.Storage = storage
	o.Outer = &outer.Config{Every: 2, LR: 0.7, Momentum: 0.9, Wire: wire}
	s.Recipe = recipetest.Must(t, "step", o)
	return s
}

// outerSum is the hash of the outer optimizer's tensors in the last checkpoint.
func outerSum(t testing.TB, s story) string {
	t.Helper()
	name, _, err := record.LastCheckpoint(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	at := record.CheckpointAt(s.Dir, name)
	if err := checkpoint.Verify(at, outerFile); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(at, outerFile))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", text)
}

// A run with rounds that dies at any point goes on bit for bit: anchors, momenta and residuals are in its checkpoints.
func TestRoundsSurviveDeathAnywhere(t *testing.T) {
	d := gpu.NewHost()
	s := withRounds(t, outer.WireInt4, model.FullStorage) // it has all planes
	s = s.in(filepath.Join(t.TempDir(), "straight"))
	var points []string
	s.Hook = func(p string) { points = append(points, p) }
	if err := s.run(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	want, sum := s.told(t), outerSum(t, s)
	for n, point := range points {
		s := s.in(filepath.Join(t.TempDir(), "run"))
		if at, err := runUntil(s, d, n); at != point {
			t.Fatalf("point %d is %q, %v, in the straight run %q", n, at, err, point)
		}
		s.Hook = nil
		if err := s.run(context.Background(), d); err != nil {
			t.Fatalf("after death at point %d, %s: %v", n, point, err)
		}
		checkTold(t, s, want)
		if outerSum(t, s) != sum {
			t.Fatalf("after death at point %d, %s, the outer optimizer's tensors differ", n, point)
		}
	}
}

// It does so in every storage, where some keep less of a weight than the anchor has, and on every device.
func TestRoundsResumeInEveryStorage(t *testing.T) {
	for _, st := range []model.Storage{
		{Precision: model.BF16, States: model.SplitStates, Gradients: model.F32},
		{Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16, Frozen: model.Int8},
		{Precision: model.BF16, States: model.StochasticStates, Gradients: model.F32},
	} {
		t.Run(st.States, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				s := withRounds(t, outer.WireInt8, st)
				want, _ := straight(t, s, d)
				for _, stop := range []string{"step 1", "step 2", "step 3", "step 6",
					"growth after step 3 in stage 2"} {
					s := stopAndResume(t, s, d, stop)
					checkTold(t, s, want)
				}
			})
		})
	}
}

// Rounds change a run; they end where they should; and every step reports the bytes that are planned for its stage.
func TestRoundsAreMade(t *testing.T) {
	d := gpu.NewHost()
	s := withRounds(t, "", model.FullStorage)
	told, _ := straight(t, s, d)
	plain, _ := straight(t, newStory(t), d)
	loss := func(lines []string) (list []string) {
		for _, l := range lines {
			if strings.Contains(l, `"grad_norm"`) {
				list = append(list, l[strings.Index(l, `"loss":`):strings.Index(l, `"lr":`)])
			}
		}
		return list
	}
	with, without := loss(told), loss(plain)
	if len(with) != 8 || !slices.Equal(with[:2], without[:2]) || with[2] == without[2] || with[3] == without[3] {
		t.Errorf("losses with rounds %v and without %v: the first two alone should be the same", with, without)
	}
	s = s.in(filepath.Join(t.TempDir(), "again"))
	if err := s.run(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	layouts, err := s.Recipe.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for e, err := range record.Read(s.Dir) {
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := e.(record.Metrics); ok {
			steps++
			if want := gpu.Plan(s.Recipe.OuterSpecs(layouts[m.Stage-1])).Total(); m.OuterBytes != want || want == 0 {
				t.Errorf("step %d: %d bytes of the outer optimizer, planned are %d", m.Step, m.OuterBytes, want)
			}
		}
	}
	if steps != 8 {
		t.Errorf("%d steps", steps)
	}
	var ends []int
	for step := range s.Recipe.Steps() {
		if _, end := s.Recipe.Round(step); !slices.Contains(ends, end) {
			ends = append(ends, end)
		}
	}
	if !slices.Equal(ends, []int{2, 3, 5, 7, 8}) {
		t.Errorf("rounds end with steps %v", ends)
	}
}

// A round of one step with rate 1 and no momentum is the step itself, but for rounding.
func TestRoundWithoutMomentumIsItsSteps(t *testing.T) {
	d := gpu.NewHost()
	o := recipetest.Story()
	o.Outer = &outer.Config{Every: 1, LR: 1}
	final := func(r recipe.Recipe) *model.Model {
		s := newStory(t)
		s.Recipe, s.Dir = r, filepath.Join(t.TempDir(), "run")
		if err := s.run(context.Background(), d); err != nil {
			t.Fatal(err)
		}
		m, err := model.Open(gpu.NewHost(), record.CheckpointAt(s.Dir, "step-8"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	got := final(recipetest.Must(t, "step", o))
	o.Outer = nil
	want := final(recipetest.Must(t, "step", o))
	for _, p := range want.Params() {
		a, b := gputest.Read(t, want.Device(), p.Weight), gputest.Read(t, got.Device(), got.Param(p.Name).Weight)
		for i := range a {
			if diff := a[i] - b[i]; diff > 1e-5 || diff < -1e-5 {
				t.Fatalf("%s[%d] is %g with rounds and %g without", p.Name, i, b[i], a[i])
			}
		}
	}
}
