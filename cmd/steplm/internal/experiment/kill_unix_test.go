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
)

// killsVariable asks for so many kills instead of few: 20 take minutes.
const killsVariable = "STEPLM_KILLS"

// An experiment that is killed again and again, half of the times with the run that is under way and half without it,
// ends with the table of one that never was, byte for byte.
func TestKilledExperimentEndsWithTheSameTable(t *testing.T) {
	kills := 3
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		kills = n
	} else if testing.Short() {
		t.Skip("it runs an experiment several times over")
	}
	m := clitest.NewMaterial(t)
	file := clitest.WriteFile(t, "small.json", small)
	straight, dir := filepath.Join(t.TempDir(), "straight"), filepath.Join(t.TempDir(), "killed")
	began := time.Now()
	clitest.Succeed(t, "", asked(m, file, straight)...)
	took := time.Since(began)
	seed := uint64(began.UnixNano())
	t.Logf("seed %d; the straight one took %s", seed, took)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range kills {
		c := clitest.CallOf(t.Context(), asked(m, file, dir)...)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// The preparations are repeated each time, so that a kill comes some way into the runs.
		wait := time.Duration((0.05 + 0.35*rng.Float64()) * float64(took))
		timer := time.AfterFunc(wait, func() {
			pid := c.Process.Pid
			if i%2 == 0 {
				pid = -pid
			}
			syscall.Kill(pid, syscall.SIGKILL)
		})
		c.Wait()
		timer.Stop()
	}
	clitest.Succeed(t, "", asked(m, file, dir)...)
	if got, want := clitest.Contents(t, dir, experiment.ResultsFile), clitest.Contents(t, straight,
		experiment.ResultsFile); got != want {
		t.Errorf("after %d kills:\n%swant\n%s", kills, got, want)
	}
}

// Ctrl-C saves what is under way and says how to go on.
func TestInterruptedExperimentGoesOn(t *testing.T) {
	m := clitest.NewMaterial(t)
	file := clitest.WriteFile(t, "small.json", small)
	dir := filepath.Join(t.TempDir(), "stopped")
	out, stderr, code := clitest.StopAt(t, clitest.CallOf(t.Context(), asked(m, file, dir)...), os.Interrupt,
		func(line string) bool { return strings.HasPrefix(line, "lr-step-") })
	if code != 130 || !strings.Contains(stderr, "go on with: steplm experiment "+dir) {
		t.Fatalf("exit code %d: %s%s", code, out, stderr)
	}
	rows := table(t, dir)
	if rows[0].Status != "selection" || rows[len(rows)-1].Status == "diverged" {
		t.Errorf("it was to be stopped after its first run: %+v", rows)
	}
	again := clitest.Succeed(t, "", "experiment", dir, "--device", "host", "--stable")
	straight := filepath.Join(t.TempDir(), "straight")
	clitest.Succeed(t, "", asked(m, file, straight)...)
	if got, want := clitest.Contents(t, dir, experiment.ResultsFile), clitest.Contents(t, straight,
		experiment.ResultsFile); got != want || strings.Contains(again, rows[0].Run+": selection") {
		t.Errorf("gone on with:\n%s%swant\n%s", again, got, want)
	}
}
