package stories

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

// A run by it is what the recipe says, step by step: rates, events, checkpoints.
func TestToyMethodTells(t *testing.T) {
	s := newStory(t)
	s.Recipe, s.Keep = recipetest.Must(t, "restarts", recipetest.Restarts(t)), 0
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
		} else if l.Event != "" && l.Event != "samples" && l.When != "every" {
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
	s.Recipe = recipetest.Must(t, "restarts", recipetest.Restarts(t))
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
			s := stopAndResume(t, s, d, stop)
			if checkTold(t, s, want); t.Failed() {
				t.Fatalf("stopped at %q", stop)
			}
		}
	})
}
