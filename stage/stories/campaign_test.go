package stories

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"steplm/gpu"
)

// killsVariable asks for the kill campaign, and for how many kills: 100 take minutes.
const killsVariable = "STEPLM_KILLS"

// aims are the points around the transition at which every other child is killed, some moments after it.
var aims = []child{
	{Point: "save", Skip: 1}, // the save before growth
	{Point: "checkpoint after step 3 in stage 1"},
	{Point: "eval after step 3 in stage 1"},
	{Point: "growth after step 3 in stage 2"},
	{Point: "eval after step 3 in stage 2"},
	{Point: "batch", Skip: 6}, {Point: "batch", Skip: 7},
	{Point: "step 4"},
	{Point: "save", Skip: 2}, // the grown model's first
	{Point: "checkpoint after step 4 in stage 2"},
}

// TestKillCampaign kills processes, half of them by the clock and half around the transition, and has each run gone on
// with until it comes through: whatever was killed where, every run is the straight one to the last bit.
func TestKillCampaign(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv(killsVariable))
	if err != nil || kills < 1 {
		t.Skipf("%s is not set to a number of kills: 100 take minutes", killsVariable)
	}
	s := newStory(t)
	want, _ := straight(t, s, gpu.NewHost())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	killed, aimed, runs, through := 0, 0, 0, 0
	for ; killed < kills; runs++ {
		s := s.in(filepath.Join(t.TempDir(), "run"))
		for deaths := 0; ; deaths++ {
			c, atPoint := child{}, false
			if deaths%2 == 0 {
				c, atPoint = aims[rng.IntN(len(aims))], true
				c.Delay = time.Duration(rng.IntN(4000)) * time.Microsecond
			}
			c.Shards, c.Dir = s.Shards, s.Dir
			died := c.dies(t, !atPoint, time.Duration(10+rng.IntN(120))*time.Millisecond)
			if !died {
				through++
				break
			}
			killed++
			if atPoint {
				aimed++
			}
			if deaths > 8 { // long enough: the rest is done here
				if err := s.run(context.Background(), gpu.NewHost()); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		if checkTold(t, s, want); t.Failed() {
			t.Fatalf("run %d differs after %d kills, seed %d", runs, killed, seed)
		}
	}
	t.Logf("%d kills, %d of them around the transition, in %d runs (%d came through by themselves): all identical",
		killed, aimed, runs, through)
}

// dies runs a child, killed by the clock after a wait or by itself at its point, and says whether it was.
func (c child) dies(t *testing.T, byClock bool, wait time.Duration) bool {
	t.Helper()
	cmd := c.command(t)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if byClock {
		timer := time.AfterFunc(wait, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	err := cmd.Wait()
	if err != nil && cmd.ProcessState.ExitCode() == 1 {
		t.Fatalf("a child failed by itself: %s", out.String())
	}
	return err != nil
}
