//go:build unix

package experiment_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/stage/experiment"
	"steplm/stage/results"
)

// killsVariable asks for so many kills instead of few: 20 take minutes.
const killsVariable = "STEPLM_KILLS"

func init() {
	otherwise["killed"], otherwise["interrupted"] = killed, interrupted
	otherEnds["killed"] = tuningKilled
}

// An experiment that is killed again and again, half of the times with the run that is under way and half without it,
// ends with the table of one that never was, byte for byte.
func killed(t *testing.T, m clitest.Material, file, want string) {
	kills, err := strconv.Atoi(os.Getenv(killsVariable))
	if err != nil {
		kills = 3
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	dead, through, took := 0, 0, 10*time.Second
	for dir, deaths := filepath.Join(t.TempDir(), "killed"), 0; ; {
		if deaths < kills {
			began, wait := time.Now(), time.Duration(rng.Float64()*float64(took))
			if dies(t, wait, dead%2 == 0, asked(m, file, dir)...) {
				dead, deaths = dead+1, deaths+1
				continue
			}
			took = time.Since(began) // What is left of an experiment is killed before it is through.
		} else {
			clitest.Succeed(t, "", asked(m, file, dir)...)
		}
		through++
		if got := clitest.Contents(t, dir, experiment.ResultsFile); got != want {
			t.Fatalf("after %d kills, seed %d:\n%swant\n%s", deaths, seed, got, want)
		}
		if dead >= kills {
			break
		}
		dir, deaths = filepath.Join(t.TempDir(), "killed"), 0
	}
	t.Logf("%d kills in %d experiments: all end with the same table", dead, through)
}

// dies kills a call after a wait, with the processes that it started or without them, and reports whether it had not
// ended by itself.
func dies(t *testing.T, wait time.Duration, all bool, args ...string) bool {
	t.Helper()
	c := clitest.CallOf(t.Context(), args...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(wait, func() {
		if all {
			syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		}
		c.Process.Kill()
	})
	defer timer.Stop()
	err := c.Wait()
	if code := c.ProcessState.ExitCode(); err != nil && code > 0 {
		t.Fatalf("it ended by itself with exit code %d", code)
	}
	return err != nil
}

// Ctrl-C saves what is under way and says how to go on.
func interrupted(t *testing.T, m clitest.Material, file, want string) {
	dir := filepath.Join(t.TempDir(), "stopped")
	out, stderr, code := clitest.StopAt(t, clitest.CallOf(t.Context(), asked(m, file, dir)...), os.Interrupt,
		func(line string) bool { return strings.HasPrefix(line, "lr-step-") })
	if code != 130 || !strings.Contains(stderr, "go on with: steplm experiment "+dir) {
		t.Fatalf("exit code %d: %s%s", code, out, stderr)
	}
	rows := table(t, dir)
	if rows[0].Status != results.Selection || rows[len(rows)-1].Status == results.Diverged {
		t.Errorf("it was to be stopped after its first run: %+v", rows)
	}
	again := clitest.Succeed(t, "", "experiment", dir, "--device", "host", "--stable")
	got := clitest.Contents(t, dir, experiment.ResultsFile)
	if got != want || strings.Contains(again, rows[0].Run+": selection") {
		t.Errorf("gone on with:\n%s%swant\n%s", again, got, want)
	}
}

// An experiment that tunes and evaluates, killed at any time, ends with the same tables and the same answers.
func tuningKilled(t *testing.T, l lessons, file, from string, want [3]string) {
	kills, err := strconv.Atoi(os.Getenv(killsVariable))
	if err != nil {
		kills = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	dir, took := filepath.Join(t.TempDir(), "killed"), 10*time.Second
	dead := 0
	for range kills {
		if dies(t, time.Duration(rng.Float64()*float64(took)), dead%2 == 0, tune(l, file, from, dir)...) {
			dead++
		}
	}
	t.Logf("%d kills", dead)
	clitest.Succeed(t, "", tune(l, file, from, dir)...)
	if got := [3]string{clitest.Contents(t, dir, experiment.ResultsFile), clitest.Contents(t, dir,
		experiment.TasksFile), said(t, dir)}; got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
