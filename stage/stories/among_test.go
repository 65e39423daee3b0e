package stories

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage"
	"steplm/stage/outer"
	"steplm/stage/reduce/reducetest"
	"steplm/stage/rounds"
)

// group is the processes of one run of a launcher, each with a folder of its own.
type group struct {
	t       *testing.T
	stories []story
	stopped []error // of the last run
}

func newGroup(t *testing.T, s story, n int) *group {
	g := &group{t: t}
	for rank := range n {
		s := s.in(filepath.Join(t.TempDir(), fmt.Sprint(rank)))
		s.Seed = uint64(rank)
		g.stories = append(g.stories, s)
	}
	return g
}

// run runs the first n of them; edit may change one.
func (g *group) run(n int, edit func(rank int, s *story, stop func())) {
	g.t.Helper()
	var all sync.WaitGroup
	g.stopped = make([]error, n)
	for rank, seat := range reducetest.Group(n) {
		s, peers := g.stories[rank], rounds.NewAmong(seat, g.stories[rank].Recipe.Outer.Start)
		ctx, stop := context.WithCancel(context.Background())
		s.Peers = peers
		if edit != nil {
			edit(rank, &s, stop)
		}
		all.Add(1)
		go func() {
			defer all.Done()
			defer stop()
			defer seat.Leave()
			g.stopped[rank] = s.run(ctx, gpu.NewHost())
			if err := g.stopped[rank]; err == nil || errors.Is(err, stage.ErrStopped) {
				if err := peers.Leave(); err != nil {
					g.t.Errorf("process %d: %v", rank, err)
				}
			}
		}()
	}
	all.Wait()
}

// ended is an error unless all that ran ended in want, which may be nil.
func (g *group) ended(what string, want error) {
	g.t.Helper()
	for rank, err := range g.stopped {
		if !errors.Is(err, want) {
			g.t.Fatalf("%s: process %d ended in %v, want %v", what, rank, err, want)
		}
	}
}

// A process of a group that is told to stop after any step stops all of them, each after a step of its own; resumed
// they go on bit for bit, wherever in a round each stood.
func TestAStopStopsTheGroup(t *testing.T) {
	s := withRounds(t, outer.WireInt4, model.FullStorage)
	straight := newGroup(t, s, 2)
	straight.run(2, nil)
	straight.ended("the straight run", nil)
	want := finalWeights(t, straight.stories[0])
	sameWeights(t, want, finalWeights(t, straight.stories[1]))
	for step := 1; step <= 8; step++ {
		g := newGroup(t, s, 2)
		g.run(2, func(rank int, s *story, stop func()) {
			s.Hook = func(point string) {
				if rank == step%2 && point == fmt.Sprintf("step %d", step) {
					stop()
				}
			}
		})
		g.ended(fmt.Sprintf("stopped after step %d", step), stage.ErrStopped)
		g.run(2, nil)
		g.ended("resumed", nil)
		for rank, s := range g.stories {
			t.Logf("stopped after step %d, process %d", step, rank)
			sameWeights(t, want, finalWeights(t, s))
			if a, b := roundsOf(t, s), roundsOf(t, straight.stories[rank]); len(a) != len(b) {
				t.Errorf("stopped after step %d: process %d made %d rounds, want %d", step, rank, len(a), len(b))
			}
		}
	}
}

// A run that goes on from a checkpoint at a round's end still tells of that round, which it does not make again.
func TestAResumeKeepsTheRoundOfItsCheckpoint(t *testing.T) {
	g := newGroup(t, withRounds(t, outer.WireF32, model.FullStorage), 2)
	for _, point := range []string{"checkpoint after step 2 in stage 1", "checkpoint after step 5 in stage 2"} {
		g.run(2, func(rank int, s *story, stop func()) {
			s.Hook = func(at string) {
				if at == point {
					stop()
				}
			}
		})
		g.ended(point, stage.ErrStopped)
	}
	g.run(2, nil)
	g.ended("resumed", nil)
	for rank, s := range g.stories {
		var ends []int
		for _, r := range roundsOf(t, s) {
			ends = append(ends, r.Step)
		}
		if want := []int{2, 3, 5, 7, 8}; !slices.Equal(ends, want) {
			t.Errorf("process %d tells of rounds that end with %v, want %v", rank, ends, want)
		}
	}
}

