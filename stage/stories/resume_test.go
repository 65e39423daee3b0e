package stories

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

// straight runs a story without interruption and says what it told, and at
// which points its hook was called.
func straight(t testing.TB, s story, d gpu.Device) (told, points []string) {
	t.Helper()
	s = s.in(filepath.Join(t.TempDir(), "straight"))
	s.Hook = func(p string) { points = append(points, p) }
	if err := s.run(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	return s.told(t), points
}

// checkTold compares a run that was interrupted with the straight one.
func checkTold(t testing.TB, s story, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, s.told(t)); diff != "" {
		t.Errorf("(-straight +interrupted):\n%s", diff)
	}
}

// stopAndResume stops a run of a story, in a folder of its own, at a point, and lets it go on to its end.
func stopAndResume(t *testing.T, s story, d gpu.Device, stop string) story {
	t.Helper()
	s = s.in(filepath.Join(t.TempDir(), "run"))
	ctx, cancel := context.WithCancel(context.Background())
	s.Hook = func(p string) {
		if p == stop {
			cancel()
		}
	}
	if err := s.run(ctx, d); !errors.Is(err, stage.ErrStopped) {
		t.Fatalf("stopped at %q: %v", stop, err)
	}
	s.Hook = nil
	if err := s.run(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	return s
}

// What the others compare with is itself as it should be.
func TestStraightRun(t *testing.T) {
	s := newStory(t)
	told, points := straight(t, s, gpu.NewHost())
	var steps, events []string
	for _, line := range told {
		var l struct {
			Step  int
			Stage int
			Event string
			When  string
			Loss  float64
		}
		if json.Unmarshal([]byte(line), &l) != nil {
			continue // what the checkpoint holds
		}
		if l.Event == "" {
			steps = append(steps, fmt.Sprint(l.Step, " ", l.Stage))
			if l.Loss < 1 || l.Loss > 6 {
				t.Errorf("loss %g", l.Loss)
			}
		}
		events = append(events, strings.TrimSpace(fmt.Sprint(l.Step, " ", l.Event, " ", l.When)))
	}
	if diff := cmp.Diff([]string{"1 1", "2 1", "3 1", "4 2", "5 2", "6 2", "7 2", "8 2"}, steps); diff != "" {
		t.Errorf("steps and stages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"1", "1 eval every", "2", "2 eval every", "3", "3 samples", "3 eval before growth", "3 growth",
		"3 eval after growth", "4", "4 eval every", "5", "5 eval every", "6", "6 samples", "6 eval every",
		"7", "7 eval every", "8", "8 eval end", "8 end",
	}, events); diff != "" {
		t.Errorf("steps and events (-want +got):\n%s", diff)
	}
	saves := 0
	for _, p := range points {
		if p == "save" {
			saves++
		}
	}
	if saves != 5 { // 2, 3 before growth, 4, 6, 8
		t.Errorf("%d checkpoints, want 5", saves)
	}
}

// A stop at any moment, twice over: the run goes on as if nothing had been.
func TestStopAndResume(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		s := newStory(t)
		want, points := straight(t, s, d)
		for _, stop := range points {
			switch stop {
			case "batch", "save": // a step and a save are not cut short
				continue
			case "step 2", "step 3", "step 6": // in stage 1, before growth, in stage 2
			default:
				if d.Name() != gpu.NewHost().Name() {
					continue
				}
			}
			s := s.in(filepath.Join(t.TempDir(), "run"))
			ctx, cancel := context.WithCancel(context.Background())
			last := 0
			s.Hook = func(p string) {
				fmt.Sscanf(p, "step %d", &last)
				if p == stop {
					cancel()
				}
			}
			err := s.run(ctx, d)
			// After the last evaluation there is nothing to stop any more.
			if over := stop == "export" || strings.HasSuffix(stop, "after step 8 in stage 2") &&
				!strings.HasPrefix(stop, "checkpoint"); !errors.Is(err, stage.ErrStopped) && !(over && err == nil) {
				t.Fatalf("stopped at %q: %v, want %v", stop, err, stage.ErrStopped)
			}
			if name, _, err := record.LastCheckpoint(s.Dir); name != fmt.Sprintf("step-%d",
				last) {
				t.Errorf("stopped at %q: the last checkpoint is %q, %v", stop, name, err)
			}
			if err := s.run(ctx, d); !errors.Is(err, stage.ErrStopped) { // at once
				t.Fatalf("stopped again after %q: %v", stop, err)
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

// A run goes on bit for bit from what a checkpoint keeps of every storage: working
// weights, masters, moments of 8 bits, int8 weights and their scales.
func TestResumeInEveryStorage(t *testing.T) {
	for name, st := range map[string]model.Storage{
		"paper": {Precision: model.BF16, States: model.PaperStates, Gradients: recipe.GradientsAuto},
		"split": {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16},
		"flash8 release, int8": {Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16,
			Release: true, Frozen: model.Int8},
	} {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				o := recipetest.Story()
				o.Storage, o.Recompute = st, recipe.RecomputeBlock
				if st.Release {
					o.GradAccum = 1
				}
				s := newStory(t)
				s.Recipe = recipetest.Must(t, "step", o)
				want, _ := straight(t, s, d)
				stops := []string{"step 3", "step 5", "step 2", "growth after step 3 in stage 2"}
				if !inGo(d) { // before growth and after it
					stops = stops[:2]
				}
				for _, stop := range stops {
					s := stopAndResume(t, s, d, stop)
					checkTold(t, s, want)
				}
			})
		})
	}
}

