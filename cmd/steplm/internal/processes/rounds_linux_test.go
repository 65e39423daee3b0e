package processes_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model/checkpoint"
	"steplm/stage/record"
)

// rounded are the flags of a run of rounds.
func rounded(m clitest.Material, out string, flags ...string) []string {
	return m.Pretrain(out, append([]string{"--precision", "f32", "--batch-size", "1", "--device", "host",
		"--eval-tokens", "0", "--final-eval-tokens", "0", "--outer-every", "3", "--outer-wire", "int8",
		"--steps", "8"}, flags...)...)
}

// roundsIn are the events of a run's rounds.
func roundsIn(t *testing.T, run string) (list []clitest.MetricsLine) {
	t.Helper()
	for _, l := range clitest.ReadMetrics(t, run) {
		if l.Text("event") == "round" {
			list = append(list, l)
		}
	}
	return list
}

// Processes that a launcher starts make rounds where the run has some: each trains alone, in data of its own order, and
// all end with one model; what each sends is what is planned, to the byte; and the run repeats bit for bit.
func TestProcessesMakeRounds(t *testing.T) {
	m, dir := clitest.NewMaterial(t), t.TempDir()
	for _, launcher := range clitest.Launchers(t) {
		var before string
		for _, again := range []string{"", "-again"} {
			run := filepath.Join(dir, strings.ReplaceAll(launcher, "/", "-")+again)
			said := succeedTogether(t, launcher, 2, rounded(m, run)...)
			for _, want := range []string{"2 processes on 1 machine by ", "each trains alone for a round"} {
				if !strings.Contains(said, want) {
					t.Errorf("%s: %q is not said in\n%s", launcher, want, said)
				}
			}
			second := filepath.Join(run, "ranks", "1")
			if clitest.LossLines(t, run) == clitest.LossLines(t, second) {
				t.Errorf("%s: both processes train on the same data", launcher)
			}
			weights := func(run string) string {
				return clitest.Contents(t, run, "checkpoints", "step-8", "model.safetensors")
			}
			if weights(run) != weights(second) {
				t.Errorf("%s: the processes end with other weights", launcher)
			}
			if before != "" && before != weights(run) {
				t.Errorf("%s: other weights when it was repeated", launcher)
			}
			before = weights(run)
			planned(t, roundsIn(t, run))
		}
	}
}

// planned compares the bytes that a process sent in its rounds with those that plan says.
func planned(t *testing.T, rounds []clitest.MetricsLine) {
	t.Helper()
	stdout := clitest.Succeed(t, "", "plan", "--processes", "2", "--json", "--hidden", "16", "--ffn", "24", "--layers",
		"4", "--heads", "2", "--kv-heads", "1", "--max-seq-len", "64", "--vocab", "300", "--seq-len", "16",
		"--rank", "2", "--stages", "2", "--precision", "f32", "--batch-size", "1", "--outer-every", "3",
		"--outer-wire", "int8")
	var plan struct {
		Processes struct {
			Stages []struct {
				Stage string `json:"stage"`
				Bytes int64  `json:"bytes_per_round"`
			} `json:"stages"`
		} `json:"processes"`
	}
	if err := json.Unmarshal([]byte(stdout), &plan); err != nil {
		t.Fatal(err)
	}
	want := map[int64]bool{}
	for _, s := range plan.Processes.Stages {
		if strings.Contains(strings.ToLower(s.Stage), "step") {
			want[s.Bytes] = true
		}
	}
	if len(rounds) < 3 || len(want) == 0 {
		t.Fatalf("%d rounds, plan says %v", len(rounds), want)
	}
	for _, r := range rounds {
		if n := int64(r.Number(t, "sent_bytes")); !want[n] {
			t.Errorf("%d bytes were sent in the round that ends with step %v, planned are %v", n, r.Number(t, "step"),
				want)
		}
	}
}