// A run with others tells what it waits for, and when that is over.
func TestWhatARunWaitsForIsTold(t *testing.T) {
	g := newGroup(t, withRounds(t, outer.WireF32, model.FullStorage), 1)
	var told []string
	g.run(1, func(_ int, s *story, _ func()) {
		s.Hook = func(point string) {
			if strings.HasPrefix(point, "wait for") {
				told = append(told, point)
			}
		}
	})
	g.ended("the run", nil)
	const over = "wait for "
	want := []string{over + "the state of the run that it joins", over}
	for range roundsOf(t, g.stories[0]) {
		want = append(want, over+"the others to begin the round", over, over+"the others to end the round", over)
	}
	if !slices.Equal(told, want) || len(want) < 6 {
		t.Errorf("it tells %q, want %q", told, want)
	}
}

// A process that a resume adds takes the state of the others, within a round too, and has a share from then on.
func TestAGroupGrows(t *testing.T) {
	for _, step := range []int{3, 4} { // before the growth, and within a round of stage 2
		g := newGroup(t, withRounds(t, outer.WireInt8, model.FullStorage), 3)
		g.run(2, func(rank int, s *story, stop func()) {
			s.Hook = func(point string) {
				if point == fmt.Sprintf("step %d", step) {
					stop()
				}
			}
		})
		g.ended("stopped", stage.ErrStopped)
		g.run(3, nil)
		g.ended("resumed", nil)
		want := finalWeights(t, g.stories[0])
		for _, s := range g.stories[1:] {
			sameWeights(t, want, finalWeights(t, s))
		}
		made := roundsOf(t, g.stories[2])
		if len(made) != 3 && step == 4 || len(made) < 3 || len(made[0].Shares) != 3 {
			t.Errorf("stopped after step %d: the third process made %+v", step, made)
		}
	}
}

// Rounds that begin later begin with what the first process has trained alone: with its weights up to then, whether it
// has others or not, was stopped meanwhile or not; and the rounds count from there.
func TestRoundsBeginLater(t *testing.T) {
	plain := newStory(t)
	for _, start := range []int{2, 5} { // within stage 1, and within stage 2, whose rounds would else end with 5
		s := withRounds(t, outer.WireF32, model.FullStorage)
		c := *s.Recipe.Outer
		c.Start = start
		s.Recipe.Outer = &c
		alone := plain.in(filepath.Join(t.TempDir(), "alone"))
		alone.Keep = 0
		g := newGroup(t, s, 2)
		for i := range g.stories {
			g.stories[i].Keep = 0
		}
		g.run(2, func(rank int, s *story, stop func()) {
			s.Hook = func(point string) {
				if point == fmt.Sprintf("step %d", start-1) {
					stop()
				}
			}
		})
		g.ended("stopped", stage.ErrStopped)
		g.run(2, nil)
		g.ended("resumed", nil)
		straight := newGroup(t, s, 2)
		straight.run(2, nil)
		straight.ended("straight", nil)
		want := finalWeights(t, straight.stories[0])
		for _, s := range append(g.stories, straight.stories[1]) {
			sameWeights(t, want, finalWeights(t, s))
		}
		if err := alone.run(context.Background(), gpu.NewHost()); err != nil {
			t.Fatal(err)
		}
		sameWeights(t, weightsAfter(t, alone, start-start%2), weightsAfter(t, g.stories[0], start-start%2))
		var ends []int
		for _, r := range roundsOf(t, g.stories[1]) {
			ends = append(ends, r.Step)
		}
		if want := map[int][]int{2: {3, 5, 7, 8}, 5: {7, 8}}[start]; !slices.Equal(ends, want) {
			t.Errorf("from step %d: rounds end with %v, want %v", start, ends, want)
		}
	}
}