// A finished run that is resumed has nothing to do but its end.
func TestResumeFinished(t *testing.T) {
	s := newStory(t)
	d := gpu.NewHost()
	for range 2 {
		if err := s.run(context.Background(), d); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := straight(t, s, d)
	checkTold(t, s, want)
	if err := checkpoint.Verify(filepath.Join(s.Dir, record.FinalDir)); err != nil {
		t.Error(err)
	}
}

// killed is the panic that stands for a kill.
type killed struct{ point string }

// runUntil runs a story until its hook was called n times and says at which
// point it died, "" if it came through.
func runUntil(s story, d gpu.Device, n int) (at string, err error) {
	defer func() {
		if k, ok := recover().(killed); ok {
			at = k.point
		}
	}()
	s.Hook = func(p string) {
		if n--; n < 0 {
			panic(killed{p})
		}
	}
	return "", s.run(context.Background(), d)
}

// Death at every point there is: in the middle of accumulating, within a save,
// before and after growth, in evaluation and export.
func TestDeathAnywhere(t *testing.T) {
	s := newStory(t)
	d := gpu.NewHost()
	want, points := straight(t, s, d)
	t.Logf("%d points", len(points))
	for n, point := range points {
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
}

// Death again and again, also right after a resume.
func TestManyDeaths(t *testing.T) {
	s := newStory(t)
	d := gpu.NewHost()
	want, _ := straight(t, s, d)
	for _, every := range []int{14, 15, 19} {
		s := s.in(filepath.Join(t.TempDir(), "run"))
		deaths := 0
		for ; ; deaths++ {
			at, err := runUntil(s, d, every)
			if err != nil || deaths > 20 {
				t.Fatalf("death %d at %q: %v", deaths, at, err)
			}
			if at == "" {
				break
			}
		}
		if deaths < 2 {
			t.Errorf("only %d deaths", deaths)
		}
		checkTold(t, s, want)
	}
}

// childVariable tells a re-executed test binary which story to run and where to
// kill itself.
const childVariable = "STEPLM_STAGE_TEST_CHILD"

type child struct {
	Shards, Dir string
	Point       string
	Skip        int           // occurrences of Point before
	Delay       time.Duration // after Point, while the run goes on
}

// TestChild is no test of its own.
func TestChild(t *testing.T) {
	text := os.Getenv(childVariable)
	if text == "" {
		t.Skip("runs in the child processes of TestKill")
	}
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	s := newStory(t)
	s.Shards, s.Dir = c.Shards, c.Dir
	s.Hook = func(p string) {
		if p != c.Point {
			return
		}
		if c.Skip--; c.Skip < 0 {
			self, _ := os.FindProcess(os.Getpid())
			if c.Delay > 0 {
				time.AfterFunc(c.Delay, func() { self.Kill() })
				return
			}
			self.Kill() // SIGKILL: nothing is flushed, nothing deferred
			select {}
		}
	}
	if err := s.run(context.Background(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
}

func (c child) command(t *testing.T) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(c)
	cmd := exec.Command(program, "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	return cmd
}

// A process that is killed around growth.
func TestKill(t *testing.T) {
	s := newStory(t)
	d := gpu.NewHost()
	want, points := straight(t, s, d)
	for _, c := range []child{
		{Point: "save", Skip: 1},                      // within the save before growth
		{Point: "checkpoint after step 3 in stage 1"}, // saved, not yet grown
		{Point: "growth after step 3 in stage 2"},     // grown, nothing trained
		{Point: "batch", Skip: 7},                     // within the first step after growth
		{Point: "checkpoint after step 4 in stage 2"}, // right after the grown model's first save
		{Point: "export"},                             // within the last write
	} {
		t.Run(fmt.Sprint(c.Point, c.Skip), func(t *testing.T) {
			at := c.Skip
			for _, p := range points {
				if p == c.Point {
					at--
				}
			}
			if at >= 0 {
				t.Fatalf("the straight run does not come by %q %d times", c.Point, c.Skip+1)
			}
			s := s.in(filepath.Join(t.TempDir(), "run"))
			c.Shards, c.Dir = s.Shards, s.Dir
			out, err := c.command(t).CombinedOutput()
			if err == nil || strings.Contains(string(out), "FAIL") {
				t.Fatalf("the child was not killed: %v\n%s", err, out)
			}
			if err := s.run(context.Background(), d); err != nil {
				t.Fatal(err)
			}
			checkTold(t, s, want)
		})
	}
}

// A process that is killed by the clock, until one comes through.
func TestKillAnytime(t *testing.T) {
	s := newStory(t)
	d := gpu.NewHost()
	want, _ := straight(t, s, d)
	c := child{Shards: s.Shards, Dir: s.Dir}
	for try := range 8 {
		cmd := c.command(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(20+rand.IntN(60)) * time.Millisecond
		timer := time.AfterFunc(wait, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			t.Logf("child %d came through in %v", try, wait)
			break
		}
		if cmd.ProcessState.ExitCode() == 1 {
			t.Fatalf("child %d failed by itself", try)
		}
	}
	if err := s.run(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	checkTold(t, s, want)
}