// Rounds of processes that were stopped go on bit for bit with as many; one more begins with the others' state.
func TestRoundsOfProcessesGoOn(t *testing.T) {
	launcher, m, dir := clitest.Launchers(t)[0], clitest.NewMaterial(t), t.TempDir()
	straight, run := filepath.Join(dir, "straight"), filepath.Join(dir, "run")
	flags := []string{"--steps", "200", "--outer-every", "7", "--save-every", "50", "--schedule", "constant"}
	succeedTogether(t, launcher, 2, rounded(m, straight, flags...)...)
	c := clitest.CallOfSeveral(t.Context(), launcher, 2, rounded(m, run, flags...)...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	trains(t, run, 21)
	for rank := range 2 { // as srun does, and mpirun, which leaves but a second
		pid := ranks(t, run)[rank]
		if pid == 0 {
			t.Fatal("they ended before they were told to")
		}
		syscall.Kill(pid, syscall.SIGTERM)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("they do not end")
	}
	for _, of := range []string{run, filepath.Join(run, "ranks", "1")} {
		name, _, err := record.LastCheckpoint(of)
		if err == nil {
			err = checkpoint.Verify(record.CheckpointAt(of, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	succeedTogether(t, launcher, 2, "pretrain", "--resume", run, "--device", "host")
	for _, of := range []string{"", "ranks/1"} {
		a := clitest.LossLines(t, filepath.Join(run, of))
		if b := clitest.LossLines(t, filepath.Join(straight, of)); a != b {
			t.Errorf("other losses than those of the run that nothing happened to:\n%s\n%s", a, b)
		}
	}
	succeedTogether(t, launcher, 3, "pretrain", "--resume", run, "--steps", "240", "--device", "host")
	if made := roundsIn(t, filepath.Join(run, "ranks", "2")); len(made) == 0 ||
		strings.Count(string(made[0]["shares"]), `"process"`) != 3 {
		t.Errorf("the process that was added made the rounds %v", made)
	}
}

// What --outer-start leaves to one process one may do by itself: stopped, it goes on with another, which waits for the
// first round alone.
func TestOneProcessBeginsAlone(t *testing.T) {
	launcher, m, run := clitest.Launchers(t)[0], clitest.NewMaterial(t), filepath.Join(t.TempDir(), "run")
	c := clitest.CallOf(t.Context(), rounded(m, run, "--steps", "160", "--outer-start", "140")...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	trains(t, run, 21)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	succeedTogether(t, launcher, 2, "pretrain", "--resume", run, "--device", "host")
	made := roundsIn(t, filepath.Join(run, "ranks", "1"))
	if len(made) == 0 || strings.Count(string(made[0]["shares"]), `"process"`) != 2 {
		t.Errorf("the second process made the rounds %v", made)
	}
}

// What rounds of processes cannot have is refused, once.
func TestRoundsOfProcessesRefuse(t *testing.T) {
	launcher, m, out := clitest.Launchers(t)[0], clitest.NewMaterial(t), filepath.Join(t.TempDir(), "run")
	t.Setenv("STEPLM_KEY", strings.Repeat("k", 40))
	for _, c := range []struct{ flags, parts []string }{
		{[]string{"--wire", "bf16"}, []string{"--wire bf16", "leave it out"}},
		{[]string{"--no-overlap"}, []string{"--no-overlap", "leave it out"}},
		{[]string{"--on-spike", "rollback"}, []string{"--on-spike", "stop"}},
		{[]string{"--host", "test"}, []string{"--host", "leave them out"}},
	} {
		call := clitest.CallOfSeveral(t.Context(), launcher, 2, rounded(m, out, c.flags...)...)
		_, stderr, code := clitest.Finish(t, call, "")
		if code == 0 || strings.Count(stderr, "steplm: error: ") != 1 {
			t.Errorf("%v: exit code %d, and not one error in\n%s", c.flags, code, stderr)
		}
		for _, part := range c.parts {
			if !strings.Contains(stderr, part) {
				t.Errorf("%v: %q is not said in\n%s", c.flags, part, stderr)
			}
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%v: %s is there", c.flags, out)
		}
	}
}
